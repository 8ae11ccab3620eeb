//! Decisions as data: nodes, pods that are there, a pod to place, and what comes out.

use std::sync::Arc;

use client::{Change, Key};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{Placement, place};
use crate::snapshot::{PodInfo, Snapshot};
use crate::storage::Part;

/// Reads `{ nodes: [..], pods: [..], pod: .. }` in YAML-like JSON, with what is usual left out.
fn decide(case: &Value) -> String {
    let mut snapshot = Snapshot::default();
    let list = |name: &str| case[name].as_array().cloned().unwrap_or_default();
    for node in list("nodes") {
        let mut node = node;
        let name = node["name"].clone();
        node["metadata"] = json!({ "name": name, "labels": node["labels"] });
        node["metadata"]["labels"]["kubernetes.io/hostname"] = name;
        if node["status"].is_null() {
            let allocatable = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
            node["status"] = json!({ "allocatable": allocatable });
        }
        snapshot.put_node(Arc::new(node));
    }
    for (index, pod) in list("pods").into_iter().enumerate() {
        let node = pod["on"].as_str().unwrap_or("a").to_owned();
        snapshot.put_pod(Key::new("ns", index.to_string()), &node, PodInfo::of(Arc::new(as_pod(pod))));
    }
    storage(case, &mut snapshot);
    match place(&PodInfo::of(Arc::new(as_pod(case["pod"].clone()))), &snapshot) {
        Placement::Node(name) => name,
        Placement::Nowhere(message) => message,
    }
}

fn as_pod(mut pod: Value) -> Value {
    let namespace = pod["namespace"].as_str().unwrap_or("ns").to_owned();
    pod["metadata"] =
        json!({ "namespace": namespace, "labels": pod["labels"], "ownerReferences": pod["owners"] });
    if pod["spec"].is_null() {
        pod["spec"] = json!({});
    }
    if !pod["asks"].is_null() {
        pod["spec"]["containers"] = json!([{ "resources": { "requests": pod["asks"] } }]);
    }
    pod
}

#[expect(clippy::needless_pass_by_value, reason = "cases and expectations are written in place")]
fn check(case: Value, expected: Expect) {
    expected.assert_eq(&decide(&case));
}

#[test]
fn without_nodes() {
    check(json!({ "pod": {} }), expect!["no nodes available to schedule pods"]);
}

#[test]
fn the_emptier_node_is_taken() {
    check(
        json!({ "nodes": [{ "name": "a" }, { "name": "b" }],
            "pods": [{ "on": "a", "asks": { "cpu": "1" } }], "pod": { "asks": { "cpu": "1" } } }),
        expect!["b"],
    );
}

#[test]
fn siblings_are_spread() {
    let owners = json!([{ "uid": "set", "controller": true }]);
    check(
        json!({ "nodes": [{ "name": "a" }, { "name": "b" }],
            "pods": [{ "on": "b", "owners": owners }, { "on": "a" }, { "on": "a" }], "pod": { "owners": owners } }),
        expect!["a"],
    );
}

#[test]
fn resources_run_out() {
    let full = json!([{ "on": "a", "asks": { "cpu": "3", "memory": "7Gi" } }]);
    check(
        json!({ "nodes": [{ "name": "a" }], "pods": full, "pod": { "asks": { "cpu": "2", "memory": "2Gi" } } }),
        expect![
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        ],
    );
    check(
        json!({ "nodes": [{ "name": "a" }], "pod": { "asks": { "memory": "9Gi" } } }),
        expect![
            "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        ],
    );
    check(
        json!({ "nodes": [{ "name": "a", "status": { "allocatable": { "pods": "0" } } }],
            "pod": { "asks": { "example.com/gpu": "1" } } }),
        expect![
            "0/1 nodes are available: 1 Insufficient example.com/gpu, 1 Too many pods. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        ],
    );
    check(
        json!({ "nodes": [{ "name": "a" }],
            "pod": { "asks": { "memory": "9Gi" }, "spec": { "preemptionPolicy": "Never" } } }),
        expect![
            "0/1 nodes are available: 1 Insufficient memory. preemption: not eligible due to preemptionPolicy=Never."
        ],
    );
}

#[test]
fn initialization_counts_by_its_greediest_step() {
    let asks = |cpu: &str| json!({ "requests": { "cpu": cpu } });
    let pod = json!({ "spec": {
        "containers": [{ "resources": asks("1") }],
        "initContainers": [
            { "resources": asks("500m"), "restartPolicy": "Always" },
            { "resources": asks("3") },
        ],
        "overhead": { "cpu": "250m" },
    }});
    assert_eq!(crate::Amounts::of_pod(&pod).get("cpu"), 3750);
}

#[test]
fn taints_keep_away_and_tolerations_let_in() {
    let nodes = json!([
        { "name": "a", "spec": { "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] } },
        { "name": "b", "spec": { "unschedulable": true } },
    ]);
    check(
        json!({ "nodes": nodes, "pod": {} }),
        expect![
            "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        ],
    );
    let tolerating =
        |toleration: Value| json!({ "nodes": nodes, "pod": { "spec": { "tolerations": [toleration] } } });
    check(tolerating(json!({ "key": "gpu", "operator": "Equal", "value": "yes" })), expect!["a"]);
    check(tolerating(json!({ "key": "gpu", "operator": "Exists", "effect": "NoSchedule" })), expect!["a"]);
    check(
        tolerating(json!({ "key": "node.kubernetes.io/unschedulable", "operator": "Exists" })),
        expect!["b"],
    );
    assert!(decide(&tolerating(json!({ "key": "gpu", "value": "no" }))).starts_with("0/2"));
}

#[test]
fn selectors_and_node_affinity() {
    let nodes = json!([{ "name": "a", "labels": { "disk": "hdd", "size": "3" } }, { "name": "b", "labels": { "disk": "ssd", "size": "7" } }]);
    check(json!({ "nodes": nodes, "pod": { "spec": { "nodeSelector": { "disk": "ssd" } } } }), expect!["b"]);
    check(
        json!({ "nodes": nodes, "pod": { "spec": { "nodeSelector": { "disk": "tape" } } } }),
        expect![
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        ],
    );
    let required = |expression: Value| {
        json!({ "nodes": nodes, "pod": { "spec": { "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [expression] }] } } } } } })
    };
    check(required(json!({ "key": "size", "operator": "Gt", "values": ["5"] })), expect!["b"]);
    check(required(json!({ "key": "size", "operator": "Lt", "values": ["5"] })), expect!["a"]);
    check(required(json!({ "key": "disk", "operator": "NotIn", "values": ["hdd"] })), expect!["b"]);
    let preferred = json!([{ "weight": 10, "preference": { "matchExpressions": [
        { "key": "disk", "operator": "In", "values": ["ssd"] }] } }]);
    check(
        json!({ "nodes": nodes, "pods": [{ "on": "b", "asks": { "cpu": "1" } }], "pod": { "spec": { "affinity": {
            "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": preferred } } } } }),
        expect!["b"],
    );
}

#[test]
fn host_ports_meet() {
    let ports =
        |address: &str| json!({ "containers": [{ "ports": [{ "hostPort": 80, "hostIP": address }] }] });
    let case = |there: &str, comes: &str| json!({ "nodes": [{ "name": "a" }], "pods": [{ "spec": ports(there) }], "pod": { "spec": ports(comes) } });
    check(
        case("0.0.0.0", "127.0.0.1"),
        expect![
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        ],
    );
    check(case("127.0.0.2", "127.0.0.1"), expect!["a"]);
}

fn zones() -> Value {
    json!([
        { "name": "a", "labels": { "zone": "1" } }, { "name": "b", "labels": { "zone": "2" } },
        { "name": "c" },
    ])
}

#[test]
fn spreading_over_zones() {
    let constraint = |skew: i64| {
        json!([{ "maxSkew": skew, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": { "matchLabels": { "app": "web" } } }])
    };
    let web = json!({ "app": "web" });
    let case = |there: &[&str], skew: i64, affinity: Value| {
        let pods: Vec<Value> = there.iter().map(|node| json!({ "on": node, "labels": web })).collect();
        json!({ "nodes": zones(), "pods": pods, "pod": { "labels": web, "spec": {
            "topologySpreadConstraints": constraint(skew), "nodeSelector": affinity } } })
    };
    check(case(&["a"], 1, json!({})), expect!["b"]);
    check(
        case(&["a"], 1, json!({ "kubernetes.io/hostname": "a" })),
        // With the selector honoured only zone 1 counts, and one zone is never uneven.
        expect!["a"],
    );
    check(case(&["b", "b"], 1, json!({})), expect!["a"]);
    let mut narrow = case(&["a"], 1, json!({}));
    narrow["nodes"][1]["spec"]["unschedulable"] = true.into();
    check(
        narrow,
        expect![
            "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod topology spread constraints (missing required label), 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
        ],
    );
}

fn term(app: &str) -> Value {
    json!({ "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": "zone", "labelSelector": { "matchLabels": { "app": app } } }] })
}

#[test]
fn pods_that_want_to_be_together_or_apart() {
    let case = |kind: &str, app: &str, on: &str| {
        json!({ "nodes": zones(), "pods": [{ "on": on, "labels": { "app": "db" } }],
            "pod": { "labels": { "app": "web" }, "spec": { "affinity": { kind: term(app) } } } })
    };
    check(case("podAffinity", "db", "b"), expect!["b"]);
    check(
        case("podAffinity", "cache", "b"),
        expect![
            "0/3 nodes are available: 3 node(s) didn't match pod affinity rules. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
        ],
    );
    assert_ne!(decide(&case("podAntiAffinity", "db", "a")), "a");
    // The first of its kind has nobody to join yet, and may begin where the label is.
    assert!(["a", "b"].contains(&decide(&case("podAffinity", "web", "a")).as_str()));
}

#[test]
fn pods_that_are_there_may_keep_others_away() {
    let there = json!([{ "on": "a", "spec": { "affinity": { "podAntiAffinity": term("web") } } }]);
    let nodes = json!([{ "name": "a", "labels": { "zone": "1" } }]);
    check(
        json!({ "nodes": nodes, "pods": there, "pod": { "labels": { "app": "web" } } }),
        expect![
            "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        ],
    );
    check(json!({ "nodes": nodes, "pods": there, "pod": { "labels": { "app": "other" } } }), expect!["a"]);
}

fn storage(case: &Value, snapshot: &mut Snapshot) {
    for (name, part) in [("claims", Part::Claim), ("volumes", Part::Volume), ("classes", Part::Class)] {
        for object in case[name].as_array().cloned().unwrap_or_default() {
            let key = Key::of(&object);
            snapshot.storage.see(part, &Change { key, old: None, new: Some(Arc::new(object)) });
        }
    }
}

/// A pod with the claim `c` on two nodes, of which `b` is in the west.
fn with_claim(claim: &Value, volumes: &Value, expected: &Expect) {
    let mut case = json!({
        "nodes": [{ "name": "a" }, { "name": "b", "labels": { "zone": "west" } }],
        "pod": { "spec": { "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "c" } }] } },
        "volumes": volumes,
        "classes": [
            { "metadata": { "name": "late" }, "provisioner": "p", "volumeBindingMode": "WaitForFirstConsumer" },
            { "metadata": { "name": "hand" }, "provisioner": "kubernetes.io/no-provisioner",
                "volumeBindingMode": "WaitForFirstConsumer" },
            { "metadata": { "name": "now" }, "provisioner": "p", "volumeBindingMode": "Immediate" } ],
    });
    if !claim.is_null() {
        let mut claim = claim.clone();
        claim["metadata"]["namespace"] = "ns".into();
        claim["metadata"]["name"] = "c".into();
        if claim["spec"]["accessModes"].is_null() {
            claim["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
        }
        case["claims"] = json!([claim]);
    }
    if claim["used"] == true {
        case["pods"] = json!([{ "on": "a", "spec": case["pod"]["spec"] }]);
    }
    expected.assert_eq(&decide(&case));
}

#[test]
fn claims_decide_where_a_pod_may_run() {
    let none = json!([]);
    let west = |name: &str, class: &str| {
        json!([{ "metadata": { "name": name }, "status": { "phase": "Available" },
            "spec": { "storageClassName": class, "accessModes": ["ReadWriteOnce"], "nodeAffinity": { "required": {
                "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["west"] }] }] } } } }])
    };
    let of = |class: &str| json!({ "spec": { "storageClassName": class } });
    let bound = || json!({ "spec": { "volumeName": "v" }, "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } } });
    with_claim(
        &Value::Null,
        &none,
        &expect![[
            r#"0/2 nodes are available: persistentvolumeclaim "c" not found. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."#
        ]],
    );
    with_claim(
        &of("now"),
        &none,
        &expect![
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        ],
    );
    with_claim(&bound(), &west("v", ""), &expect!["b"]);
    with_claim(
        &bound(),
        &none,
        &expect![
            "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s). preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        ],
    );
    with_claim(&of("late"), &none, &expect!["a"]);
    with_claim(
        &of("hand"),
        &none,
        &expect![
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        ],
    );
    with_claim(&of("hand"), &west("v", "hand"), &expect!["b"]);
    let mut selected = of("late");
    selected["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "b".into();
    with_claim(&selected, &none, &expect!["b"]);
    let mut leaving = bound();
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    with_claim(
        &leaving,
        &none,
        &expect![[
            r#"0/2 nodes are available: persistentvolumeclaim "c" is being deleted. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."#
        ]],
    );
    let mut alone = bound();
    alone["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
    with_claim(&alone, &west("v", ""), &expect!["b"]);
    alone["used"] = true.into();
    with_claim(
        &alone,
        &west("v", ""),
        &expect![
            "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
        ],
    );
}

#[test]
fn what_is_not_supported_is_said() {
    let weighted = json!([{ "weight": 1, "podAffinityTerm": { "topologyKey": "zone",
        "namespaceSelector": { "matchLabels": { "team": "a" } } } }]);
    check(
        json!({ "nodes": [{ "name": "a" }], "pod": { "spec": { "affinity": { "podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": weighted } } } } }),
        expect![
            "0/1 nodes are available: namespaceSelector of pod affinity is not supported by this scheduler. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        ],
    );
}

#[test]
fn a_pod_that_leaves_makes_room() {
    let mut snapshot = Snapshot::default();
    let node =
        json!({ "metadata": { "name": "a" }, "status": { "allocatable": { "cpu": "1", "pods": "9" } } });
    assert!(snapshot.put_node(Arc::new(node.clone())), "a new node helps");
    assert!(!snapshot.put_node(Arc::new(node)), "the same node again does not");
    let pod = PodInfo::of(Arc::new(as_pod(json!({ "asks": { "cpu": "1" } }))));
    let key = Key::new("ns", "one");
    snapshot.put_pod(key.clone(), "a", pod.clone());
    assert!(matches!(place(&pod, &snapshot), Placement::Nowhere(_)));
    snapshot.put_pod(key.clone(), "a", pod.clone());
    assert!(snapshot.remove_pod(&key) && !snapshot.remove_pod(&key));
    assert_eq!(place(&pod, &snapshot), Placement::Node("a".into()));
}
