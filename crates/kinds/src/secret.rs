//! Secret: bytes by key, of a type that says which keys there must be.

use super::config_map::{DATA_BYTES_MAX, frozen};
use super::{Kind, PLAIN};
use crate::Errors;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object::json::{child, entries, fill_zero, text};
use object::name;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "Secret",
    list_kind: "SecretList",
    plural: "secrets",
    singular: "secret",
    schema: "io.k8s.api.core.v1.Secret",
    fields: &[("type", |o| text(&o["type"]).into())],
    columns: Columns { columns: &[NAME, column("Type"), column("Data"), AGE], row },
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = entries(&object["data"]).count();
    vec![name_of(object), object["type"].clone(), count.into(), age_of(object, now)]
}

/// `stringData` is written into `data`, and never read back.
fn default(object: &mut Value) {
    fill_zero(object, "type", "Opaque");
    let Some(plain) = object.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    let Some(data) = child(object, "data") else { return };
    for (key, value) in entries(&plain) {
        data[key] = STANDARD.encode(text(value)).into();
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("data");
    let mut bytes = 0;
    for (key, value) in entries(&new["data"]) {
        errors.check(&at.key(key), key, name::check_config_key);
        bytes += text(value).len() / 4 * 3;
    }
    if bytes > DATA_BYTES_MAX {
        errors.too_long(&at, DATA_BYTES_MAX);
    }
    required_keys(new, &at, errors);
    let Some(old) = old else { return };
    errors.immutable(&Path::Root.field("type"), &new["type"], &old["type"]);
    if old["immutable"] == true {
        frozen(new, old, &["data"], errors);
    }
}

fn required_keys(secret: &Value, at: &Path<'_>, errors: &mut Errors) {
    let data = &secret["data"];
    let required: &[&str] = match text(&secret["type"]) {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if text(&secret["metadata"]["annotations"][key]).is_empty() {
                let annotations = Path::Root.field("metadata");
                errors.required(&annotations.field("annotations").key(key), "");
            }
            &[]
        }
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" => {
            if data["username"].is_null() && data["password"].is_null() {
                errors.required(&at.key("username"), "");
                errors.required(&at.key("password"), "");
            }
            &[]
        }
        _ => &[],
    };
    for key in required {
        if data[*key].is_null() {
            errors.required(&at.key(key), "");
        }
    }
}
