//! What a claim asks for: the spec that PersistentVolumeClaims share with the templates of StatefulSets and of generic
//! ephemeral volumes.

use super::meta;
use crate::Errors;
use object::json::{entries, fill, is_empty, items, text};
use object::name;
use object::path::Path;
use object::quantity::Quantity;
use serde_json::Value;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// Fields of features that need a storage driver, with what stands in for them.
const NOT_HERE: [(&str, &str); 3] = [
    (
        "dataSource",
        "volumes are not filled from other volumes or snapshots by this server: copy the data in a pod",
    ),
    ("dataSourceRef", "volumes are not filled from other objects by this server: copy the data in a pod"),
    ("volumeAttributesClassName", "there are no VolumeAttributesClasses on this server: use a StorageClass"),
];

/// Defaults.
pub(super) fn default(spec: &mut Value) {
    fill(spec, "volumeMode", "Filesystem");
}

/// Rules of the spec.
pub(super) fn validate(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    if is_empty(&spec["accessModes"]) {
        errors.required(&at.field("accessModes"), "at least 1 access mode is required");
    }
    meta::label_selector(&spec["selector"], &at.field("selector"), errors);
    access_modes(&spec["accessModes"], &at.field("accessModes"), errors);
    storage(&spec["resources"], &at.field("resources"), errors);
    shared(spec, at, errors);
    for (field, why) in NOT_HERE {
        if !spec[field].is_null() {
            errors.forbidden(&at.field(field), why);
        }
    }
}

/// Modes that a claim or a volume may have; the most exclusive stands alone.
pub(super) fn access_modes(modes: &Value, at: &Path<'_>, errors: &mut Errors) {
    for mode in items(modes) {
        errors.one_of(at, mode, &ACCESS_MODES);
    }
    let alone = |mode: &Value| mode == "ReadWriteOncePod";
    if items(modes).iter().any(alone) && !items(modes).iter().all(alone) {
        errors.forbidden(at, "may not use ReadWriteOncePod with other access modes");
    }
}

/// What claims and volumes say alike: their class, and that they are file systems.
pub(super) fn shared(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let class = text(&spec["storageClassName"]);
    if !class.is_empty() {
        errors.check(&at.field("storageClassName"), class, name::check_subdomain);
    }
    let mode = &spec["volumeMode"];
    if mode == "Block" {
        let why = "raw block devices are not supported by this server: use volumeMode Filesystem";
        errors.forbidden(&at.field("volumeMode"), why);
    } else {
        errors.one_of(&at.field("volumeMode"), mode, &["Filesystem"]);
    }
}

fn storage(resources: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (amount, here) = (&resources["requests"]["storage"], at.key("storage"));
    if amount.is_null() {
        errors.required(&here, "");
    } else {
        positive(amount, &here, errors);
    }
    let limits = at.field("limits");
    for (resource, _) in entries(&resources["limits"]) {
        errors.warn(&limits.key(resource), "nothing limits how big a volume may grow");
    }
}

/// An amount of bytes that is one.
pub(super) fn positive(amount: &Value, at: &Path<'_>, errors: &mut Errors) {
    match Quantity::parse(text(amount)) {
        Ok(parsed) if parsed <= Quantity::default() => {
            errors.invalid(at, amount, "must be greater than zero")
        }
        Ok(parsed) if !parsed.is_whole() => errors.invalid(at, amount, "must be an integer"),
        Ok(_) => {}
        Err(why) => errors.invalid(at, amount, &why.to_string()),
    }
}

/// The template of a generic ephemeral volume: labels, annotations and the spec, nothing else.
pub(super) fn validate_template(template: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (metadata, here) = (&template["metadata"], at.field("metadata"));
    meta::annotations(&metadata["annotations"], &here.field("annotations"), errors);
    meta::labels(&metadata["labels"], &here.field("labels"), errors);
    let others = entries(metadata).filter(|(field, value)| {
        !matches!(*field, "annotations" | "labels" | "creationTimestamp") && !is_empty(value)
    });
    for (field, _) in others {
        errors.forbidden(&here.field(field), "cannot be set");
    }
    validate(&template["spec"], &at.field("spec"), errors);
}

/// Access modes as they are shown, in their fixed order.
pub(super) fn shown_modes(modes: &Value) -> Value {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| items(modes).iter().any(|found| found == mode);
    let shown: Vec<&str> = short.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    shown.join(",").into()
}

/// A text, or `<unset>`.
pub(super) fn or_unset(value: &Value) -> Value {
    value.as_str().unwrap_or("<unset>").into()
}
