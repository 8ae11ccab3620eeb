//! Conditions and taints of nodes as data.

use object::time::Timestamp;
use serde_json::{Value, json};

use super::plan::{plan_silence, plan_taints};
use crate::conditions;

fn now() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("in range")
}

fn node(ready: &str, taints: Value) -> Value {
    let since = "2025-01-01T00:00:00Z";
    json!({
        "metadata": { "name": "n1" }, "spec": { "taints": taints },
        "status": { "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": since }] },
    })
}

fn taints(node: &Value) -> Option<Vec<String>> {
    let planned = plan_taints(node, &conditions::of(node), now())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(planned.iter().map(|taint| format!("{}:{}", text(&taint["key"]), text(&taint["effect"]))).collect())
}

#[test]
fn a_ready_node_is_left_alone() {
    assert_eq!(taints(&node("True", json!([{ "key": "mine", "effect": "NoSchedule" }]))), None);
}

#[test]
fn a_node_that_has_not_spoken_yet_gets_no_taint() {
    assert_eq!(taints(&json!({ "metadata": { "name": "n1" } })), None);
}

#[test]
fn trouble_becomes_taints_and_goes_with_it() {
    let mine = json!({ "key": "mine", "effect": "NoSchedule" });
    let unready = taints(&node("False", json!([mine]))).expect("taints change");
    assert_eq!(
        unready,
        [
            "mine:NoSchedule",
            "node.kubernetes.io/not-ready:NoSchedule",
            "node.kubernetes.io/not-ready:NoExecute"
        ]
    );
    let left = json!([mine, { "key": "node.kubernetes.io/not-ready", "effect": "NoExecute" }]);
    assert_eq!(taints(&node("True", left)).expect("taints change"), ["mine:NoSchedule"]);
}

#[test]
fn silence_makes_conditions_unknown_and_the_node_unreachable() {
    let mut silent = node("True", json!([]));
    let list = plan_silence(&silent, now());
    assert_eq!(list.len(), 4);
    assert_eq!((&list[0]["status"], &list[0]["reason"]), (&json!("Unknown"), &json!("NodeStatusUnknown")));
    assert_eq!(list[0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(list[1]["reason"], "NodeStatusNeverUpdated");
    silent["status"]["conditions"] = list.clone().into();
    assert_eq!(plan_silence(&silent, now()), list, "silence is told once");
    assert!(
        taints(&silent).expect("taints").contains(&"node.kubernetes.io/unreachable:NoExecute".to_owned())
    );
}

#[test]
fn a_cordoned_node_has_its_taint() {
    let mut cordoned = node("True", json!([]));
    cordoned["spec"]["unschedulable"] = true.into();
    assert_eq!(taints(&cordoned).expect("a taint"), ["node.kubernetes.io/unschedulable:NoSchedule"]);
}
