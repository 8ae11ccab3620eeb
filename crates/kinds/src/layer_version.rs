//! LayerVersion: files that functions find below /opt; dory's own kind. One object per published version. What a version
//! holds never changes; who may use it may.

use super::{Kind, OWN};
use crate::Errors;
use object::json::{items, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, integer, name_of, number, or_none, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "LayerVersion",
    list_kind: "LayerVersionList",
    plural: "layerversions",
    singular: "layerversion",
    short_names: &["layer"],
    schema: "dev.dory.v1.LayerVersion",
    fields: &[("spec.layerName", |o| text(&o["spec"]["layerName"]).into())],
    columns: Columns {
        columns: &[NAME, column("Layer"), integer("Version"), column("Runtimes"), AGE, wide("Code SHA")],
        row,
    },
    validate,
    ..OWN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let sha = text(&spec["code"]["sha256"]);
    let runtimes: Vec<&str> = items(&spec["compatibleRuntimes"]).iter().map(text).collect();
    vec![
        name_of(object),
        text(&spec["layerName"]).into(),
        number(&spec["version"]),
        or_none(runtimes.join(",")),
        age_of(object, now),
        or_none(sha.get(..12).unwrap_or(sha)),
    ]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    if text(&spec["layerName"]).is_empty() {
        errors.required(&at.field("layerName"), "");
    }
    if spec["version"].as_i64().is_none_or(|version| version <= 0) {
        errors.invalid(&at.field("version"), &spec["version"], "must be greater than 0");
    }
    // The last version of a layer keeps its number when it is deleted, and nothing else.
    if spec["deleted"] != Value::Bool(true) && text(&spec["code"]["sha256"]).is_empty() {
        errors.required(&at.field("code").field("sha256"), "");
    }
    super::function::code(&spec["code"], &at.field("code"), errors);
    for (i, architecture) in items(&spec["compatibleArchitectures"]).iter().enumerate() {
        errors.one_of(&at.field("compatibleArchitectures").index(i), architecture, &["arm64", "x86_64"]);
    }
    let Some(old) = old.map(|old| &old["spec"]) else { return };
    for field in ["layerName", "version", "code"] {
        if spec["deleted"] != Value::Bool(true) && spec[field] != old[field] {
            errors.invalid(&at.field(field), &spec[field], "field is immutable");
        }
    }
}
