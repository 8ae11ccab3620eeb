//! Claims and volumes: the class of a claim that names none, the finalizers that keep what is in use, and whose claims may
//! grow.

use crate::{api::Api, call::Target};
use object::Status;
use object::storage::{self, CLAIM_PROTECTION, VOLUME_PROTECTION};
use serde_json::{Value, json};

const GROUP: &str = "storage.k8s.io";

/// Fills in what a new claim or volume has.
pub(super) fn change(api: &Api, kind: &str, object: &mut Value) {
    let protection = if kind == "PersistentVolume" { VOLUME_PROTECTION } else { CLAIM_PROTECTION };
    let finalizers = &mut object["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(list) if list.iter().any(|own| own == protection) => {}
        Some(list) => list.push(protection.into()),
        None => *finalizers = json!([protection]),
    }
    if kind == "PersistentVolumeClaim" && storage::class_of(object).is_none() {
        let classes = api.cache.resource(GROUP, "storageclasses").all("");
        let classes: Vec<Value> = classes.iter().map(|item| item.value()).collect();
        if let Some(class) = storage::default_class(classes.iter()) {
            object["spec"]["storageClassName"] = class["metadata"]["name"].clone();
        }
    }
}

/// Refuses a claim that asks for more than before where its class does not allow that.
pub(super) fn check_growth(
    api: &Api,
    target: &Target,
    claim: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let Some(old) = old.filter(|old| storage::requested(claim) > storage::requested(old)) else {
        return Ok(());
    };
    let class = storage::class_of(claim).filter(|class| storage::class_of(old) == Some(*class));
    let class = class.and_then(|name| api.cache.resource(GROUP, "storageclasses").get("", name));
    let why = if old["status"]["phase"] != "Bound" {
        "Only bound persistent volume claims can be expanded"
    } else if class.is_none_or(|class| class.value()["allowVolumeExpansion"] != true) {
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
    } else {
        return Ok(());
    };
    let name = claim["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::forbidden(target.kind.group, target.kind.plural, name, why))
}
