//! StatefulSets as data: which pod next, and whole lives against a model of pods.

use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use object::time::Timestamp;
use serde_json::{Value, json};

use super::claims;
use super::plan::{Plan, plan};
use super::pods::World;
use super::status::plan_status;
use crate::pod;
use crate::revisions::History;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

fn set(replicas: i64, more: Value) -> Value {
    let mut set = json!({
        "metadata": { "name": "web", "namespace": "ns", "uid": "u", "generation": 1 },
        "spec": { "replicas": replicas, "serviceName": "front", "podManagementPolicy": "OrderedReady",
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0, "maxUnavailable": 1 } } },
        "status": { "currentRevision": "web-old" },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        set["spec"][name.as_str()] = value.clone();
    }
    set
}

fn revision(name: &str) -> Arc<Value> {
    let template =
        json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "image": name }, "$patch": "replace" });
    Arc::new(json!({ "metadata": { "name": name }, "data": { "spec": { "template": template } } }))
}

fn history() -> History {
    History { current: revision("web-new"), old: vec![revision("web-old")] }
}

/// A pod with a number; `state` is one of ready, unready, leaving, Failed.
fn pod_of(ordinal: usize, revision: &str, state: &str) -> Arc<Value> {
    let mut pod = json!({
        "metadata": { "name": format!("web-{ordinal}"), "labels": { "controller-revision-hash": revision } },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "lastTransitionTime": "2026-01-01T00:00:00Z",
            "status": if state == "ready" { "True" } else { "False" } }] },
    });
    match state {
        "leaving" => pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        "Failed" => pod["status"]["phase"] = state.into(),
        _ => {}
    }
    Arc::new(pod)
}

fn old(ordinal: usize, state: &str) -> Arc<Value> {
    pod_of(ordinal, "web-old", state)
}

fn new(ordinal: usize, state: &str) -> Arc<Value> {
    pod_of(ordinal, "web-new", state)
}

fn planned(set: &Value, pods: &[Arc<Value>]) -> Plan {
    plan(&World::new(set, &history(), pods, now()))
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

fn shown(plan: &Plan) -> String {
    let mut text = String::new();
    for ordinal in &plan.create {
        write!(text, "create {ordinal} ").expect("a string");
    }
    for pod in &plan.delete {
        write!(text, "delete {} ", name(pod)).expect("a string");
    }
    text.trim_end().to_owned()
}

#[expect(clippy::needless_pass_by_value, reason = "expectations are written in place")]
fn check(set: Value, pods: &[Arc<Value>], expected: Expect) {
    expected.assert_eq(&shown(&planned(&set, pods)));
}

#[test]
fn in_order_each_waits_for_the_one_before() {
    let three = || set(3, json!({}));
    check(three(), &[], expect![["create 0"]]);
    check(three(), &[new(0, "unready")], expect![[""]]);
    check(three(), &[new(0, "ready")], expect![["create 1"]]);
    check(three(), &[new(0, "ready"), new(2, "ready")], expect![["create 1"]]);
    check(three(), &[new(0, "leaving"), new(1, "ready")], expect![[""]]);
    check(three(), &[new(0, "ready"), new(1, "Failed")], expect![["delete web-1"]]);
    // From the last on, and only while the others are well.
    check(set(1, json!({})), &[new(0, "ready"), new(1, "ready"), new(2, "ready")], expect![["delete web-2"]]);
    check(set(1, json!({})), &[new(0, "ready"), new(1, "ready"), new(2, "leaving")], expect![[""]]);
    check(set(1, json!({})), &[new(0, "unready"), new(1, "ready")], expect![[""]]);
    check(set(1, json!({})), &[new(0, "ready"), new(1, "unready")], expect![["delete web-1"]]);
    check(set(1, json!({})), &[new(0, "ready"), new(1, "unready"), new(2, "unready")], expect![[""]]);
}

#[test]
fn in_parallel_nobody_waits() {
    let parallel = |replicas| set(replicas, json!({ "podManagementPolicy": "Parallel" }));
    check(parallel(3), &[], expect![["create 0 create 1 create 2"]]);
    check(parallel(3), &[new(1, "unready")], expect![["create 0 create 2"]]);
    check(
        parallel(0),
        &[new(0, "ready"), new(1, "leaving"), new(2, "unready")],
        expect![["delete web-2 delete web-0"]],
    );
}

#[test]
fn numbers_may_begin_elsewhere() {
    let five = || set(2, json!({ "ordinals": { "start": 5 } }));
    check(five(), &[], expect![["create 5"]]);
    check(five(), &[new(5, "ready")], expect![["create 6"]]);
    check(five(), &[new(0, "ready"), new(5, "ready"), new(6, "ready")], expect![["delete web-0"]]);
    // A name that the set would not give is not one of its pods.
    let mut odd = Value::clone(&new(0, "ready"));
    odd["metadata"]["name"] = "web-05".into();
    check(five(), &[Arc::new(odd), new(5, "ready"), new(6, "ready")], expect![[""]]);
}

#[test]
fn an_update_goes_from_the_last_to_the_partition() {
    let all = [old(0, "ready"), old(1, "ready"), old(2, "ready")];
    let rolling = |rolling: Value| {
        set(3, json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": rolling } }))
    };
    check(rolling(json!({ "partition": 0, "maxUnavailable": 1 })), &all, expect![["delete web-2"]]);
    check(rolling(Value::Null), &all, expect![["delete web-2"]]);
    check(rolling(json!({ "partition": 2 })), &all, expect![["delete web-2"]]);
    check(rolling(json!({ "partition": 3 })), &all, expect![[""]]);
    check(rolling(json!({ "partition": 9 })), &all, expect![[""]]);
    check(
        rolling(json!({ "partition": 0, "maxUnavailable": 2 })),
        &all,
        expect![["delete web-2 delete web-1"]],
    );
    check(rolling(json!({ "partition": 0, "maxUnavailable": "10%" })), &all, expect![["delete web-2"]]);
    check(set(3, json!({ "updateStrategy": { "type": "OnDelete" } })), &all, expect![[""]]);
    let under_way = [old(0, "ready"), old(1, "ready"), new(2, "unready")];
    check(rolling(json!({ "partition": 0 })), &under_way, expect![[""]]);
    let one_done = [old(0, "ready"), old(1, "ready"), new(2, "ready")];
    check(rolling(json!({ "partition": 0 })), &one_done, expect![["delete web-1"]]);
}

#[test]
fn in_parallel_what_is_missing_already_is_replaced_first() {
    let pods = [old(0, "unready"), old(1, "ready"), old(2, "ready")];
    let parallel = |most: i64| {
        let rolling =
            json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0, "maxUnavailable": most } });
        set(3, json!({ "podManagementPolicy": "Parallel", "updateStrategy": rolling }))
    };
    check(parallel(1), &pods, expect![["delete web-0"]]);
    check(parallel(2), &pods, expect![["delete web-0 delete web-2"]]);
}

#[test]
fn a_pod_has_its_number_in_name_labels_and_host_name() {
    let set =
        set(3, json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } } }));
    let history = history();
    let world = World::new(&set, &history, &[], now());
    expect![[r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"app":"web","apps.kubernetes.io/pod-index":"2","controller-revision-hash":"web-new","statefulset.kubernetes.io/pod-name":"web-2"},"name":"web-2","ownerReferences":[{"uid":"u"}]},"spec":{"hostname":"web-2","image":"web-new","subdomain":"front"}}"#]]
        .assert_eq(&world.new_pod(2, json!({ "uid": "u" })).to_string());
    // Below the partition a pod comes back as it was.
    assert_eq!(world.new_pod(1, json!({}))["spec"]["image"], "web-old");
}

#[test]
fn the_status_counts_and_the_new_revision_becomes_the_current_one() {
    let tell = |set: &Value, pods: &[Arc<Value>]| {
        let history = history();
        let world = World::new(set, &history, pods, now());
        plan_status(&world, &plan(&world)).0.to_string()
    };
    let mut three = set(3, json!({}));
    expect![[r#"{"availableReplicas":2,"collisionCount":0,"currentReplicas":2,"currentRevision":"web-old","observedGeneration":1,"readyReplicas":2,"replicas":3,"updateRevision":"web-new","updatedReplicas":1}"#]].assert_eq(&tell(&three, &[old(0, "ready"), old(1, "ready"), new(2, "unready")]));
    expect![[r#"{"availableReplicas":3,"collisionCount":0,"currentReplicas":1,"currentRevision":"web-old","observedGeneration":1,"readyReplicas":3,"replicas":3,"updateRevision":"web-new","updatedReplicas":1}"#]].assert_eq(&tell(&three, &[old(0, "ready"), old(1, "ready"), new(2, "ready")]));
    expect![[r#"{"availableReplicas":3,"collisionCount":0,"currentReplicas":3,"currentRevision":"web-new","observedGeneration":1,"readyReplicas":3,"replicas":3,"updateRevision":"web-new","updatedReplicas":3}"#]].assert_eq(&tell(&three, &[new(0, "ready"), new(1, "ready"), new(2, "ready")]));
    three["spec"]["minReadySeconds"] = json!(400_000_000);
    let history = history();
    let pods = [new(0, "ready")];
    let world = World::new(&three, &history, &pods, now());
    let (status, again) = plan_status(&world, &plan(&world));
    assert_eq!((status["readyReplicas"].as_i64(), status["availableReplicas"].as_i64()), (Some(1), Some(0)));
    assert!(again.is_some_and(|again| again.as_secs() > 300_000_000));
}

/// A model in which pods come up and go one at a time, in an order that `chance` decides: from nothing to `size`, to the
/// new revision, to one.
fn live(size: i64, most: usize, policy: &str, mut chance: u64) {
    let rolling =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0, "maxUnavailable": most } });
    let with = |replicas| set(replicas, json!({ "podManagementPolicy": policy, "updateStrategy": rolling }));
    let mut pods: Vec<Arc<Value>> =
        (0..size).map(|n| old(usize::try_from(n).expect("few"), "ready")).collect();
    for target in [size, size + 2, 1] {
        for turn in 0.. {
            assert!(turn < 10_000, "it never ended");
            let plan = planned(&with(target), &pods);
            for gone in &plan.delete {
                pods.retain(|pod| name(pod) != name(gone));
                let ordinal = name(gone).trim_start_matches("web-").parse().expect("a number");
                pods.push(new(ordinal, "leaving"));
            }
            pods.extend(plan.create.iter().map(|ordinal| new(*ordinal, "unready")));
            let mut names: Vec<&str> = pods.iter().map(|pod| name(pod)).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), pods.len(), "a number was given twice");
            let moving: Vec<usize> = (0..pods.len()).filter(|at| !pod::is_ready(&pods[*at])).collect();
            if policy == "OrderedReady" {
                assert!(moving.len() <= most, "{} are not ready", moving.len());
            }
            if moving.is_empty() {
                break;
            }
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = moving[(chance >> 33) as usize % moving.len()];
            let pod = pods.remove(at);
            if !pod::is_deleting(&pod) {
                pods.push(new(name(&pod).trim_start_matches("web-").parse().expect("a number"), "ready"));
            }
        }
        assert_eq!(i64::try_from(pods.len()), Ok(target));
        assert!(pods.iter().all(|pod| pod["metadata"]["labels"]["controller-revision-hash"] == "web-new"));
    }
}

#[test]
fn every_life_keeps_its_promises_and_ends() {
    for policy in ["OrderedReady", "Parallel"] {
        for (size, most) in [(1, 1), (3, 1), (5, 2), (4, 4)] {
            for chance in 0..20 {
                live(size, most, policy, chance);
            }
        }
    }
}

fn with_claims(policy: Value) -> Value {
    let mut set = set(
        2,
        json!({
            "selector": { "matchLabels": { "app": "web" } },
            "volumeClaimTemplates": [{ "metadata": { "name": "data", "labels": { "l": "1" } }, "spec": { "s": 1 } }],
            "persistentVolumeClaimRetentionPolicy": policy,
        }),
    );
    set["metadata"]["namespace"] = "ns".into();
    set
}

#[test]
fn each_pod_has_its_claims() {
    let set = with_claims(json!({}));
    let history = history();
    let pod = World::new(&set, &history, &[], now()).new_pod(1, json!({}));
    expect![[r#"[{"name":"data","persistentVolumeClaim":{"claimName":"data-web-1"}}]"#]]
        .assert_eq(&pod["spec"]["volumes"].to_string());
    let needs = claims::plan_needs(&set, "web-1", |_| None);
    expect![[r#"[{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"labels":{"app":"web","l":"1"},"name":"data-web-1","namespace":"ns"},"spec":{"s":1}}]"#]]
        .assert_eq(&Value::from(needs.create).to_string());
    let there = |claim: Value| move |_: &str| Some(Arc::new(claim.clone()));
    assert_eq!(claims::plan_needs(&set, "web-1", there(json!({}))), claims::Needs::default());
    let leaving = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    assert_eq!(claims::plan_needs(&set, "web-1", there(leaving)).leaving, ["data-web-1"]);
    let stale =
        json!({ "metadata": { "ownerReferences": [{ "kind": "Pod", "name": "web-1", "uid": "1" }] } });
    assert_eq!(claims::plan_needs(&set, "web-1", there(stale)).leaving, ["data-web-1"]);
    assert!(claims::is_named_by(&set, "data-web-12") && !claims::is_named_by(&set, "data-web-x"));
}

#[test]
fn claims_go_with_what_the_policy_says() {
    let owners = |policy: Value| {
        let set = with_claims(policy);
        let numbered = |ordinal: usize| {
            let mut pod = Value::clone(&new(ordinal, "ready"));
            pod["metadata"]["uid"] = format!("p{ordinal}").into();
            Arc::new(pod)
        };
        let pods = [numbered(0), numbered(2)];
        let history = history();
        let world = World::new(&set, &history, &pods, now());
        let claim = |name: &str| Some(Arc::new(json!({ "metadata": { "name": name } })));
        let mut text = String::new();
        for (claim, owners) in claims::plan_owners(&world, claim) {
            for owner in owners {
                write!(text, "{}:{} ", name(&claim), owner["uid"]).expect("a string");
            }
        }
        text
    };
    assert_eq!(owners(json!({ "whenDeleted": "Retain", "whenScaled": "Retain" })), "");
    assert_eq!(owners(json!({ "whenDeleted": "Delete" })), "data-web-0:\"u\" data-web-2:\"u\" ");
    assert_eq!(owners(json!({ "whenScaled": "Delete" })), "data-web-2:\"p2\" ");
    let both = json!({ "whenDeleted": "Delete", "whenScaled": "Delete" });
    assert_eq!(owners(both), "data-web-0:\"u\" data-web-2:\"p2\" ");
}
