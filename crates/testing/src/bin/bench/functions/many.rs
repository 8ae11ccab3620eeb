//! Ten thousand functions that do nothing: what they cost in memory, and whether a first call of one is as fast as ever.

use std::time::Duration;

use anyhow::{Context, Result};
use client::kube::api::{Api, PostParams};
use client::kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use testing::binary::Dory;

use super::door::Door;
use crate::{processes, row};

const FUNCTIONS: usize = 10_000;
const WRITERS: usize = 64;
const FIRST_CALLS: usize = 20;
/// A stride through all of them that meets none twice (it shares no factor with their number).
const STRIDE: usize = 7919;

pub(super) async fn run(dory: &Dory, door: &Door, bootstrap: &std::path::Path) -> Result<()> {
    super::cold::deploy(dory, "many-model", 1, bootstrap)?;
    let kind = GroupVersionKind::gvk("dory.dev", "v1", "Function");
    let client = client::from_kubeconfig(&dory.kubeconfig()).await?;
    let functions: Api<DynamicObject> =
        Api::namespaced_with(client, "default", &ApiResource::from_gvk_with_plural(&kind, "functions"));
    let model = functions.get("many-model-0").await?;
    let mut spec = model.data["spec"].clone();
    spec.as_object_mut().context("a function without spec")?.remove("url");
    let before = processes::resident(dory)?;
    futures::stream::iter(0..FUNCTIONS)
        .map(|n| {
            let object = json!({
                "apiVersion": "dory.dev/v1", "kind": "Function",
                "metadata": { "name": format!("many-{n}") }, "spec": spec,
            });
            let functions = functions.clone();
            async move {
                functions.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(WRITERS)
        .try_collect::<Vec<()>>()
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = processes::resident(dory)?;
    row::at_most("functions_10000_added_memory", after - before, "MB", 150.0);
    row::at_most("functions_10000_resident_memory", after, "MB", 150.0);
    let mut first = Vec::new();
    for n in 0..FIRST_CALLS {
        first.push(door.invoke(&format!("many-{}", n * STRIDE % FUNCTIONS)).await?);
    }
    row::median_ms("functions_10000_first_invoke_of_one", &mut first, 5.0);
    Ok(())
}
