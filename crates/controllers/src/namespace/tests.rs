//! What a namespace says while it goes, as data.

use std::collections::BTreeMap;

use object::time::Timestamp;
use serde_json::{Value, json};

use super::plan::{Remainder, again_after, plan_conditions};
use crate::conditions;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("in range")
}

#[test]
fn what_remains_is_named() {
    let left = [
        Remainder { resource: "pods.".into(), count: 2, finalizers: BTreeMap::new() },
        Remainder {
            resource: "deployments.apps".into(),
            count: 1,
            finalizers: [("a/b".to_owned(), 1)].into(),
        },
    ];
    let list = plan_conditions(&json!({}), &[], &left, at(0));
    let says = |kind: &str| -> String {
        let condition = conditions::find(&list, kind).map_or(Value::Null, Value::clone);
        format!(
            "{} {}",
            condition["status"].as_str().unwrap_or("?"),
            condition["message"].as_str().unwrap_or("?")
        )
    };
    assert_eq!(
        says("NamespaceContentRemaining"),
        "True Some resources are remaining: pods. has 2 resource instances, deployments.apps has 1 resource instances"
    );
    assert_eq!(
        says("NamespaceFinalizersRemaining"),
        "True Some content in the namespace has finalizers remaining: a/b in 1 resource instances"
    );
    let again = json!({ "status": { "conditions": list } });
    assert_eq!(plan_conditions(&again, &[], &left, at(50)), list, "the same news is no news");
}

#[test]
fn the_next_look_comes_later_and_later() {
    let namespace = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let waits: Vec<u128> =
        [0, 1, 8, 1000].map(|second| again_after(&namespace, at(second)).as_millis()).to_vec();
    assert_eq!(waits, [20, 250, 2000, 5000]);
}
