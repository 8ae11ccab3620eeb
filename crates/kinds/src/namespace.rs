//! Namespace: a room of names, emptied before it goes.

use super::{Kind, PLAIN, STATUS, Subresource};
use crate::Errors;
use object::json::{child, fill_zero, items, text};
use object::name::{self, Rule};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "Namespace",
    list_kind: "NamespaceList",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    namespaced: false,
    subresources: &[
        Subresource { name: "finalize", group_version: ("", ""), kind: "", verbs: &["update"] },
        STATUS,
    ],
    schema: "io.k8s.api.core.v1.Namespace",
    fields: &[("status.phase", |o| text(&o["status"]["phase"]).into())],
    columns: Columns { columns: &[NAME, column("Status"), AGE], row },
    name_rule: Rule::Label,
    status: true,
    keeps_status: true,
    prepare,
    default,
    validate,
    deleting: |namespace, _| {
        if let Some(status) = child(namespace, "status") {
            status["phase"] = "Terminating".into();
        }
    },
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), object["status"]["phase"].clone(), age_of(object, now)]
}

/// The finalizer holds a namespace until everything in it is gone; only `/finalize` takes it away.
fn prepare(new: &mut Value, old: Option<&Value>) {
    let Some(spec) = child(new, "spec") else { return };
    match old {
        None => {
            if !spec["finalizers"].is_array() {
                spec["finalizers"] = Value::Array(Vec::new());
            }
            if let Some(list) = spec["finalizers"].as_array_mut()
                && !list.iter().any(|f| f == "kubernetes")
            {
                list.push("kubernetes".into());
            }
        }
        Some(old) => object::json::put(spec, "finalizers", old["spec"].get("finalizers").cloned()),
    }
}

fn default(object: &mut Value) {
    let name = text(&object["metadata"]["name"]).to_owned();
    if !name.is_empty()
        && let Some(labels) = child(&mut object["metadata"], "labels")
    {
        labels["kubernetes.io/metadata.name"] = name.into();
    }
    if let Some(status) = child(object, "status") {
        fill_zero(status, "phase", "Active");
    }
}

fn validate(new: &Value, _: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("spec");
    for (i, finalizer) in items(&new["spec"]["finalizers"]).iter().enumerate() {
        errors.check(&at.field("finalizers").index(i), text(finalizer), name::check_qualified);
    }
}
