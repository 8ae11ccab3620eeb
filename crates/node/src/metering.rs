//! What the meter hears of pods: which of this node run, and what each holds. It follows the objects, not the
//! processes: a pod is paid for from its first running container on until it has ended or is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::{Cache, Change};
use futures::StreamExt;
use jiff::Timestamp;
use meter::{Meter, Pod};
use object::quantity::Quantity;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// A pod that requests nothing is counted as the smallest that can be rented: Fargate's quarter of a CPU and 512 MiB.
const CPU_MILLI_MIN: u64 = 250;
const MEMORY_MB_MIN: u64 = 512;

/// Follows the pods of this node until `stop`.
pub(crate) async fn follow(meter: Arc<Meter>, pods: Cache, stop: CancellationToken) {
    let mut changes = pods.subscribe();
    // What ended while nobody looked is known only once the list is.
    let Some(()) = stop.run_until_cancelled(pods.synced()).await else { return };
    let uids: BTreeSet<String> = pods
        .list()
        .iter()
        .filter(|pod| runs(pod))
        .map(|pod| text(&pod["metadata"]["uid"]).to_owned())
        .collect();
    meter.pods_are(&uids);
    while let Some(Some(change)) = stop.run_until_cancelled(changes.next()).await {
        changed(&meter, &change);
    }
}

fn changed(meter: &Meter, change: &Change) {
    let now = Timestamp::now();
    let ran = change.old.as_ref().filter(|pod| runs(pod));
    let runs = change.new.as_ref().filter(|pod| runs(pod));
    if let Some(pod) = runs {
        let spec = &pod["spec"];
        let (cpu_milli, memory_mb) = held(spec);
        let (namespace, owner) = (text(&pod["metadata"]["namespace"]), owner(pod));
        let uid = text(&pod["metadata"]["uid"]);
        meter.pod_runs(Pod { namespace, owner: &owner, uid, cpu_milli, memory_mb }, now);
    } else if let Some(pod) = ran {
        let metadata = &pod["metadata"];
        meter.pod_ended(text(&metadata["namespace"]), &owner(pod), text(&metadata["uid"]), now);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn runs(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running"
}

/// What a pod holds, in thousandths of a CPU and MiB: all containers together, by request, else by limit.
fn held(spec: &Value) -> (u64, u64) {
    let containers = || spec["containers"].as_array().into_iter().flatten();
    let amount = |name: &str, read: fn(Quantity) -> i64| -> i64 {
        containers()
            .filter_map(|container| {
                let resources = &container["resources"];
                let asked = resources["requests"][name].as_str().or(resources["limits"][name].as_str())?;
                Quantity::parse(asked).ok().map(read)
            })
            .sum()
    };
    let cpu = u64::try_from(amount("cpu", Quantity::milli_value)).unwrap_or(0);
    let memory = u64::try_from(amount("memory", Quantity::value)).unwrap_or(0).div_ceil(1024 * 1024);
    (if cpu == 0 { CPU_MILLI_MIN } else { cpu }, if memory == 0 { MEMORY_MB_MIN } else { memory })
}

/// `Deployment/api` for the pods of its replica sets, else what controls the pod, else the pod itself.
fn owner(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner["controller"] == true) else {
        return format!("Pod/{}", text(&metadata["name"]));
    };
    let (kind, name) = (text(&owner["kind"]), text(&owner["name"]));
    let hash = text(&metadata["labels"]["pod-template-hash"]);
    match name.strip_suffix(hash).and_then(|stem| stem.strip_suffix('-')) {
        Some(deployment) if kind == "ReplicaSet" && !hash.is_empty() => format!("Deployment/{deployment}"),
        _ => format!("{kind}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_hold_what_they_request() {
        let spec = json!({"containers": [
            {"resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "2"}}},
            {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
        ]});
        assert_eq!(held(&spec), (1250, 1088));
        assert_eq!(held(&json!({"containers": [{}]})), (250, 512));
    }

    #[test]
    fn pods_belong_to_whoever_made_them() {
        let pod = |kind: &str, name: &str| {
            json!({"metadata": {"name": "p", "labels": {"pod-template-hash": "8bctcmtcr2"},
                "ownerReferences": [{"kind": kind, "name": name, "controller": true}]}})
        };
        assert_eq!(owner(&pod("ReplicaSet", "api-8bctcmtcr2")), "Deployment/api");
        assert_eq!(owner(&pod("Job", "once")), "Job/once");
        assert_eq!(owner(&json!({"metadata": {"name": "alone"}})), "Pod/alone");
    }
}
