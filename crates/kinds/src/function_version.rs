//! FunctionVersion: a function as it was when it was published; dory's own kind. Its configuration never changes.

use super::function::{code_sha, configuration, configuration_default, runtime};
use super::{Kind, OWN};
use crate::Errors;
use object::json::{child, entries, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, integer, name_of, number, or_none, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

/// What may be set on a version after it was published.
const CHANGEABLE: &[&str] = &["eventInvoke", "policy", "provisionedConcurrency", "runtimeManagement"];

pub(super) static KIND: Kind = Kind {
    kind: "FunctionVersion",
    list_kind: "FunctionVersionList",
    plural: "functionversions",
    singular: "functionversion",
    short_names: &["fnv"],
    schema: "dev.dory.v1.FunctionVersion",
    fields: &[
        ("spec.functionName", |o| text(&o["spec"]["functionName"]).into()),
        ("spec.version", |o| text(&o["spec"]["version"]).into()),
    ],
    columns: Columns {
        columns: &[
            NAME,
            column("Function"),
            column("Version"),
            column("Runtime"),
            integer("Memory"),
            column("Provisioned"),
            AGE,
            wide("Code SHA"),
            wide("Description"),
        ],
        row,
    },
    default: |object| {
        if let Some(spec) = child(object, "spec") {
            configuration_default(spec);
        }
    },
    validate,
    ..OWN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let sha = code_sha(spec);
    vec![
        name_of(object),
        text(&spec["functionName"]).into(),
        text(&spec["version"]).into(),
        runtime(spec),
        number(&spec["memoryMB"]),
        provisioned(spec),
        age_of(object, now),
        or_none(sha.get(..12).unwrap_or(sha)),
        or_none(text(&spec["description"])),
    ]
}

/// Instances that are kept ready, for the table.
pub(super) fn provisioned(spec: &Value) -> Value {
    or_none(spec["provisionedConcurrency"].as_u64().map_or_else(String::new, |n| n.to_string()))
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    configuration(spec, &at, errors);
    let (function, version) = (text(&spec["functionName"]), text(&spec["version"]));
    if function.is_empty() {
        errors.required(&at.field("functionName"), "");
    }
    if !is_number(version) {
        errors.invalid_text(&at.field("version"), version, "must be a number without leading zeros, from 1");
    } else if text(&new["metadata"]["name"]) != format!("{function}.{version}") {
        let why = "must be the function's name, a dot and the version";
        errors.invalid(&Path::Root.field("metadata").field("name"), &new["metadata"]["name"], why);
    }
    provisioned_bounds(spec, &at, errors);
    let Some(old) = old else { return };
    for (field, value) in
        entries(spec).chain(entries(&old["spec"]).filter(|(field, _)| spec[*field].is_null()))
    {
        if !CHANGEABLE.contains(&field) && old["spec"][field] != spec[field] {
            errors.invalid(&at.field(field), value, "a published version cannot be changed: publish another");
        }
    }
}

pub(super) fn provisioned_bounds(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let value = &spec["provisionedConcurrency"];
    if !value.is_null() && value.as_i64().is_none_or(|n| n < 1) {
        errors.invalid(&at.field("provisionedConcurrency"), value, "must be greater than or equal to 1");
    }
}

/// Whether this is how versions are numbered.
pub(super) fn is_number(text: &str) -> bool {
    (1..=19).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}
