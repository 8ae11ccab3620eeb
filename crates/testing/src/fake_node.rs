//! A node without containers: pods that are bound to it run and are ready at once, and end when they are
//! deleted. The annotation `testing/unready` keeps a pod from becoming ready; one with `testing/phase` gets into that
//! phase at once.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use client::k8s_openapi::api::core::v1::{Node, Pod};
use client::{Cache, Deletion, Key, Objects, Selectors, kube};
use futures::StreamExt;
use serde_json::{Value, json};

/// The name of the node.
pub(crate) const NAME: &str = "fake";

/// Registers the node and begins to run pods.
pub(crate) async fn start(client: kube::Client) -> Result<()> {
    let nodes = Objects::of::<Node>(&client);
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": NAME, "labels": { "kubernetes.io/hostname": NAME } },
    });
    nodes.create("", &node).await?;
    let resources = json!({ "cpu": "8", "memory": "16Gi", "pods": "110" });
    let ready = condition("Ready", true, "KubeletReady");
    let status = json!({ "capacity": resources, "allocatable": resources, "conditions": [ready] });
    nodes.patch_status(&Key::cluster(NAME), status).await?;
    let selectors = Selectors { fields: Some(format!("spec.nodeName={NAME}")), ..Selectors::default() };
    let pods = Cache::start(&client, client::resource::<Pod>(), selectors);
    tokio::spawn(run(Objects::of::<Pod>(&client), pods));
    Ok(())
}

async fn run(objects: Objects, pods: Cache) {
    let addresses = AtomicU32::new(2);
    let mut changes = pods.subscribe();
    while let Some(change) = changes.next().await {
        let Some(pod) = change.new else { continue };
        // A pod that is gone meanwhile needs nothing any more.
        if pod["metadata"]["deletionTimestamp"].is_string() {
            let now = Deletion { grace_seconds: Some(0), ..Deletion::default() };
            let _ = objects.delete(&change.key, &now).await;
        } else if pod["status"]["podIP"].is_null() {
            let number = addresses.fetch_add(1, Ordering::Relaxed);
            let _ = objects.patch_status(&change.key, status(&pod, number)).await;
        }
    }
}

fn condition(kind: &str, holds: bool, reason: &str) -> Value {
    let now = format!("{:.0}", jiff::Timestamp::now());
    let status = if holds { "True" } else { "False" };
    json!({ "type": kind, "status": status, "reason": reason, "lastTransitionTime": now })
}

fn status(pod: &Value, number: u32) -> Value {
    let annotations = &pod["metadata"]["annotations"];
    let phase = annotations["testing/phase"].as_str().unwrap_or("Running");
    let ready = annotations["testing/unready"].is_null() && phase == "Running";
    let address = format!("10.42.{}.{}", number / 250, number % 250 + 1);
    let conditions = [
        condition("PodScheduled", true, ""),
        condition("Ready", ready, ""),
        condition("ContainersReady", ready, ""),
    ];
    json!({ "phase": phase, "podIP": address, "podIPs": [{ "ip": address }], "conditions": conditions })
}
