//! `GET /stats/summary`: what pods and containers use, in the kubelet's shape.

use jiff::Timestamp;
use sandbox::Usage;
use serde_json::{Value, json};

use crate::pods::Pods;

/// CPU and memory of every pod here.
pub(super) async fn summary(pods: &Pods) -> Value {
    let now = object::time::seconds(Timestamp::now());
    let mut list = Vec::new();
    for view in pods.all() {
        let Some(sandbox) = &view.sandbox else { continue };
        let Ok((whole, containers)) = sandbox.usage().await else { continue };
        let containers: Vec<_> = containers
            .iter()
            .map(|(name, usage)| json!({ "name": name, "cpu": cpu(usage, &now), "memory": memory(usage, &now) }))
            .collect();
        let metadata = &view.pod.metadata;
        list.push(json!({
            "podRef": { "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid },
            "cpu": cpu(&whole, &now),
            "memory": memory(&whole, &now),
            "process_stats": { "process_count": whole.pids },
            "containers": containers,
        }));
    }
    let node = json!({ "nodeName": pods.ground().node });
    json!({ "node": node, "pods": list })
}

fn cpu(usage: &Usage, now: &str) -> Value {
    json!({ "time": now, "usageCoreNanoSeconds": usage.cpu_nanos })
}

fn memory(usage: &Usage, now: &str) -> Value {
    json!({
        "time": now,
        "usageBytes": usage.memory_bytes,
        "workingSetBytes": usage.memory_working_set_bytes,
        "rssBytes": usage.memory_rss_bytes,
    })
}
