//! The plans of a ReplicaSet as data.

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use object::time::Timestamp;
use serde_json::{Value, json};

use super::plan::{Failure, plan_replicas, plan_status};

fn pod(name: &str, more: Value) -> Arc<Value> {
    let mut pod = json!({
        "metadata": { "name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "a": "b" } },
        "spec": { "nodeName": "n1" },
        "status": { "phase": "Running", "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z" }] },
    });
    json_merge(&mut pod, &more);
    Arc::new(pod)
}

fn json_merge(into: &mut Value, from: &Value) {
    match from {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| json_merge(&mut into[name.as_str()], value))
        }
        other => *into = other.clone(),
    }
}

fn names(pods: &[Arc<Value>]) -> Vec<&str> {
    pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default()).collect()
}

#[test]
fn it_makes_what_is_missing() {
    let one = [pod("a", json!({}))];
    assert_eq!(plan_replicas(3, &one, &one).create, 2);
    assert_eq!(plan_replicas(1, &one, &one), super::plan::Plan::default());
    assert_eq!(plan_replicas(100_000, &[], &[]).create, 500);
}

#[test]
fn the_least_useful_pods_go_first() {
    let pods = [
        pod("steady", json!({})),
        pod("young", json!({ "metadata": { "creationTimestamp": "2026-01-01T00:00:05Z" } })),
        pod("restarted", json!({ "status": { "containerStatuses": [{ "restartCount": 4 }] } })),
        pod(
            "just ready",
            json!({ "status": { "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z" }] } }),
        ),
        pod("crowded", json!({ "spec": { "nodeName": "n2" } })),
        pod(
            "cheap",
            json!({ "metadata": { "annotations": { "controller.kubernetes.io/pod-deletion-cost": "-5" } } }),
        ),
        pod("unready", json!({ "status": { "conditions": [] } })),
        pod("pending", json!({ "status": { "phase": "Pending", "conditions": [] } })),
        pod(
            "unassigned",
            json!({ "spec": { "nodeName": null }, "status": { "phase": "Pending", "conditions": [] } }),
        ),
    ];
    let mut related = pods.to_vec();
    related.extend((0..20).map(|n| pod(&format!("neighbour {n}"), json!({ "spec": { "nodeName": "n2" } }))));
    let order = plan_replicas(0, &pods, &related).delete;
    expect![[r#"
        [
            "unassigned",
            "pending",
            "unready",
            "cheap",
            "crowded",
            "just ready",
            "restarted",
            "young",
            "steady",
        ]
    "#]]
    .assert_debug_eq(&names(&order));
    assert_eq!(names(&plan_replicas(7, &pods, &related).delete), ["unassigned", "pending"]);
}

#[test]
fn the_status_counts_and_says_when_to_look_again() {
    let set = json!({
        "metadata": { "generation": 4 },
        "spec": { "minReadySeconds": 30, "template": { "metadata": { "labels": { "a": "b" } } } },
    });
    let at = |second: i64| Timestamp::from_second(1_767_225_600 + second).expect("in range");
    let pods = [
        pod("ready", json!({})),
        pod(
            "late",
            json!({ "status": { "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:50Z" }] } }),
        ),
        pod("going", json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:50Z" } })),
        pod("gone", json!({ "status": { "phase": "Failed" } })),
        pod("other", json!({ "metadata": { "labels": { "a": "x" } }, "status": { "conditions": [] } })),
    ];
    let (status, again) = plan_status(&set, &pods, None, at(60));
    expect![[r#"{"availableReplicas":1,"fullyLabeledReplicas":2,"observedGeneration":4,"readyReplicas":2,"replicas":3,"terminatingReplicas":1}"#]]
        .assert_eq(&status.to_string());
    assert_eq!(again, Some(Duration::from_secs(20)));
}

#[test]
fn a_failure_is_a_condition_until_it_is_over() {
    let mut set = json!({ "metadata": { "generation": 1 }, "spec": {} });
    let failure = Failure { reason: "FailedCreate", message: "quota".into() };
    let now = Timestamp::from_second(1_767_225_600).expect("in range");
    set["status"] = plan_status(&set, &[], Some(&failure), now).0;
    assert_eq!(set["status"]["conditions"][0]["reason"], "FailedCreate");
    let later = Timestamp::from_second(1_767_225_700).expect("in range");
    assert_eq!(plan_status(&set, &[], Some(&failure), later).0, set["status"], "the same failure is no news");
    assert_eq!(plan_status(&set, &[], None, later).0.get("conditions"), None);
}
