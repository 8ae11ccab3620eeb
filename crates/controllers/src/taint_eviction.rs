//! Evicts pods from nodes with NoExecute taints that they do not tolerate, or no longer. Called by the loop
//! with the key of a pod.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::core::v1::{Node, Pod};
use client::{Cache, Caches, Change, Deletion, Key, Objects, Patch, Recorder};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::placement::covers;
use object::time::{self, Timestamp};
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use crate::node_lifecycle::{BY_NODE, pods_by_node};
use crate::pod;

const WORKERS: usize = 8;

struct Controller {
    nodes: Cache,
    pods: Cache,
    objects: Objects,
    events: Recorder,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (nodes, pods) = (caches.of::<Node>(), pods_by_node(caches));
    let controller = Controller {
        nodes: nodes.clone(),
        pods: pods.clone(),
        objects: Objects::of::<Pod>(caches.client()),
        events: Recorder::start(caches.client(), "taint-eviction-controller"),
    };
    let (all_pods, all_nodes) = (pods.clone(), nodes.clone());
    Loop::new("tainteviction", Arc::new(controller), WORKERS)
        .watch(&nodes, move |change| pods_of_tainted(&all_pods, change))
        .watch(&pods, move |change| {
            let node =
                change.new.as_deref().and_then(pod::node).and_then(|name| all_nodes.get(&Key::cluster(name)));
            let tainted = node.is_some_and(|node| !evicting_taints(&node).is_empty());
            if tainted { vec![change.key.clone()] } else { Vec::new() }
        })
}

fn evicting_taints(node: &Value) -> Vec<&Value> {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    taints.filter(|taint| taint["effect"] == "NoExecute").collect()
}

fn pods_of_tainted(pods: &Cache, change: &Change) -> Vec<Key> {
    let Some(node) = &change.new else { return Vec::new() };
    let before = change.old.as_deref().map(evicting_taints).unwrap_or_default();
    let now = evicting_taints(node);
    if now.is_empty() || now == before {
        return Vec::new();
    }
    pods.by_index(BY_NODE, &change.key.name).iter().map(|pod| Key::of(pod)).collect()
}

/// When a pod has to go.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    ForEver,
    For(Duration),
    NoLonger,
}

/// Every NoExecute taint must be tolerated; of the times that tolerations are limited to the first that
/// ends counts.
fn plan_stay(pod: &Value, node: &Value, now: Timestamp) -> Stay {
    let tolerations = || pod["spec"]["tolerations"].as_array().into_iter().flatten();
    let mut shortest: Option<i64> = None;
    for taint in evicting_taints(node) {
        let mut tolerating = tolerations().filter(|toleration| covers(toleration, taint)).peekable();
        if tolerating.peek().is_none() {
            return Stay::NoLonger;
        }
        // Of several tolerations of one taint the shortest limit counts; none of them may have one.
        let Some(limit) = tolerating.filter_map(|toleration| toleration["tolerationSeconds"].as_i64()).min()
        else {
            continue;
        };
        let since = taint["timeAdded"].as_str().and_then(time::parse).unwrap_or(now);
        let left = since.as_second() + limit.max(0) - now.as_second();
        shortest = Some(shortest.map_or(left, |shortest| shortest.min(left)));
    }
    match shortest {
        None => Stay::ForEver,
        Some(left) if left > 0 => Stay::For(Duration::from_secs(u64::try_from(left).unwrap_or_default())),
        Some(_) => Stay::NoLonger,
    }
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(pod) = self.pods.get(&key).filter(|pod| !pod::is_deleting(pod)) else { return Ok(None) };
        let Some(node) = pod::node(&pod).and_then(|name| self.nodes.get(&Key::cluster(name))) else {
            return Ok(None);
        };
        match plan_stay(&pod, &node, Timestamp::now()) {
            Stay::ForEver => return Ok(None),
            Stay::For(time) => return Ok(Some(time)),
            Stay::NoLonger => {}
        }
        self.events.normal(&pod, "TaintManagerEviction", format!("Marking for deletion Pod {key}"));
        let message = "Taint manager: deleting due to NoExecute taint";
        mark_disrupted(&self.objects, &pod, "DeletionByTaintManager", message, None).await?;
        let uid = pod["metadata"]["uid"].as_str().map(str::to_owned);
        match self.objects.delete(&key, &Deletion { uid, ..Deletion::default() }).await {
            Err(error) if !client::is_not_found(&error) => Err(error.into()),
            _ => Ok(None),
        }
    }
}

/// Says on a pod that it ends through no fault of its own, and with which phase if it cannot say so itself.
pub(crate) async fn mark_disrupted(
    objects: &Objects,
    pod: &Value,
    reason: &str,
    message: &str,
    phase: Option<&str>,
) -> Result<(), client::kube::Error> {
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": time::seconds(Timestamp::now()),
    });
    let mut status = json!({ "conditions": [condition] });
    if let Some(phase) = phase {
        status["phase"] = phase.into();
    }
    match objects.patch_sub(&Key::of(pod), "status", Patch::Strategic(json!({ "status": status }))).await {
        Err(error) if !client::is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}
