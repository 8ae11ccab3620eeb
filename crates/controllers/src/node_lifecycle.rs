//! Node lifecycle: a node that has not renewed its lease for 40 s is taken for unreachable; what is wrong
//! with a node becomes taints. Called by the loop with the key of a node.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::k8s_openapi::api::coordination::v1::Lease;
use client::k8s_openapi::api::core::v1::{Node, Pod};
use client::{Cache, Caches, Key, Objects, Patch, Recorder, Selectors};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::{self, Timestamp};
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use self::plan::{is_ready, plan_silence, plan_taints};
use crate::conditions;
use crate::pod;
use crate::replica_set::write_status;

/// How long a node may be silent (upstream's node-monitor-grace-period is 50 s since 1.32 and was 40 s; with
/// leases renewed every 10 s the shorter one still allows three to be lost).
const GRACE: Duration = Duration::from_secs(40);
const LEASES: &str = "kube-node-lease";
const WORKERS: usize = 4;
/// Pods by the node that they are bound to.
pub(crate) const BY_NODE: &str = "node";

struct Controller {
    nodes: Cache,
    leases: Cache,
    pods: Cache,
    node_objects: Objects,
    pod_objects: Objects,
    events: Recorder,
    /// The last sign of life of each node, and when it came by our own clock.
    signs: Mutex<HashMap<String, (String, Instant)>>,
}

/// The pods of the cluster, findable by node.
pub(crate) fn pods_by_node(caches: &Caches) -> Cache {
    let pods = caches.of::<Pod>();
    pods.add_index(BY_NODE, |pod| pod::node(pod).map(str::to_owned).into_iter().collect());
    pods
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let nodes = caches.of::<Node>();
    let selectors = Selectors { namespace: Some(LEASES.into()), ..Selectors::default() };
    let leases = caches.get(client::resource::<Lease>(), selectors);
    let pods = pods_by_node(caches);
    let controller = Controller {
        nodes: nodes.clone(),
        leases: leases.clone(),
        pods: pods.clone(),
        node_objects: Objects::of::<Node>(caches.client()),
        pod_objects: Objects::of::<Pod>(caches.client()),
        events: Recorder::start(caches.client(), "node-controller"),
        signs: Mutex::default(),
    };
    Loop::new("nodelifecycle", Arc::new(controller), WORKERS)
        .watch_own(&nodes)
        .watch(&leases, |change| vec![Key::cluster(change.key.name.as_str())])
        .after(&pods)
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(node) = self.nodes.get(&key) else {
            self.signs.lock().expect("nothing panics while holding it").remove(&key.name);
            return Ok(None);
        };
        let silence = self.silence_of(&key.name, &node);
        let mut list = conditions::of(&node);
        if silence >= GRACE {
            list = plan_silence(&node, Timestamp::now());
            self.report(&key, &node, &list).await?;
        }
        if let Some(taints) = plan_taints(&node, &list, Timestamp::now()) {
            // Somebody may be cordoning it right now; the version tells, unless it was us a moment ago.
            let live =
                if silence >= GRACE { self.node_objects.get(&key).await? } else { Value::clone(&node) };
            let version = &live["metadata"]["resourceVersion"];
            let patch = json!({ "metadata": { "resourceVersion": version }, "spec": { "taints": taints } });
            self.node_objects.patch(&key, Patch::Merge(patch)).await?;
        }
        Ok((silence < GRACE).then(|| GRACE - silence))
    }

    /// How long ago a node last gave a sign of life, seen from here: clocks of nodes are not trusted.
    fn silence_of(&self, name: &str, node: &Value) -> Duration {
        let lease = self.leases.get(&Key::new(LEASES, name));
        let renewed =
            lease.as_ref().and_then(|lease| lease["spec"]["renewTime"].as_str()).unwrap_or_default();
        let list = conditions::of(node);
        let beat = conditions::find(&list, "Ready").and_then(|ready| ready["lastHeartbeatTime"].as_str());
        let sign = format!("{renewed} {}", beat.unwrap_or_default());
        let mut signs = self.signs.lock().expect("nothing panics while holding it");
        let known = signs.entry(name.to_owned()).or_insert_with(|| (sign.clone(), Instant::now()));
        if known.0 != sign {
            *known = (sign, Instant::now());
        }
        known.1.elapsed()
    }

    async fn report(&self, key: &Key, node: &Value, list: &[Value]) -> Result<(), Error> {
        if is_ready(node) {
            self.events.normal(
                node,
                "NodeNotReady",
                format!("Node {} status is now: NodeNotReady", key.name),
            );
        }
        if list != conditions::of(node) {
            write_status(&self.node_objects, key, json!({ "conditions": list })).await?;
        }
        for pod in self.pods.by_index(BY_NODE, &key.name).iter().filter(|pod| pod::is_ready(pod)) {
            // Nobody knows whether it still answers, so no Service should send to it.
            let now = time::seconds(Timestamp::now());
            let condition = json!({ "type": "Ready", "status": "False", "lastTransitionTime": now });
            let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
            match self.pod_objects.patch_sub(&Key::of(pod), "status", patch).await {
                Err(error) if !client::is_not_found(&error) => return Err(error.into()),
                _ => self.events.warning(pod, "NodeNotReady", "Node is not ready"),
            }
        }
        Ok(())
    }
}
