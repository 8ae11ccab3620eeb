//! `dory up` until its node is Ready, at first start and at a restart.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use client::k8s_openapi::api::core::v1::Node;
use client::kube::api::{Api, ListParams};
use client::kube::runtime::wait::await_condition;
use testing::binary::Dory;

use crate::{Examples, load, row};

pub(crate) fn run(dory: &Dory, _: &Examples) -> Result<()> {
    row::at_most("up_to_node_ready_first", up(dory)?.as_secs_f64() * 1e3, "ms", 1500.0);
    let mut restarts = Vec::new();
    for _ in 0..5 {
        dory.down()?;
        restarts.push(up(dory)?);
    }
    row::median_ms("up_to_node_ready_restart", &mut restarts, 500.0);
    Ok(())
}

/// From the command's start until a client has seen the condition.
fn up(dory: &Dory) -> Result<Duration> {
    let began = Instant::now();
    dory.up(&[])?;
    load::block_on(async {
        let nodes: Api<Node> = Api::all(client::from_kubeconfig(&dory.kubeconfig()).await?);
        let first = nodes.list(&ListParams::default()).await?.items.pop().context("no node registered")?;
        let name = first.metadata.name.unwrap_or_default();
        await_condition(nodes, &name, |node: Option<&Node>| node.is_some_and(is_ready)).await?;
        Ok(began.elapsed())
    })
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}
