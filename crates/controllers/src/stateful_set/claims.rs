//! The claims of numbered pods: one for each template, named after both, made before the pod and kept when it goes, unless
//! the set says that they go with their pods or with the set. Pure.

use std::sync::Arc;

use client::k8s_openapi::api::apps::v1::StatefulSet;
use client::k8s_openapi::api::core::v1::Pod;
use client::{Key, owner, resource};
use serde_json::{Value, json};

use super::pods::World;
use crate::pod::is_deleting;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn templates(set: &Value) -> &[Value] {
    set["spec"]["volumeClaimTemplates"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn claim_name(template: &Value, pod: &str) -> String {
    format!("{}-{pod}", text(&template["metadata"]["name"]))
}

/// Whether a claim has a name that a set gives.
pub(super) fn is_named_by(set: &Value, claim: &str) -> bool {
    let set_name = text(&set["metadata"]["name"]);
    templates(set).iter().any(|template| {
        let number =
            claim.strip_prefix(&claim_name(template, set_name)).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// Puts the claims' volumes into a pod, in place of volumes of the same names.
pub(super) fn mount(set: &Value, pod: &mut Value) {
    let name = text(&pod["metadata"]["name"]).to_owned();
    let mut volumes: Vec<Value> = templates(set)
        .iter()
        .map(|template| {
            json!({ "name": template["metadata"]["name"],
                "persistentVolumeClaim": { "claimName": claim_name(template, &name) } })
        })
        .collect();
    if volumes.is_empty() {
        return;
    }
    let given = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    let others = given.into_iter().filter(|volume| volumes.iter().all(|own| own["name"] != volume["name"]));
    let others: Vec<Value> = others.collect();
    volumes.extend(others);
    pod["spec"]["volumes"] = volumes.into();
}

/// What the claims of pods that are to be made need.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Needs {
    pub(super) create: Vec<Value>,
    /// Claims of earlier pods of these names that are on their way out: the pod waits for that.
    pub(super) leaving: Vec<String>,
}

/// The claims of a pod that is to be made. The set owns them when they are to go with it.
pub(super) fn plan_needs(set: &Value, pod: &str, find: impl Fn(&str) -> Option<Arc<Value>>) -> Needs {
    let mut needs = Needs::default();
    for template in templates(set) {
        let name = claim_name(template, pod);
        match find(&name) {
            None => needs.create.push(claim(set, template, &name)),
            Some(claim) if is_deleting(&claim) || goes_with_pod(&claim, pod) => needs.leaving.push(name),
            Some(_) => {}
        }
    }
    needs
}

fn goes_with_pod(claim: &Value, pod: &str) -> bool {
    owner::references(claim).iter().any(|owner| owner["kind"] == "Pod" && owner["name"] == pod)
}

fn claim(set: &Value, template: &Value, name: &str) -> Value {
    let mut metadata = json!({ "name": name, "namespace": set["metadata"]["namespace"] });
    let mut labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let selected = set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    labels.extend(selected.map(|(key, value)| (key.clone(), value.clone())));
    metadata["labels"] = labels.into();
    if let Some(annotations) = template["metadata"].get("annotations") {
        metadata["annotations"] = annotations.clone();
    }
    if goes(set, "whenDeleted") {
        metadata["ownerReferences"] = json!([owner::controller_reference(set, &resource::<StatefulSet>())]);
    }
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"] })
}

fn goes(set: &Value, when: &str) -> bool {
    set["spec"]["persistentVolumeClaimRetentionPolicy"][when] == "Delete"
}

/// Claims whose owners are not what the set's policy makes them: which, and their new owners.
pub(super) fn plan_owners(
    world: &World<'_>,
    find: impl Fn(&str) -> Option<Arc<Value>>,
) -> Vec<(Arc<Value>, Vec<Value>)> {
    let staying = world.replicas.iter().flatten().map(|pod| (pod, false));
    let condemned = world.condemned.iter().map(|pod| (pod, true));
    let mut changes = Vec::new();
    for (pod, condemned) in staying.chain(condemned) {
        for template in templates(world.set) {
            let name = claim_name(template, text(&pod["metadata"]["name"]));
            let Some(claim) = find(&name).filter(|claim| !is_deleting(claim)) else { continue };
            if let Some(owners) = owners(world.set, pod, condemned, &claim) {
                changes.push((claim, owners));
            }
        }
    }
    changes
}

/// The owners that a claim should have, if it has others. A claim that somebody else controls is left alone.
fn owners(set: &Value, pod: &Value, condemned: bool, claim: &Value) -> Option<Vec<Value>> {
    let is = |reference: &Value, object: &Value| reference["uid"] == object["metadata"]["uid"];
    let before = owner::references(claim);
    let foreign = |reference: &&Value| !is(reference, set) && !is(reference, pod);
    if before.iter().filter(foreign).any(|reference| reference["controller"] == true) {
        return None;
    }
    let mut after: Vec<Value> = before.iter().filter(foreign).cloned().collect();
    if condemned && goes(set, "whenScaled") {
        after.push(owner::controller_reference(pod, &resource::<Pod>()));
    } else if goes(set, "whenDeleted") {
        after.push(owner::controller_reference(set, &resource::<StatefulSet>()));
    }
    let uids = |list: &[Value]| list.iter().map(|owner| owner["uid"].clone()).collect::<Vec<_>>();
    (uids(&after) != uids(before)).then_some(after)
}

/// Where a claim of the set lies.
pub(super) fn key(set: &Value, claim: &str) -> Key {
    Key::new(text(&set["metadata"]["namespace"]), claim)
}
