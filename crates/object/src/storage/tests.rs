//! Readings of claims and classes, and which volume a claim gets.

use super::*;
use serde_json::json;
use std::sync::Arc;

#[test]
fn the_newest_default_class_wins() {
    let class = |name: &str, age: &str, mark: &str| json!({ "metadata": { "name": name, "creationTimestamp": age, "annotations": { DEFAULT_CLASS: mark } } });
    let classes = [
        class("a", "2026-01-01T00:00:00Z", "true"),
        class("c", "2026-01-02T00:00:00Z", "true"),
        class("b", "2026-01-02T00:00:00Z", "true"),
        class("d", "2026-01-03T00:00:00Z", "false"),
    ];
    assert_eq!(default_class(classes.iter()).map(|class| text(&class["metadata"]["name"])), Some("b"));
    assert_eq!(default_class(classes[3..].iter()), None);
}

#[test]
fn claims_of_a_pod() {
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "volumes": [
        { "name": "a", "persistentVolumeClaim": { "claimName": "data" } },
        { "name": "b", "ephemeral": { "volumeClaimTemplate": {} } },
        { "name": "c", "emptyDir": {} },
    ] } });
    assert_eq!(claims(&pod), [("data".to_owned(), false), ("p-b".to_owned(), true)]);
}

fn claim(more: Value) -> Value {
    let mut claim = json!({
        "metadata": { "namespace": "ns", "name": "c", "uid": "u" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "2Gi" } }, "storageClassName": "" },
    });
    claim["spec"] = crate::patch::merge(&claim["spec"], &more).expect("an object");
    claim
}

fn volume(name: &str, storage: &str, more: Value) -> Arc<Value> {
    let mut volume = json!({
        "metadata": { "name": name, "labels": { "disk": name } },
        "spec": { "capacity": { "storage": storage }, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"] },
        "status": { "phase": "Available" },
    });
    volume["spec"] = crate::patch::merge(&volume["spec"], &more).expect("an object");
    Arc::new(volume)
}

#[test]
fn the_smallest_that_does() {
    let mut volumes = vec![
        volume("big", "5Gi", json!({})),
        volume("fits", "2Gi", json!({})),
        volume("small", "1Gi", json!({})),
        volume("fast", "2Gi", json!({ "storageClassName": "fast" })),
        volume("taken", "2Gi", json!({ "claimRef": { "namespace": "ns", "name": "other" } })),
        volume("many", "3Gi", json!({ "accessModes": ["ReadWriteMany"] })),
        volume(
            "west",
            "2Gi",
            json!({ "storageClassName": "zone", "nodeAffinity": { "required": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["west"] }] }] } } }),
        ),
    ];
    let best = |volumes: &[Arc<Value>], more: Value, candidates: Candidates<'_>| {
        let found = best_match(&claim(more), volumes, candidates);
        found.map(|volume| text(&volume["metadata"]["name"]).to_owned())
    };
    let any = |volumes: &[Arc<Value>], more: Value| best(volumes, more, Candidates::Any);
    assert_eq!(any(&volumes, json!({})).as_deref(), Some("fits"));
    assert_eq!(any(&volumes, json!({ "storageClassName": "fast" })).as_deref(), Some("fast"));
    assert_eq!(any(&volumes, json!({ "storageClassName": "none" })), None);
    assert_eq!(any(&volumes, json!({ "accessModes": ["ReadWriteMany"] })).as_deref(), Some("many"));
    assert_eq!(any(&volumes, json!({ "accessModes": ["ReadWriteOncePod"] })), None);
    assert_eq!(
        any(&volumes, json!({ "resources": { "requests": { "storage": "3Gi" } } })).as_deref(),
        Some("big")
    );
    assert_eq!(
        any(&volumes, json!({ "selector": { "matchLabels": { "disk": "big" } } })).as_deref(),
        Some("big")
    );
    assert_eq!(best(&volumes, json!({}), Candidates::Reserved), None);
    for (zone, found) in [("west", Some("west")), ("east", None)] {
        let node = json!({ "metadata": { "labels": { "zone": zone } } });
        let here = best(&volumes, json!({ "storageClassName": "zone" }), Candidates::On(&node));
        assert_eq!(here.as_deref(), found);
    }
    volumes.push(volume("mine", "9Gi", json!({ "claimRef": { "namespace": "ns", "name": "c" } })));
    assert_eq!(any(&volumes, json!({})).as_deref(), Some("mine"), "what is reserved comes first");
    assert_eq!(best(&volumes, json!({}), Candidates::Reserved).as_deref(), Some("mine"));
    volumes.push(volume(
        "old",
        "9Gi",
        json!({ "claimRef": { "namespace": "ns", "name": "c", "uid": "before" } }),
    ));
    assert_eq!(any(&volumes, json!({})).as_deref(), Some("mine"));
}
