//! Who goes: nodes, pods on them, and a pod that wants in, as data.

use std::sync::Arc;

use client::Key;
use serde_json::{Value, json};

use super::preempt;
use crate::snapshot::{PodInfo, Snapshot};

fn pod(name: &str, priority: i64, cpu: &str, started: &str) -> Value {
    json!({
        "metadata": { "namespace": "ns", "name": name },
        "spec": { "priority": priority, "containers": [{ "resources": { "requests": { "cpu": cpu } } }] },
        "status": { "startTime": started },
    })
}

/// Nodes of four cores each, with pods as (node, name, priority, cpu, start).
fn decide(pods: &[(&str, &str, i64, &str, &str)], wants: &Value) -> String {
    let mut snapshot = Snapshot::default();
    for name in ["a", "b"] {
        let allocatable = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
        let labels = json!({ "kubernetes.io/hostname": name });
        let node = json!({ "metadata": { "name": name, "labels": labels }, "status": { "allocatable": allocatable } });
        snapshot.put_node(Arc::new(node));
    }
    for (node, name, priority, cpu, started) in pods {
        let info = PodInfo::of(Arc::new(pod(name, *priority, cpu, started)));
        snapshot.put_pod(Key::new("ns", *name), node, info);
    }
    match preempt(&PodInfo::of(Arc::new(wants.clone())), &snapshot) {
        None => "nothing".to_owned(),
        Some(found) => {
            let names: Vec<_> = found.victims.iter().map(|key| key.name.as_str()).collect();
            format!("{}: {}", found.node, names.join(" "))
        }
    }
}

#[test]
fn only_less_important_pods_go() {
    let full = [("a", "x", 10, "4", ""), ("b", "y", 10, "4", "")];
    assert_eq!(decide(&full, &pod("p", 10, "1", "")), "nothing");
    assert_eq!(decide(&full, &pod("p", 5, "1", "")), "nothing");
    let mut polite = pod("p", 20, "1", "");
    polite["spec"]["preemptionPolicy"] = "Never".into();
    assert_eq!(decide(&full, &polite), "nothing");
    assert_eq!(decide(&full, &pod("p", 20, "5", "")), "nothing", "no node is that large");
}

#[test]
fn the_least_important_and_as_few_as_possible() {
    let pods = [("a", "x", 10, "2", ""), ("a", "y", 5, "2", ""), ("b", "z", 10, "4", "")];
    assert_eq!(decide(&pods, &pod("p", 20, "2", "")), "a: y");
    assert_eq!(decide(&pods, &pod("p", 20, "3", "")), "b: z", "one pod rather than two of the same rank");
    assert_eq!(decide(&pods, &pod("p", 7, "2", "")), "a: y");
}

#[test]
fn of_equals_the_youngest_goes() {
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let pods = [("a", "old", 1, "4", early), ("b", "new", 1, "4", late)];
    assert_eq!(decide(&pods, &pod("p", 2, "1", "")), "b: new");
    let pods = [("a", "old", 1, "2", early), ("a", "new", 1, "2", late), ("b", "z", 9, "4", "")];
    assert_eq!(decide(&pods, &pod("p", 2, "2", "")), "a: new");
}
