//! What the silence or the conditions of a node lead to: conditions and taints. Pure; names, reasons and
//! messages are upstream's.

use object::time::{self, Timestamp};
use serde_json::{Value, json};

use crate::conditions::{self, Condition};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Conditions that a silent node can no longer vouch for.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Conditions that keep new pods away while they hold.
const KEEP_AWAY: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

/// The status of a condition; empty when nobody has said anything yet.
fn status_of<'a>(list: &'a [Value], kind: &str) -> &'a str {
    conditions::find(list, kind).and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

/// Whether a node says that it is ready.
pub(super) fn is_ready(node: &Value) -> bool {
    status_of(&conditions::of(node), "Ready") == "True"
}

/// The conditions of a node that has been silent for too long.
pub(super) fn plan_silence(node: &Value, now: Timestamp) -> Vec<Value> {
    let mut list = conditions::of(node);
    for kind in REPORTED {
        let (reason, message) = match conditions::find(&list, kind) {
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
            Some(known) if known["status"] == "Unknown" => continue,
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
        };
        conditions::set(&mut list, &Condition::new(kind, "Unknown", reason, message), now);
    }
    list
}

/// The taints that a node should have, when they are not the ones it has.
pub(super) fn plan_taints(node: &Value, list: &[Value], now: Timestamp) -> Option<Vec<Value>> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let trouble = match status_of(list, "Ready") {
        "False" => Some(NOT_READY),
        "Unknown" => Some(UNREACHABLE),
        _ => None,
    };
    if let Some(key) = trouble {
        wanted.extend([(key, "NoSchedule"), (key, "NoExecute")]);
    }
    wanted.extend(
        KEEP_AWAY
            .iter()
            .filter(|(kind, _)| status_of(list, kind) == "True")
            .map(|(_, key)| (*key, "NoSchedule")),
    );
    if node["spec"]["unschedulable"] == true {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let current = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let is = |taint: &Value, (key, effect): (&str, &str)| taint["key"] == key && taint["effect"] == effect;
    let ours = |taint: &Value| {
        let key = taint["key"].as_str().unwrap_or_default();
        [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&key)
            || KEEP_AWAY.iter().any(|(_, known)| *known == key)
    };
    let mut taints = current.clone();
    taints.retain(|taint| !ours(taint) || wanted.iter().any(|wanted| is(taint, *wanted)));
    for missing in wanted.iter().filter(|wanted| !current.iter().any(|taint| is(taint, **wanted))) {
        taints.push(json!({ "key": missing.0, "effect": missing.1, "timeAdded": time::seconds(now) }));
    }
    (taints != current).then_some(taints)
}
