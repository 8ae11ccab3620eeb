//! DaemonSets as data: which nodes, which pods next, and whole updates against a model of nodes.

use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use object::time::Timestamp;
use serde_json::{Value, json};

use super::plan::{Fit, Plan, World, fit, plan_nodes, plan_update, template_for};
use super::status::plan_status;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

fn set(strategy: Value) -> Value {
    json!({
        "metadata": { "name": "agent", "namespace": "ns", "uid": "u", "generation": 1 },
        "spec": { "updateStrategy": strategy, "template": { "metadata": { "labels": { "app": "agent" } },
            "spec": { "containers": [] } } },
    })
}

fn rolling(unavailable: Value, surge: Value) -> Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": unavailable, "maxSurge": surge } })
}

fn node(name: &str) -> Value {
    json!({ "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } }, "spec": {} })
}

fn nodes(names: &[&str]) -> Vec<Arc<Value>> {
    names.iter().map(|name| Arc::new(node(name))).collect()
}

/// A pod on a node, of a revision; `state` is one of ready, unready, leaving, Failed, Succeeded.
fn pod(name: &str, node: &str, hash: &str, state: &str) -> Arc<Value> {
    let mut pod = json!({
        "metadata": { "name": name, "labels": { "controller-revision-hash": hash },
            "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "nodeName": node },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "lastTransitionTime": "2026-01-01T00:00:00Z",
            "status": if state == "ready" { "True" } else { "False" } }] },
    });
    match state {
        "leaving" => pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        "Failed" | "Succeeded" => pod["status"]["phase"] = state.into(),
        _ => {}
    }
    Arc::new(pod)
}

fn shown(plan: &Plan) -> String {
    let mut text = String::new();
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for node in &plan.create {
        writeln!(text, "create on {node}").expect("a string");
    }
    for pod in &plan.delete {
        writeln!(text, "delete {}", name(pod)).expect("a string");
    }
    for (node, pod) in &plan.failed {
        writeln!(text, "{} ended on {node}", name(pod)).expect("a string");
    }
    text
}

/// The plan of a turn, as the controller puts it together; the hash of the current template is `b`.
fn turn(set: &Value, nodes: &[Arc<Value>], pods: &[Arc<Value>]) -> Plan {
    let world = World::new(set, "b", nodes, pods, now());
    let plan = plan_nodes(&world);
    if plan.is_empty() { plan_update(&world) } else { plan }
}

#[expect(clippy::needless_pass_by_value, reason = "expectations are written in place")]
fn check(strategy: Value, names: &[&str], pods: &[Arc<Value>], expected: Expect) {
    expected.assert_eq(&shown(&turn(&set(strategy), &nodes(names), pods)));
}

#[test]
fn nodes_that_take_it() {
    let fits = |template: Value, change: &dyn Fn(&mut Value)| {
        let (mut set, mut node) = (set(json!({})), node("n1"));
        set["spec"]["template"]["spec"] = template;
        change(&mut node);
        fit(&set, &node)
    };
    let as_it_is = |_: &mut Value| {};
    let taint = |key: &'static str, effect: &'static str| {
        move |node: &mut Value| node["spec"]["taints"] = json!([{ "key": key, "effect": effect }])
    };
    assert_eq!(fits(json!({}), &as_it_is), Fit::Runs);
    assert_eq!(fits(json!({ "nodeName": "n2" }), &as_it_is), Fit::No);
    assert_eq!(fits(json!({ "nodeSelector": { "disk": "ssd" } }), &as_it_is), Fit::No);
    assert_eq!(fits(json!({}), &taint("mine", "NoSchedule")), Fit::MayStay);
    assert_eq!(fits(json!({}), &taint("mine", "NoExecute")), Fit::No);
    assert_eq!(fits(json!({}), &taint("mine", "PreferNoSchedule")), Fit::Runs);
    let tolerations = json!({ "tolerations": [{ "key": "mine", "operator": "Exists" }] });
    assert_eq!(fits(tolerations, &taint("mine", "NoExecute")), Fit::Runs);
    // It runs where nothing else does.
    for key in ["node.kubernetes.io/disk-pressure", "node.kubernetes.io/unschedulable"] {
        assert_eq!(fits(json!({}), &taint(key, "NoSchedule")), Fit::Runs, "{key}");
    }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        assert_eq!(fits(json!({}), &taint(key, "NoExecute")), Fit::Runs, "{key}");
    }
    let network = taint("node.kubernetes.io/network-unavailable", "NoSchedule");
    assert_eq!(fits(json!({}), &network), Fit::MayStay);
    assert_eq!(fits(json!({ "hostNetwork": true }), &network), Fit::Runs);
}

#[test]
fn a_pod_is_bound_to_its_node_by_affinity() {
    let mut set = set(json!({}));
    set["spec"]["template"]["spec"]["affinity"] = json!({ "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchExpressions": [] }] },
        "preferredDuringSchedulingIgnoredDuringExecution": [] } });
    let template = template_for(&set, "n1", "b");
    expect![[r#"{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[],"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]}}}"#]]
        .assert_eq(&template["spec"]["affinity"].to_string());
    assert_eq!(template["metadata"]["labels"], json!({ "app": "agent", "controller-revision-hash": "b" }));
    assert_eq!(template["spec"]["tolerations"].as_array().map(Vec::len), Some(6));
}

#[test]
fn one_pod_on_every_node_and_none_elsewhere() {
    let mut two_of_them = nodes(&["n1", "n2", "n3", "n4"]);
    let mut tainted = node("n4");
    tainted["spec"]["taints"] = json!([{ "key": "x", "effect": "NoExecute" }]);
    two_of_them[3] = Arc::new(tainted);
    let mut waiting = Value::clone(&pod("e", "", "b", "unready"));
    waiting["spec"]["nodeName"] = Value::Null;
    waiting["spec"]["affinity"] = template_for(&set(json!({})), "gone", "b")["spec"]["affinity"].clone();
    let pods = [
        pod("a", "n1", "b", "ready"),
        pod("b", "n1", "b", "ready"),
        pod("c", "n3", "b", "Failed"),
        pod("d", "n4", "b", "ready"),
        Arc::new(waiting),
    ];
    let plan = turn(&set(rolling(json!(1), json!(0))), &two_of_them, &pods);
    expect![[r#"
        create on n2
        delete b
        delete d
        delete e
        c ended on n3
    "#]]
    .assert_eq(&shown(&plan));
}

#[test]
fn old_pods_go_as_many_as_may_be_missing() {
    let old = |n: usize, state| pod(&format!("old{n}"), &format!("n{n}"), "a", state);
    let names = ["n1", "n2", "n3", "n4"];
    let all: Vec<_> = (1..=4).map(|n| old(n, "ready")).collect();
    check(
        rolling(json!(1), json!(0)),
        &names,
        &all,
        expect![[r#"
        delete old1
    "#]],
    );
    check(
        rolling(json!("50%"), json!(0)),
        &names,
        &all,
        expect![[r#"
        delete old1
        delete old2
    "#]],
    );
    check(json!({ "type": "OnDelete" }), &names, &all, expect![[""]]);
    // What does not run anyway goes first, and counts.
    let broken = [old(1, "ready"), old(2, "unready"), old(3, "ready"), pod("new4", "n4", "b", "ready")];
    check(
        rolling(json!(1), json!(0)),
        &names,
        &broken,
        expect![[r#"
        delete old2
    "#]],
    );
    check(
        rolling(json!(2), json!(0)),
        &names,
        &broken,
        expect![[r#"
        delete old2
        delete old1
    "#]],
    );
    // One that leaves is missing until there is a new one.
    let leaving = [old(1, "leaving"), old(2, "ready")];
    check(rolling(json!(1), json!(0)), &names[..2], &leaving, expect![[""]]);
}

#[test]
fn new_pods_come_beside_old_ones_where_they_may() {
    let names = ["n1", "n2", "n3"];
    let old = |n: usize, state| pod(&format!("old{n}"), &format!("n{n}"), "a", state);
    let all = [old(1, "ready"), old(2, "ready"), old(3, "unready")];
    check(
        rolling(json!(0), json!(1)),
        &names,
        &all,
        expect![[r#"
        create on n3
        create on n1
    "#]],
    );
    let with_new =
        |state| vec![old(1, "ready"), pod("new1", "n1", "b", state), old(2, "ready"), old(3, "ready")];
    check(rolling(json!(0), json!(1)), &names, &with_new("unready"), expect![[""]]);
    check(
        rolling(json!(0), json!(1)),
        &names,
        &with_new("ready"),
        expect![[r#"
        delete old1
    "#]],
    );
}

#[test]
fn the_status_counts_nodes() {
    let mut tainted = node("n4");
    tainted["spec"]["taints"] = json!([{ "key": "x", "effect": "NoSchedule" }]);
    let mut all = nodes(&["n1", "n2", "n3"]);
    all.push(Arc::new(tainted));
    let pods = [pod("a", "n1", "b", "ready"), pod("b", "n2", "a", "unready"), pod("c", "n4", "a", "ready")];
    let mut set = set(rolling(json!(1), json!(0)));
    let status = plan_status(&World::new(&set, "b", &all, &pods, now())).0;
    expect![[r#"{"currentNumberScheduled":2,"desiredNumberScheduled":3,"numberAvailable":1,"numberMisscheduled":1,"numberReady":1,"numberUnavailable":2,"observedGeneration":1,"updatedNumberScheduled":1}"#]].assert_eq(&status.to_string());
    set["spec"]["minReadySeconds"] = json!(400_000_000);
    let (status, again) = plan_status(&World::new(&set, "b", &all, &pods, now()));
    assert_eq!((status["numberReady"].as_i64(), status.get("numberAvailable")), (Some(1), None));
    assert!(again.is_some_and(|again| again.as_secs() > 300_000_000));
}

/// A model of some nodes on which pods come and go one at a time, in an order that `chance` decides. On the way no more
/// pods are missing, and no more nodes have two, than the strategy allows.
fn roll_out(count: usize, unavailable: usize, surge: usize, mut chance: u64) {
    let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (set, nodes) = (set(rolling(json!(unavailable), json!(surge))), nodes(&names));
    let mut pods: Vec<Arc<Value>> =
        names.iter().map(|node| pod(&format!("old-{node}"), node, "a", "ready")).collect();
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for _ in 0..10_000 {
        let plan = turn(&set, &nodes, &pods);
        pods.retain(|pod| !plan.delete.iter().any(|gone| name(gone) == name(pod)));
        pods.extend(plan.create.iter().map(|node| pod(&format!("new-{node}"), node, "b", "unready")));
        let ready =
            |node: &str| pods.iter().any(|pod| pod["spec"]["nodeName"] == node && crate::pod::is_ready(pod));
        let missing = names.iter().filter(|node| !ready(node)).count();
        assert!(missing <= unavailable, "{missing} are missing");
        assert!(pods.len() <= count + surge, "there are {}", pods.len());
        if pods.len() == count
            && pods.iter().all(|pod| name(pod).starts_with("new") && crate::pod::is_ready(pod))
        {
            return;
        }
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unready: Vec<usize> = (0..pods.len()).filter(|at| !crate::pod::is_ready(&pods[*at])).collect();
        if let Some(at) = unready.get((chance >> 33) as usize % unready.len().max(1)) {
            let node = pods[*at]["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
            pods[*at] = pod(&name(&pods[*at]), &node, "b", "ready");
        }
    }
    panic!("the update never ended");
}

#[test]
fn every_update_keeps_its_promises_and_ends() {
    for (count, unavailable, surge) in [(1, 1, 0), (5, 1, 0), (7, 3, 0), (1, 0, 1), (5, 0, 2), (4, 0, 4)] {
        for chance in 0..20 {
            roll_out(count, unavailable, surge, chance);
        }
    }
}
