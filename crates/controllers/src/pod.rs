//! What the controllers read from a pod. Never writes one.

use std::time::Duration;

use object::time::{self, Timestamp};
use serde_json::Value;

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether all containers ended for good.
pub(crate) fn is_terminal(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether a pod counts as a replica.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_terminal(pod) && !is_deleting(pod)
}

fn ready_condition(pod: &Value) -> Option<&Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    ready_condition(pod).is_some()
}

/// Since when a pod is ready.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    ready_condition(pod).and_then(|condition| time::parse(condition["lastTransitionTime"].as_str()?))
}

/// Whether a pod was ready long enough, and if not, how long it still has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Available,
    In(Duration),
    Unready,
}

pub(crate) fn availability(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> Availability {
    if !is_ready(pod) {
        return Availability::Unready;
    }
    if min_ready_seconds == 0 {
        return Availability::Available;
    }
    let Some(since) = ready_since(pod) else { return Availability::Unready };
    let left = i128::from(min_ready_seconds) * 1_000_000_000 - (now.as_nanosecond() - since.as_nanosecond());
    match u64::try_from(left) {
        Ok(nanos @ 1..) => Availability::In(Duration::from_nanos(nanos)),
        _ => Availability::Available,
    }
}

/// The node a pod is bound to, if any.
pub(crate) fn node(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())
}

pub(crate) fn created(object: &Value) -> Option<Timestamp> {
    time::parse(object["metadata"]["creationTimestamp"].as_str()?)
}
