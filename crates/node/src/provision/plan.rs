//! Which volumes are wanted here, what they look like, and which are not wanted any more. Pure.

use std::path::Path;

use object::storage::{
    self, PROVISIONED_BY, PROVISIONER, SELECTED_NODE, STORAGE_PROVISIONER, VOLUME_PROTECTION,
};
use serde_json::{Value, json};

/// Keeps a volume until what is on it is taken away; upstream's name for provisioners' own.
const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

/// What a claim wants of this node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    None,
    Volume,
    /// What cannot be had.
    Refused(String),
}

pub(super) fn plan_wish(claim: &Value, class: &Value, node: &str) -> Wish {
    let annotations = &claim["metadata"]["annotations"];
    let asked = annotations[STORAGE_PROVISIONER] == PROVISIONER && class["provisioner"] == PROVISIONER;
    let leaving = claim["metadata"]["deletionTimestamp"].is_string();
    let served = claim["spec"]["volumeName"].as_str().is_some_and(|name| !name.is_empty());
    if !asked || leaving || served {
        return Wish::None;
    }
    let here = match annotations[SELECTED_NODE].as_str() {
        Some(selected) => selected == node,
        None => !storage::waits_for_consumer(class),
    };
    if !here {
        return Wish::None;
    }
    if !claim["spec"]["selector"].is_null() {
        return Wish::Refused("claim Selector is not supported".to_owned());
    }
    Wish::Volume
}

/// The name of the volume that is made for a claim; upstream's form.
pub(super) fn volume_name(claim: &Value) -> String {
    format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap_or_default())
}

/// The volume that is made for a claim: there on this node alone.
pub(super) fn volume(claim: &Value, class: &Value, node: &str, path: &Path) -> Value {
    let (metadata, spec) = (&claim["metadata"], &claim["spec"]);
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": { PROVISIONED_BY: PROVISIONER },
            "finalizers": [FINALIZER, VOLUME_PROTECTION],
        },
        "spec": {
            "capacity": { "storage": spec["resources"]["requests"]["storage"] },
            "accessModes": spec["accessModes"],
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata["namespace"],
                "name": metadata["name"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
            },
            "local": { "path": path.to_string_lossy() },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
            "storageClassName": class["metadata"]["name"],
            "volumeMode": "Filesystem",
        },
    })
}

/// What becomes of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// It is wanted, or kept.
    None,
    /// Its directory goes, then the object.
    RemoveAndDelete,
    /// The object is going already: its directory goes, then what holds it.
    Remove,
    /// The object is going, and what is on the volume stays.
    LetGo,
}

pub(super) fn plan_farewell(volume: &Value) -> Farewell {
    let has = |finalizer: &str| {
        let list = volume["metadata"]["finalizers"].as_array();
        list.is_some_and(|list| list.iter().any(|own| own == finalizer))
    };
    let delete = volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete";
    let leaving = volume["metadata"]["deletionTimestamp"].is_string();
    let released = volume["status"]["phase"] == "Released";
    match (leaving, delete) {
        (false, true) if released => Farewell::RemoveAndDelete,
        // While a claim has it the other finalizer is there.
        (true, _) if has(VOLUME_PROTECTION) || !has(FINALIZER) => Farewell::None,
        (true, true) => Farewell::Remove,
        (true, false) => Farewell::LetGo,
        (false, _) => Farewell::None,
    }
}

/// What holds a volume besides this provisioner.
pub(super) fn other_finalizers(volume: &Value) -> Vec<Value> {
    let list = volume["metadata"]["finalizers"].as_array().into_iter().flatten();
    list.filter(|own| *own != FINALIZER).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_are_for_this_node() {
        let class = |mode: &str| json!({ "provisioner": PROVISIONER, "volumeBindingMode": mode });
        let claim = |selected: Value| json!({ "metadata": { "annotations": { STORAGE_PROVISIONER: PROVISIONER, SELECTED_NODE: selected } }, "spec": {} });
        let wish = |claim: &Value, mode: &str| plan_wish(claim, &class(mode), "a");
        assert_eq!(wish(&claim("a".into()), "WaitForFirstConsumer"), Wish::Volume);
        assert_eq!(wish(&claim("b".into()), "WaitForFirstConsumer"), Wish::None);
        assert_eq!(wish(&claim(Value::Null), "WaitForFirstConsumer"), Wish::None);
        assert_eq!(wish(&claim(Value::Null), "Immediate"), Wish::Volume);
        let mut selecting = claim(Value::Null);
        selecting["spec"]["selector"] = json!({});
        assert_eq!(wish(&selecting, "Immediate"), Wish::Refused("claim Selector is not supported".into()));
        selecting["spec"]["volumeName"] = "v".into();
        assert_eq!(wish(&selecting, "Immediate"), Wish::None);
        let foreign = json!({ "provisioner": "other", "volumeBindingMode": "Immediate" });
        assert_eq!(plan_wish(&claim(Value::Null), &foreign, "a"), Wish::None);
    }

    #[test]
    fn volumes_that_nobody_has_any_more() {
        let volume = |policy: &str, phase: &str, leaving: bool, finalizers: &[&str]| {
            let when = leaving.then_some("2026-01-01T00:00:00Z");
            json!({ "metadata": { "deletionTimestamp": when, "finalizers": finalizers }, "status": { "phase": phase },
                "spec": { "persistentVolumeReclaimPolicy": policy } })
        };
        let both = [FINALIZER, VOLUME_PROTECTION];
        let told = |policy: &str, phase: &str, leaving: bool, finalizers: &[&str]| {
            plan_farewell(&volume(policy, phase, leaving, finalizers))
        };
        assert_eq!(told("Delete", "Bound", false, &both), Farewell::None);
        assert_eq!(told("Delete", "Released", false, &both), Farewell::RemoveAndDelete);
        assert_eq!(told("Retain", "Released", false, &both), Farewell::None);
        assert_eq!(told("Delete", "Bound", true, &both), Farewell::None);
        assert_eq!(told("Delete", "Released", true, &both[..1]), Farewell::Remove);
        assert_eq!(told("Retain", "Released", true, &both[..1]), Farewell::LetGo);
        assert_eq!(told("Delete", "Released", true, &["other/one"]), Farewell::None);
    }
}
