//! How a history grows, comes back and is cut, as data.

use super::*;

const LABEL: &str = REVISION_HASH;

fn resource() -> ApiResource {
    client::resource::<client::k8s_openapi::api::apps::v1::DaemonSet>()
}

fn owner(image: &str) -> Value {
    json!({
        "metadata": { "name": "agent", "namespace": "ns", "uid": "u", "annotations": { "why": "new" } },
        "spec": { "template": { "metadata": { "labels": { "app": "agent" } },
            "spec": { "containers": [{ "name": "main", "image": image }] } } },
    })
}

fn step(image: &str, revisions: &[Arc<Value>]) -> Step {
    plan_revision(&owner(image), &resource(), LABEL, revisions)
}

/// The revision of an image, with a number.
fn revision(image: &str, number: i64) -> Arc<Value> {
    let Step::Create(mut made) = step(image, &[]) else { panic!("nothing is there yet") };
    made["revision"] = number.into();
    Arc::new(made)
}

#[test]
fn a_new_template_is_a_new_revision() {
    let Step::Create(made) = step("b", &[revision("a", 4)]) else { panic!("it is new") };
    assert_eq!((number(&made), template(&made)), (5, owner("b")["spec"]["template"].clone()));
    assert_eq!(made["data"]["spec"]["template"]["$patch"], "replace");
    let hash = made["metadata"]["labels"][LABEL].as_str().expect("a label");
    assert_eq!(made["metadata"]["name"], format!("agent-{hash}"));
    assert_eq!(made["metadata"]["labels"]["app"], "agent");
    assert_eq!(made["metadata"]["annotations"]["why"], "new");
}

#[test]
fn the_newest_stays_and_an_old_one_becomes_the_newest() {
    let (first, second) = (revision("a", 1), revision("b", 2));
    let all = [first.clone(), second.clone()];
    assert_eq!(step("b", &all), Step::Keep(second));
    assert_eq!(step("a", &all), Step::Renumber(first, 3));
}

#[test]
fn old_ones_go_unless_a_pod_is_of_them() {
    let old: Vec<_> =
        ["a", "b", "c", "d"].into_iter().zip(1..).map(|(image, n)| revision(image, n)).collect();
    let forgotten = |limit, live: &[i64]| {
        let gone = plan_forgotten(&old, limit, |revision| live.contains(&number(revision)));
        gone.iter().map(|revision| number(revision)).collect::<Vec<_>>()
    };
    assert_eq!(forgotten(2, &[]), [1, 2]);
    assert_eq!(forgotten(2, &[1]), [2, 3]);
    assert_eq!(forgotten(0, &[2, 3]), [1, 4]);
    assert_eq!(forgotten(9, &[]), [0; 0]);
}
