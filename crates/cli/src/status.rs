//! `dory status`: where the platform listens, what it uses, what runs on it.

use std::fs;

use anyhow::Result;
use client::k8s_openapi::api::core::v1::{Node, Pod};
use client::kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};

use crate::{Platform, format_bytes};

pub(crate) async fn run(platform: &Platform, pid: Option<i32>) -> Result<()> {
    let Some(pid) = pid else {
        println!("not running ({})", platform.data_dir().display());
        println!("start it with `dory up --detach`");
        return Ok(());
    };
    let endpoints = platform.endpoints()?;
    println!("running as process {pid}, data in {}", platform.data_dir().display());
    println!("  Kubernetes API  https://127.0.0.1:{}", endpoints.api_port);
    println!("  AWS endpoint    http://127.0.0.1:{}", endpoints.aws_port);
    println!(
        "  gateway         http://127.0.0.1:{}, https://127.0.0.1:{}",
        endpoints.http_port, endpoints.https_port
    );
    if let Some(resident) = resident_bytes(pid) {
        println!("  memory          {} resident", format_bytes(resident));
    }
    let client = platform.client().await?;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    let ready = nodes.items.iter().filter(|node| is_ready(node)).count();
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await?;
    let running = pods.items.iter().filter(|pod| phase(pod) == "Running").count();
    let kind =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("dory.dev", "v1", "Function"), "functions");
    let functions =
        Api::<DynamicObject>::all_with(client.clone(), &kind).list(&ListParams::default()).await?;
    println!("  nodes           {ready} of {} ready", nodes.items.len());
    println!("  pods            {running} of {} running", pods.items.len());
    println!("  functions       {}", functions.items.len());
    let metrics = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    println!("  instances       {}", gauge(&metrics, "dory_function_instances"));
    println!("  booted ahead    {}", gauge(&metrics, "dory_function_booted"));
    Ok(())
}

/// One of the platform's metrics.
fn gauge(metrics: &str, name: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

fn resident_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
