//! What a ReplicaSet needs: pure decisions over its pods.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object::time::Timestamp;
use serde_json::{Map, Value};

use crate::conditions::{self, Condition};
use crate::owned_pods::Failure;
use crate::pod::{self, Availability};

/// Of one turn no more pods are made or deleted than this (upstream's figure).
const BURST_PODS: usize = 500;

/// How many pods to make, or which to delete.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) create: usize,
    pub(super) delete: Vec<Arc<Value>>,
}

/// Compares `desired` with the active pods. `related` are the active pods of all ReplicaSets of the same
/// owner: of two equal pods the one on the fuller node goes first.
pub(super) fn plan_replicas(desired: usize, active: &[Arc<Value>], related: &[Arc<Value>]) -> Plan {
    if active.len() <= desired {
        return Plan { create: (desired - active.len()).min(BURST_PODS), delete: Vec::new() };
    }
    let mut neighbours: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|pod| pod::is_active(pod)) {
        *neighbours.entry(pod::node(pod).unwrap_or_default()).or_default() += 1;
    }
    let mut ranked: Vec<&Arc<Value>> = active.iter().collect();
    ranked.sort_by_cached_key(|pod| rank(pod, &neighbours));
    let surplus = (active.len() - desired).min(BURST_PODS);
    Plan { create: 0, delete: ranked.into_iter().take(surplus).cloned().collect() }
}

/// The order of deletion, first to go first: among equals the cheap, then those on a full node.
fn rank(pod: &Value, neighbours: &BTreeMap<&str, usize>) -> impl Ord {
    let cost = pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].as_str();
    let cost: i32 = cost.and_then(|text| text.parse().ok()).unwrap_or_default();
    let crowd = neighbours.get(pod::node(pod).unwrap_or_default()).copied().unwrap_or_default();
    pod::usefulness(pod, cost, crowd)
}

/// The status a ReplicaSet should have, and when to look again because a ready pod becomes available.
pub(super) fn plan_status(
    set: &Value,
    owned: &[Arc<Value>],
    failure: Option<&Failure>,
    now: Timestamp,
) -> (Value, Option<Duration>) {
    let min_ready = set["spec"]["minReadySeconds"].as_i64().unwrap_or_default();
    let template_labels = set["spec"]["template"]["metadata"]["labels"].as_object();
    let (mut labelled, mut ready, mut available, mut again) = (0, 0, 0, None);
    let active: Vec<&Arc<Value>> = owned.iter().filter(|pod| pod::is_active(pod)).collect();
    for pod in &active {
        let labels = &pod["metadata"]["labels"];
        labelled +=
            u32::from(template_labels.into_iter().flatten().all(|(name, value)| labels[name] == *value));
        match pod::availability(pod, min_ready, now) {
            Availability::Available => (ready, available) = (ready + 1, available + 1),
            Availability::In(left) => {
                ready += 1;
                again = Some(again.map_or(left, |sooner: Duration| sooner.min(left)));
            }
            Availability::Unready => {}
        }
    }
    let terminating = owned.iter().filter(|pod| pod::is_deleting(pod) && !pod::is_terminal(pod)).count();
    let mut status = Map::new();
    status.insert("replicas".into(), active.len().into());
    status.insert("observedGeneration".into(), set["metadata"]["generation"].clone());
    status.insert("terminatingReplicas".into(), terminating.into());
    for (name, count) in
        [("fullyLabeledReplicas", labelled), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if count > 0 {
            status.insert(name.into(), count.into());
        }
    }
    let mut list = conditions::of(set);
    match failure {
        Some(Failure { reason, message }) => {
            let condition = Condition::new("ReplicaFailure", "True", *reason, message);
            conditions::set(&mut list, &condition, now);
        }
        None => conditions::remove(&mut list, "ReplicaFailure"),
    }
    if !list.is_empty() {
        status.insert("conditions".into(), list.into());
    }
    (Value::Object(status), again)
}
