//! PersistentVolume: a piece of storage that is there, and whose it is.

use super::claim_spec::{self, or_unset, shown_modes};
use super::pod_spec;
use super::{Kind, PLAIN, STATUS};
use crate::Errors;
use object::json::{child, entries, fill, fill_zero, is_empty, put, text};
use object::path::Path;
use object::storage;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column, wide};
use object::time::Timestamp;
use serde_json::{Value, json};

pub(super) static KIND: Kind = Kind {
    kind: "PersistentVolume",
    list_kind: "PersistentVolumeList",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    short_names: &["pv"],
    namespaced: false,
    subresources: &[STATUS],
    schema: "io.k8s.api.core.v1.PersistentVolume",
    columns: Columns {
        columns: &[
            NAME,
            column("Capacity"),
            column("Access Modes"),
            column("Reclaim Policy"),
            column("Status"),
            column("Claim"),
            column("StorageClass"),
            column("VolumeAttributesClass"),
            column("Reason"),
            AGE,
            wide("VolumeMode"),
        ],
        row,
    },
    status: true,
    keeps_status: true,
    prepare,
    default,
    validate,
    ..PLAIN
};

/// What a volume says beside what it is made of.
const NOT_SOURCES: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let deleting = !object["metadata"]["deletionTimestamp"].is_null();
    let phase = if deleting { "Terminating" } else { text(&status["phase"]) };
    let claim = &spec["claimRef"];
    let claim = match claim {
        Value::Null => String::new(),
        claim => format!("{}/{}", text(&claim["namespace"]), text(&claim["name"])),
    };
    vec![
        name_of(object),
        spec["capacity"]["storage"].as_str().unwrap_or("0").into(),
        shown_modes(&spec["accessModes"]),
        text(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase.into(),
        claim.into(),
        storage::class_of(object).unwrap_or_default().into(),
        or_unset(&spec["volumeAttributesClassName"]),
        text(&status["reason"]).into(),
        age_of(object, now),
        or_unset(&spec["volumeMode"]),
    ]
}

/// A new volume is pending until the controller has seen it.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        let since = new["metadata"]["creationTimestamp"].clone();
        put(new, "status", Some(json!({ "phase": "Pending", "lastPhaseTransitionTime": since })));
    }
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill(spec, "volumeMode", "Filesystem");
    if let Some(host) = spec.get_mut("hostPath") {
        fill(host, "type", "");
    }
    if let Some(claim) = spec.get_mut("claimRef").filter(|claim| claim.is_object()) {
        fill_zero(claim, "kind", "PersistentVolumeClaim");
        fill_zero(claim, "apiVersion", "v1");
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    if is_empty(&spec["accessModes"]) {
        errors.required(&at.field("accessModes"), "");
    }
    claim_spec::access_modes(&spec["accessModes"], &at.field("accessModes"), errors);
    capacity(&spec["capacity"], &at.field("capacity"), errors);
    reclaim_policy(spec, &at, errors);
    let affinity = at.field("nodeAffinity");
    if spec["nodeAffinity"].is_object() {
        let (required, here) = (&spec["nodeAffinity"]["required"], affinity.field("required"));
        if required.is_null() {
            errors.required(&here, "must specify required node constraints");
        } else {
            pod_spec::node_selector(required, &here, errors);
        }
    }
    source(spec, &at, errors);
    claim_spec::shared(spec, &at, errors);
    if !is_empty(&spec["mountOptions"]) {
        let why = "directories of the machine are mounted without options: leave mountOptions out";
        errors.forbidden(&at.field("mountOptions"), why);
    }
    if !spec["volumeAttributesClassName"].is_null() {
        let why = "there are no VolumeAttributesClasses on this server: leave it out";
        errors.forbidden(&at.field("volumeAttributesClassName"), why);
    }
    if let Some(old) = old {
        unchanged(spec, &old["spec"], &at, errors);
    }
}

fn capacity(capacity: &Value, at: &Path<'_>, errors: &mut Errors) {
    if is_empty(capacity) {
        errors.required(at, "");
    } else if capacity["storage"].is_null() || entries(capacity).count() > 1 {
        errors.unsupported(at, &capacity.to_string(), &["storage"]);
    }
    for (resource, amount) in entries(capacity) {
        claim_spec::positive(amount, &at.key(resource), errors);
    }
}

fn reclaim_policy(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (policy, here) = (&spec["persistentVolumeReclaimPolicy"], at.field("persistentVolumeReclaimPolicy"));
    if policy == "Recycle" {
        let why = "volumes are not wiped for another claim by this server: use Retain or Delete";
        errors.forbidden(&here, why);
    } else {
        errors.one_of(&here, policy, &["Delete", "Retain"]);
    }
}

fn source(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let sources: Vec<(&str, &Value)> =
        entries(spec).filter(|(field, _)| !NOT_SOURCES.contains(field)).collect();
    if sources.is_empty() {
        errors.required(at, "must specify a volume type");
    }
    for (i, (kind, source)) in sources.into_iter().enumerate() {
        let here = at.field(kind);
        match kind {
            _ if i > 0 => errors.forbidden(&here, "may not specify more than 1 volume type"),
            "hostPath" => pod_spec::host_path(source, &here, errors),
            "local" => local(spec, source, at, errors),
            _ => {
                let why = "volumes of this type are not supported by this server: use local or hostPath";
                errors.forbidden(&here, why);
            }
        }
    }
}

fn local(spec: &Value, source: &Value, at: &Path<'_>, errors: &mut Errors) {
    let here = at.field("local");
    let (path, fs_type, here) = (text(&source["path"]), here.field("fsType"), here.field("path"));
    if path.is_empty() {
        errors.required(&here, "");
    } else if path.split('/').any(|part| part == "..") {
        errors.invalid_text(&here, path, "must not contain '..'");
    }
    if !is_empty(&source["fsType"]) {
        let why = "a directory is mounted as it is: leave fsType out";
        errors.forbidden(&fs_type, why);
    }
    if spec["nodeAffinity"].is_null() {
        errors.required(&at.field("nodeAffinity"), "Local volume requires node affinity");
    }
}

/// What a volume is made of stays.
fn unchanged(spec: &Value, old: &Value, at: &Path<'_>, errors: &mut Errors) {
    let source = |spec: &Value| -> Vec<(String, Value)> {
        let parts = entries(spec).filter(|(field, _)| !NOT_SOURCES.contains(field));
        parts.map(|(field, value)| (field.to_owned(), value.clone())).collect()
    };
    if source(spec) != source(old) {
        let why = "spec.persistentvolumesource is immutable after creation";
        errors.forbidden(&at.field("persistentvolumesource"), why);
    }
    errors.immutable(&at.field("volumeMode"), &spec["volumeMode"], &old["volumeMode"]);
    if !old["nodeAffinity"].is_null() {
        errors.immutable(&at.field("nodeAffinity"), &spec["nodeAffinity"], &old["nodeAffinity"]);
    }
}
