//! What the controllers read from a pod, and what they make of a template. Never writes one.

use std::cmp::Reverse;
use std::time::Duration;

use object::time::{self, Timestamp};
use serde_json::{Map, Value, json};

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

/// The order in which pods that are too many go, the least useful first: unassigned, pending, not ready, cheap to delete,
/// on a crowded node, ready for a short time, restarted often, young (the order of upstream's controllers).
pub(crate) fn usefulness(pod: &Value, cost: i32, crowd: usize) -> impl Ord + use<> {
    let phase = match pod["status"]["phase"].as_str() {
        Some("Running") => 2,
        Some("Unknown") => 1,
        _ => 0,
    };
    let statuses = pod["status"]["containerStatuses"].as_array();
    let restarts = statuses.into_iter().flatten().filter_map(|status| status["restartCount"].as_u64()).max();
    (
        node(pod).is_some(),
        phase,
        is_ready(pod),
        cost,
        Reverse(crowd),
        Reverse(ready_since(pod)),
        Reverse(restarts.unwrap_or_default()),
        Reverse(created(pod)),
    )
}

/// A pod made from a template, owned by `owner`; its name is the API server's choice.
pub(crate) fn from_template(template: &Value, generate_name: &str, owner: Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("generateName".into(), generate_name.into());
    for name in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(name) {
            metadata.insert(name.into(), value.clone());
        }
    }
    metadata.insert("ownerReferences".into(), json!([owner]));
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_pod_takes_all_of_its_template() {
        let template = json!({
            "metadata": { "labels": { "a": "b" }, "annotations": { "c": "d" }, "name": "not this" },
            "spec": { "containers": [], "somethingNew": { "kept": true } },
        });
        let pod = from_template(&template, "web-1-", json!({ "uid": "u" }));
        expect![[r#"{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"c":"d"},"generateName":"web-1-","labels":{"a":"b"},"ownerReferences":[{"uid":"u"}]},"spec":{"containers":[],"somethingNew":{"kept":true}}}"#]]
            .assert_eq(&pod.to_string());
    }
}
