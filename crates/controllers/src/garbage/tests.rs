//! The graph of owners as data: objects come and go, and the graph says what is to be done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use client::{Change, Key, Propagation};
use serde_json::{Value, json};

use super::graph::{Answer, Decision, Graph};

fn object(uid: &str, owners: &[&str]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({ "uid": owner, "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "blockOwnerDeletion": true })
        })
        .collect();
    json!({ "metadata": { "name": uid, "namespace": "ns", "uid": uid, "ownerReferences": owners } })
}

fn leaving(uid: &str, owners: &[&str], finalizer: &str) -> Value {
    let mut object = object(uid, owners);
    object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    object["metadata"]["finalizers"] = json!([finalizer]);
    object
}

fn see(graph: &mut Graph, old: Option<Value>, new: Option<Value>) -> Vec<String> {
    let key = Key::of(new.as_ref().or(old.as_ref()).expect("one of them"));
    let mut look = graph.see(0, &Change { key, old: old.map(Arc::new), new: new.map(Arc::new) });
    look.sort();
    look
}

fn add(graph: &mut Graph, object: Value) -> Vec<String> {
    see(graph, None, Some(object))
}

fn decide(graph: &Graph, uid: &str) -> Decision {
    graph.decide(uid, &HashMap::new())
}

fn told(graph: &Graph, uid: &str, owner: &str, answer: Answer) -> Decision {
    graph.decide(uid, &HashMap::from([(owner.to_owned(), answer)]))
}

const BACKGROUND: Decision = Decision::Delete { propagation: Propagation::Background, unblock: false };

#[test]
fn when_the_owner_goes_its_dependents_are_looked_at() {
    let mut graph = Graph::default();
    add(&mut graph, object("root", &[]));
    assert_eq!(add(&mut graph, object("child", &["root"])), ["child"]);
    assert_eq!(decide(&graph, "child"), Decision::Nothing);
    assert_eq!(see(&mut graph, Some(object("root", &[])), None), ["child"]);
    assert!(
        matches!(decide(&graph, "child"), Decision::Ask(_)),
        "a watch may lag: the API has the last word"
    );
    assert_eq!(told(&graph, "child", "root", Answer::Gone), BACKGROUND);
}

#[test]
fn of_two_owners_the_one_that_is_gone_is_dropped() {
    let mut graph = Graph::default();
    add(&mut graph, object("kept", &[]));
    add(&mut graph, object("child", &["kept", "gone"]));
    let drop = Decision::Drop(HashSet::from(["gone".to_owned()]));
    assert_eq!(told(&graph, "child", "gone", Answer::Gone), drop);
}

#[test]
fn an_owner_that_nobody_has_seen_is_asked_for_until_it_is_known_or_gone() {
    let mut graph = Graph::default();
    add(&mut graph, object("child", &["root"]));
    assert!(matches!(decide(&graph, "child"), Decision::Ask(_)));
    assert_eq!(told(&graph, "child", "root", Answer::There), Decision::Again);
    assert_eq!(told(&graph, "child", "root", Answer::Unclear), Decision::Nothing);
    let seen_at_its_end = see(&mut graph, Some(object("root", &[])), None);
    assert_eq!(seen_at_its_end, ["child"], "it came and went between two looks");
    add(&mut graph, object("root", &[]));
    assert_eq!(decide(&graph, "child"), Decision::Nothing);
}

#[test]
fn in_the_foreground_the_owner_waits_for_its_dependents() {
    let mut graph = Graph::default();
    add(&mut graph, object("root", &[]));
    add(&mut graph, object("child", &["root"]));
    let root = leaving("root", &[], "foregroundDeletion");
    assert_eq!(see(&mut graph, Some(object("root", &[])), Some(root)), ["root"]);
    assert_eq!(decide(&graph, "root"), Decision::Wait(vec!["child".into()]));
    assert_eq!(decide(&graph, "child"), BACKGROUND);
    assert_eq!(see(&mut graph, Some(object("child", &["root"])), None), ["root"]);
    assert_eq!(decide(&graph, "root"), Decision::Release);
}

#[test]
fn a_dependent_with_dependents_goes_in_the_foreground_too() {
    let mut graph = Graph::default();
    add(&mut graph, leaving("root", &[], "foregroundDeletion"));
    add(&mut graph, object("child", &["root"]));
    add(&mut graph, object("grandchild", &["child"]));
    let decision = Decision::Delete { propagation: Propagation::Foreground, unblock: false };
    assert_eq!(decide(&graph, "child"), decision);
}

#[test]
fn a_circle_is_broken() {
    let mut graph = Graph::default();
    add(&mut graph, leaving("a", &["b"], "foregroundDeletion"));
    add(&mut graph, object("b", &["a"]));
    let decision = Decision::Delete { propagation: Propagation::Foreground, unblock: true };
    assert_eq!(decide(&graph, "b"), decision);
}

#[test]
fn orphans_are_let_go() {
    let mut graph = Graph::default();
    add(&mut graph, object("child", &["root"]));
    add(&mut graph, leaving("root", &[], "orphan"));
    assert_eq!(decide(&graph, "root"), Decision::Orphan(vec!["child".into()]));
    assert_eq!(decide(&graph, "child"), Decision::Nothing, "until then it stays");
}

#[test]
fn an_owner_in_another_namespace_is_none() {
    let mut graph = Graph::default();
    let mut far = object("far", &[]);
    far["metadata"]["namespace"] = "elsewhere".into();
    add(&mut graph, far);
    add(&mut graph, object("child", &["far"]));
    assert_eq!(decide(&graph, "child"), BACKGROUND);
}

#[test]
fn the_same_name_again_is_another_object() {
    let mut graph = Graph::default();
    add(&mut graph, object("one", &[]));
    add(&mut graph, object("child", &["one"]));
    // A slow subscriber sees the deletion and the new creation as one change.
    let mut two = object("two", &[]);
    two["metadata"]["name"] = "one".into();
    assert_eq!(see(&mut graph, Some(object("one", &[])), Some(two)), ["child"]);
}
