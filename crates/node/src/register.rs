//! The Node object and its lease: made at the start, renewed while the node lives. The lease is the heartbeat (every
//! 10 s, KEP-589); the status is written every five minutes, and when somebody has written another one: who stood still for
//! a while, or could not reach the API, finds that the node is taken for dead.

use std::time::Duration;

use client::k8s_openapi::api::coordination::v1::Lease;
use client::k8s_openapi::api::core::v1 as api;
use client::{Key, Objects, Patch};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::machine::Machine;

/// Upstream's figures: renewal at a quarter of the lease's duration, and the status report's period.
const LEASE_SECONDS: i64 = 40;
const RENEW: Duration = Duration::from_secs(10);
const STATUS: Duration = Duration::from_secs(300);
/// Between tries while the API does not answer.
const RETRY: Duration = Duration::from_millis(200);
/// The upstream version whose rules are followed.
const KUBELET_VERSION: &str = "v1.37.0";
/// Upstream's `maxPods`.
const PODS_MAX: u32 = 110;
const LEASES: &str = "kube-node-lease";

/// What the Node object is made from.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) pod_cidr: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) machine: Machine,
}

/// Registers, then keeps the node alive until `stop`.
pub(crate) async fn run(client: client::kube::Client, registration: Registration, stop: CancellationToken) {
    let nodes = Objects::of::<api::Node>(&client);
    let leases = Objects::of::<Lease>(&client);
    let key = Key::cluster(&registration.name);
    let work = async {
        let mut transitions = Value::Null;
        let uid = loop {
            match register(&nodes, &registration, &mut transitions).await {
                Ok(uid) => break uid,
                Err(error) => tracing::warn!(%error, "failed to register the node; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        };
        let mut next_status = tokio::time::Instant::now() + STATUS;
        loop {
            let renewed = renew(&leases, &registration.name, &uid).await;
            if let Err(error) = &renewed {
                tracing::debug!(%error, "failed to renew the node's lease");
            }
            tokio::time::sleep(if renewed.is_ok() { RENEW } else { RETRY }).await;
            let lost = renewed.is_ok() && nodes.get(&key).await.is_ok_and(|node| !is_ready(&node));
            if lost {
                transitions = Value::Null;
            }
            if lost || tokio::time::Instant::now() >= next_status {
                next_status = tokio::time::Instant::now() + STATUS;
                if let Err(error) = register(&nodes, &registration, &mut transitions).await {
                    tracing::warn!(%error, "failed to report the node's status");
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Creates the node or brings it up to date; gives its uid.
async fn register(
    nodes: &Objects,
    own: &Registration,
    since: &mut Value,
) -> Result<String, client::kube::Error> {
    let key = Key::cluster(&own.name);
    let now = object::time::seconds(Timestamp::now());
    if since.is_null() {
        *since = Value::String(now.clone());
    }
    let wanted = node(own, &now, since);
    let node = match nodes.create("", &wanted).await {
        Err(error) if client::is_already_exists(&error) => {
            let patch = json!({ "metadata": { "labels": wanted["metadata"]["labels"] } });
            nodes.patch(&key, Patch::Merge(patch)).await?
        }
        created => created?,
    };
    nodes.patch_status(&key, wanted["status"].clone()).await?;
    Ok(node["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}

/// Whether the API holds what this node says of itself. Pure.
fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The Node object as this machine wants it. Pure.
fn node(own: &Registration, now: &str, since: &Value) -> Value {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut labels = json!({
        "kubernetes.io/hostname": own.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": arch,
    });
    for (name, value) in &own.labels {
        labels[name] = json!(value);
    }
    let machine = &own.machine;
    let resources = json!({
        "cpu": machine.cpus.to_string(),
        "memory": format!("{}Ki", machine.memory_bytes / 1024),
        "ephemeral-storage": format!("{}Ki", machine.disk_bytes / 1024),
        "pods": PODS_MAX.to_string(),
    });
    let addresses = json!([{ "type": "InternalIP", "address": own.address }, { "type": "Hostname", "address": own.name }]);
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": own.name, "labels": labels },
        "spec": { "podCIDR": own.pod_cidr, "podCIDRs": [own.pod_cidr], "providerID": format!("dory://{}", own.name) },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": addresses,
            "conditions": conditions(now, since),
            "nodeInfo": {
                "machineID": machine.machine_id,
                "systemUUID": machine.machine_id,
                "bootID": machine.boot_id,
                "kernelVersion": machine.kernel,
                "osImage": machine.os_image,
                "containerRuntimeVersion": concat!("dory://", env!("CARGO_PKG_VERSION")),
                "kubeletVersion": KUBELET_VERSION,
                "kubeProxyVersion": KUBELET_VERSION,
                "operatingSystem": "linux",
                "architecture": arch,
            },
        },
    })
}

fn conditions(now: &str, since: &Value) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({ "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": since })
    };
    json!([
        condition(
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available"
        ),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ])
}

/// Renews the lease; makes it where there is none.
async fn renew(leases: &Objects, name: &str, uid: &str) -> Result<(), client::kube::Error> {
    let now = object::time::micros(Timestamp::now());
    let key = Key::new(LEASES, name);
    let spec = json!({ "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now });
    match leases.patch(&key, Patch::Merge(json!({ "spec": spec }))).await {
        Err(error) if client::is_not_found(&error) => {}
        other => return other.map(drop),
    }
    let owner = json!([{ "apiVersion": "v1", "kind": "Node", "name": name, "uid": uid }]);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": name, "namespace": LEASES, "ownerReferences": owner },
        "spec": spec,
    });
    leases.create(LEASES, &lease).await.map(drop)
}
