//! What a Deployment reads from its ReplicaSets, and how it makes one: template equality, the template
//! hash, names, annotations. Pure.

use std::sync::Arc;

use client::{ApiResource, Key, owner};
use object::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::pod;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
pub(super) const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that are its own affair and not its ReplicaSets'.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];
/// The history annotation is cut from the front beyond this (upstream's figure).
const HISTORY_CHARS_MAX: usize = 2000;
/// The longest name an object may have.
const NAME_CHARS_MAX: usize = 253;

/// A ReplicaSet as the plan sees and changes it.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) object: Arc<Value>,
    /// `spec.replicas`, as planned so far.
    pub(super) replicas: i64,
    pub(super) actual: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    pub(super) terminating: i64,
    pub(super) revision: i64,
}

impl Set {
    pub(super) fn of(object: Arc<Value>) -> Set {
        let status = |name: &str| object["status"][name].as_i64().unwrap_or_default();
        Set {
            name: Key::of(&object).name,
            replicas: object["spec"]["replicas"].as_i64().unwrap_or(1),
            actual: status("replicas"),
            ready: status("readyReplicas"),
            available: status("availableReplicas"),
            terminating: status("terminatingReplicas"),
            revision: annotation(&object, REVISION).and_then(|text| text.parse().ok()).unwrap_or_default(),
            object,
        }
    }

    pub(super) fn created(&self) -> (Option<Timestamp>, &str) {
        (pod::created(&self.object), &self.name)
    }

    /// The size that the Deployment had when it last sized this set.
    pub(super) fn desired(&self) -> Option<i64> {
        annotation(&self.object, DESIRED_REPLICAS)?.parse().ok()
    }

    /// The size that the Deployment could reach when it last sized this set.
    pub(super) fn max(&self) -> Option<i64> {
        annotation(&self.object, MAX_REPLICAS)?.parse().ok()
    }
}

pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

/// The annotations that record for which size a set was sized.
pub(super) fn size_annotations(desired: i64, max: i64) -> [(&'static str, String); 2] {
    [(DESIRED_REPLICAS, desired.to_string()), (MAX_REPLICAS, max.to_string())]
}

/// Whether two templates are the same apart from the hash label, and from nulls, which mean nothing.
pub(crate) fn same_template(one: &Value, other: &Value) -> bool {
    canonical(one) == canonical(other)
}

fn canonical(template: &Value) -> Value {
    let mut template = without_nulls(template);
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// A short stable hash of a template, in an alphabet without vowels or look-alikes so that no words and
/// no misreadings come out. `collisions` makes another hash for the same template.
pub(crate) fn template_hash(template: &Value, collisions: Option<i64>) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    // FNV-1a, 64 bits: stable across versions of this program, which std's hashers are not.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let text = canonical(template).to_string();
    let salt = collisions.map(|count| count.to_string()).unwrap_or_default();
    for byte in text.bytes().chain(salt.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let letters = (0..10).scan(hash, |rest, _| {
        let base = ALPHABET.len() as u64;
        let letter = ALPHABET[usize::try_from(*rest % base).expect("below the alphabet's length")];
        *rest /= base;
        Some(char::from(letter))
    });
    letters.collect()
}

fn set_name(deployment: &str, hash: &str) -> String {
    let room = NAME_CHARS_MAX - hash.len() - 1;
    let stem = &deployment[..deployment.len().min(room)];
    format!("{}-{hash}", stem.trim_end_matches(['-', '.']))
}

/// The ReplicaSet for the current template of a Deployment.
pub(super) fn new_set(
    deployment: &Value,
    resource: &ApiResource,
    revision: i64,
    replicas: i64,
    max: i64,
) -> Value {
    let spec = &deployment["spec"];
    let hash = template_hash(&spec["template"], deployment["status"]["collisionCount"].as_i64());
    let mut template = spec["template"].clone();
    template["metadata"]["labels"][TEMPLATE_HASH] = hash.as_str().into();
    let mut selector = spec["selector"].clone();
    selector["matchLabels"][TEMPLATE_HASH] = hash.as_str().into();
    let mut annotations = copied_annotations(deployment);
    annotations.insert(REVISION.into(), revision.to_string().into());
    let desired = spec["replicas"].as_i64().unwrap_or(1);
    annotations.extend(size_annotations(desired, max).map(|(name, value)| (name.to_owned(), value.into())));
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": set_name(&Key::of(deployment).name, &hash),
            "namespace": deployment["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [owner::controller_reference(deployment, resource)],
        },
        "spec": { "replicas": replicas, "selector": selector, "template": template },
    });
    if let Some(seconds) = spec["minReadySeconds"].as_i64().filter(|seconds| *seconds > 0) {
        set["spec"]["minReadySeconds"] = seconds.into();
    }
    set
}

fn copied_annotations(deployment: &Value) -> Map<String, Value> {
    let annotations = deployment["metadata"]["annotations"].as_object().into_iter().flatten();
    let copied = annotations.filter(|(name, _)| !NOT_COPIED.contains(&name.as_str()));
    copied.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The merge patch that brings the annotations and `minReadySeconds` of an existing set in line with its
/// Deployment, when it is the one for the current template.
pub(super) fn follow_patch(deployment: &Value, set: &Set, revision: i64) -> Option<Value> {
    let mut annotations = copied_annotations(deployment);
    annotations.retain(|name, value| annotation(&set.object, name) != value.as_str());
    if set.revision < revision {
        annotations.insert(REVISION.into(), revision.to_string().into());
        if set.revision > 0 {
            let before = annotation(&set.object, REVISION_HISTORY).unwrap_or_default();
            annotations.insert(REVISION_HISTORY.into(), history(before, set.revision).into());
        }
    }
    let mut patch = Map::new();
    if !annotations.is_empty() {
        patch.insert("metadata".into(), json!({ "annotations": annotations }));
    }
    let min_ready = |object: &Value| object["spec"]["minReadySeconds"].as_i64().unwrap_or_default();
    if min_ready(deployment) != min_ready(&set.object) {
        patch.insert("spec".into(), json!({ "minReadySeconds": min_ready(deployment) }));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn history(before: &str, revision: i64) -> String {
    let mut revisions: Vec<String> =
        before.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    revisions.push(revision.to_string());
    while revisions.len() > 1 && revisions.join(",").len() > HISTORY_CHARS_MAX {
        revisions.remove(0);
    }
    revisions.join(",")
}
