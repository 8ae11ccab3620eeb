//! StorageClass: who makes volumes, when, and what becomes of them.

use super::{Kind, PLAIN};
use crate::Errors;
use object::json::{entries, fill, is_empty, text};
use object::name;
use object::path::Path;
use object::storage::{DEFAULT_CLASS, PROVISIONER};
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

/// Parameters that a class may have, and their bytes together, as upstream.
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

pub(super) static KIND: Kind = Kind {
    group: "storage.k8s.io",
    api_version: "storage.k8s.io/v1",
    kind: "StorageClass",
    list_kind: "StorageClassList",
    plural: "storageclasses",
    singular: "storageclass",
    short_names: &["sc"],
    namespaced: false,
    schema: "io.k8s.api.storage.v1.StorageClass",
    columns: Columns {
        columns: &[
            NAME,
            column("Provisioner"),
            column("ReclaimPolicy"),
            column("VolumeBindingMode"),
            column("AllowVolumeExpansion"),
            AGE,
        ],
        row,
    },
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut name = name_of(object);
    if object["metadata"]["annotations"][DEFAULT_CLASS] == "true" {
        name = format!("{} (default)", text(&name)).into();
    }
    vec![
        name,
        text(&object["provisioner"]).into(),
        object["reclaimPolicy"].as_str().unwrap_or("Delete").into(),
        object["volumeBindingMode"].as_str().unwrap_or("Immediate").into(),
        (object["allowVolumeExpansion"] == true).into(),
        age_of(object, now),
    ]
}

fn default(object: &mut Value) {
    fill(object, "reclaimPolicy", "Delete");
    fill(object, "volumeBindingMode", "Immediate");
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let at = |field: &'static str| Path::Root.field(field);
    let provisioner = text(&new["provisioner"]);
    if provisioner.is_empty() {
        errors.required(&at("provisioner"), "");
    } else if let Err(why) = name::check_qualified(&provisioner.to_ascii_lowercase()) {
        errors.invalid_text(&at("provisioner"), provisioner, &why);
    }
    parameters(&new["parameters"], &at("parameters"), errors);
    errors.one_of(&at("reclaimPolicy"), &new["reclaimPolicy"], &["Delete", "Retain"]);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    errors.one_of(&at("volumeBindingMode"), &new["volumeBindingMode"], &modes);
    if provisioner == PROVISIONER {
        for field in ["allowedTopologies", "mountOptions", "parameters"] {
            if !is_empty(&new[field]) {
                let why = "the provisioner dory.dev/local makes plain directories and has no such setting: leave it out";
                errors.forbidden(&at(field), why);
            }
        }
    }
    let Some(old) = old else { return };
    for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        errors.immutable(&at(field), &new[field], &old[field]);
    }
}

fn parameters(parameters: &Value, at: &Path<'_>, errors: &mut Errors) {
    if entries(parameters).count() > PARAMETERS_MAX {
        errors.too_long(at, PARAMETERS_MAX);
        return;
    }
    if entries(parameters).any(|(key, _)| key.is_empty()) {
        errors.invalid_text(at, "", "field can not be empty.");
    }
    let bytes: usize = entries(parameters).map(|(key, value)| key.len() + text(value).len()).sum();
    if bytes > PARAMETERS_BYTES_MAX {
        errors.too_long(at, PARAMETERS_BYTES_MAX);
    }
}
