//! PersistentVolumeClaim: storage that pods of a namespace ask for by name, and keep.

use super::claim_spec::{self, or_unset, shown_modes};
use super::{Kind, PLAIN, STATUS};
use crate::Errors;
use object::json::{child, put, text};
use object::path::Path;
use object::quantity::Quantity;
use object::storage;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column, wide};
use object::time::Timestamp;
use serde_json::{Value, json};

pub(super) static KIND: Kind = Kind {
    kind: "PersistentVolumeClaim",
    list_kind: "PersistentVolumeClaimList",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    subresources: &[STATUS],
    schema: "io.k8s.api.core.v1.PersistentVolumeClaim",
    columns: Columns {
        columns: &[
            NAME,
            column("Status"),
            column("Volume"),
            column("Capacity"),
            column("Access Modes"),
            column("StorageClass"),
            column("VolumeAttributesClass"),
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

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let deleting = !object["metadata"]["deletionTimestamp"].is_null();
    let phase = if deleting { "Terminating" } else { text(&status["phase"]) };
    let volume = text(&spec["volumeName"]);
    let (capacity, modes) = match volume {
        "" => ("".into(), "".into()),
        _ => {
            let bytes = text(&status["capacity"]["storage"]);
            (if bytes.is_empty() { "0" } else { bytes }.into(), shown_modes(&status["accessModes"]))
        }
    };
    vec![
        name_of(object),
        phase.into(),
        volume.into(),
        capacity,
        modes,
        storage::class_of(object).unwrap_or_default().into(),
        or_unset(&spec["volumeAttributesClassName"]),
        age_of(object, now),
        or_unset(&spec["volumeMode"]),
    ]
}

/// A new claim is pending.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        put(new, "status", Some(json!({ "phase": "Pending" })));
    }
}

fn default(object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        claim_spec::default(spec);
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("spec");
    claim_spec::validate(&new["spec"], &at, errors);
    if let Some(old) = old {
        validate_change(new, old, &at, errors);
    }
}

/// A claim stays what was asked for; only a bound one may ask for more, and its volume and class are filled in once.
fn validate_change(new: &Value, old: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (mut fixed, mut before) = (new["spec"].clone(), old["spec"].clone());
    if text(&before["volumeName"]).is_empty() {
        put(&mut fixed, "volumeName", None);
        put(&mut before, "volumeName", None);
    }
    if storage::class_of(old).is_none() {
        put(&mut fixed, "storageClassName", None);
    }
    if new["status"]["phase"] == "Bound" {
        for spec in [&mut fixed, &mut before] {
            if let Some(requests) = spec["resources"].get_mut("requests") {
                put(requests, "storage", None);
            }
        }
    }
    if fixed != before {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.forbidden(at, why);
    }
    let granted = Quantity::parse(text(&old["status"]["capacity"]["storage"])).unwrap_or_default();
    let (wanted, wanted_before) = (storage::requested(new), storage::requested(old));
    if wanted < wanted_before && wanted <= granted {
        let why = "field can not be less than status.capacity";
        let (resources, field) = (at.field("resources"), "requests");
        errors.forbidden(&resources.field(field).field("storage"), why);
    }
}
