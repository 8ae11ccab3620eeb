//! ConfigMap: text and bytes by key.

use super::{Kind, PLAIN};
use crate::Errors;
use object::json::{entries, text};
use object::name;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

/// All keys and values together; what etcd would take in one request, with room to spare.
pub(super) const DATA_BYTES_MAX: usize = 1024 * 1024;

pub(super) static KIND: Kind = Kind {
    kind: "ConfigMap",
    list_kind: "ConfigMapList",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    schema: "io.k8s.api.core.v1.ConfigMap",
    columns: Columns { columns: &[NAME, column("Data"), AGE], row },
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = entries(&object["data"]).count() + entries(&object["binaryData"]).count();
    vec![name_of(object), count.into(), age_of(object, now)]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (data, binary) = (Path::Root.field("data"), Path::Root.field("binaryData"));
    let mut bytes = 0;
    for (key, value) in entries(&new["data"]) {
        errors.check(&data.key(key), key, name::check_config_key);
        if !new["binaryData"][key].is_null() {
            errors.invalid_text(&data.key(key), key, "duplicate of key present in binaryData");
        }
        bytes += text(value).len();
    }
    for (key, value) in entries(&new["binaryData"]) {
        errors.check(&binary.key(key), key, name::check_config_key);
        bytes += text(value).len() / 4 * 3;
    }
    if bytes > DATA_BYTES_MAX {
        errors.too_long(&Path::Root.field(""), DATA_BYTES_MAX);
    }
    let Some(old) = old.filter(|o| o["immutable"] == true) else { return };
    frozen(new, old, &["data", "binaryData"], errors);
}

/// An object that was made immutable stays so, with its data.
pub(super) fn frozen(new: &Value, old: &Value, fields: &[&str], errors: &mut Errors) {
    if new["immutable"] != true {
        errors.forbidden(&Path::Root.field("immutable"), "field is immutable when `immutable` is set");
    }
    for field in fields {
        if new.get(*field) != old.get(*field) {
            errors.forbidden(&Path::Root.field(field), "field is immutable when `immutable` is set");
        }
    }
}
