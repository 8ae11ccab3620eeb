//! FunctionAlias: a name for one version of a function, or for two by weight; dory's own kind.

use super::function::{event_invoke, url, url_default};
use super::function_version::{is_number, provisioned, provisioned_bounds};
use super::{Kind, OWN};
use crate::Errors;
use object::json::{child, entries, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, or_none, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

/// The longest name of an alias, as on AWS.
const NAME_MAX: usize = 128;
const LATEST: &str = "$LATEST";

pub(super) static KIND: Kind = Kind {
    kind: "FunctionAlias",
    list_kind: "FunctionAliasList",
    plural: "functionaliases",
    singular: "functionalias",
    short_names: &["fna"],
    schema: "dev.dory.v1.FunctionAlias",
    fields: &[
        ("spec.functionName", |o| text(&o["spec"]["functionName"]).into()),
        ("spec.functionVersion", |o| text(&o["spec"]["functionVersion"]).into()),
    ],
    columns: Columns {
        columns: &[
            NAME,
            column("Function"),
            column("Alias"),
            column("Version"),
            column("Routing"),
            column("Provisioned"),
            AGE,
            wide("Description"),
        ],
        row,
    },
    default: |object| {
        if let Some(spec) = child(object, "spec") {
            url_default(spec);
        }
    },
    validate,
    ..OWN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let percent = |weight: &Value| (weight.as_f64().unwrap_or(0.0) * 10_000.0).round() / 100.0;
    let routing: Vec<String> = entries(&spec["routing"])
        .map(|(version, weight)| format!("{version}={}%", percent(weight)))
        .collect();
    vec![
        name_of(object),
        text(&spec["functionName"]).into(),
        text(&spec["name"]).into(),
        text(&spec["functionVersion"]).into(),
        or_none(routing.join(",")),
        provisioned(spec),
        age_of(object, now),
        or_none(text(&spec["description"])),
    ]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    let (function, name, version) =
        (text(&spec["functionName"]), text(&spec["name"]), text(&spec["functionVersion"]));
    if function.is_empty() {
        errors.required(&at.field("functionName"), "");
    } else if !text(&new["metadata"]["name"]).starts_with(&format!("{function}.")) {
        let why = "must be the function's name, a dot and the alias";
        errors.invalid(&Path::Root.field("metadata").field("name"), &new["metadata"]["name"], why);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        let why = "must be 1 to 128 letters, digits, '-' and '_'";
        errors.invalid_text(&at.field("name"), name, why);
    } else if name.bytes().all(|b| b.is_ascii_digit()) {
        errors.invalid_text(&at.field("name"), name, "must not look like a version");
    }
    if version != LATEST && !is_number(version) {
        errors.invalid_text(&at.field("functionVersion"), version, "must be a version or $LATEST");
    }
    routing(spec, &at.field("routing"), errors);
    provisioned_bounds(spec, &at, errors);
    url(&spec["url"], &at.field("url"), errors);
    event_invoke(&spec["eventInvoke"], &at.field("eventInvoke"), errors);
    if let Some(old) = old {
        for field in ["functionName", "name"] {
            errors.immutable(&at.field(field), &spec[field], &old["spec"][field]);
        }
    }
}

/// One more version at most, with the share of requests that it gets.
fn routing(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let version = text(&spec["functionVersion"]);
    let count = entries(&spec["routing"]).count();
    if count > 1 {
        errors.too_many(at, count, 1);
    }
    if count > 0 && version == LATEST {
        errors.forbidden(at, "$LATEST cannot share its requests with another version");
    }
    for (other, weight) in entries(&spec["routing"]) {
        if !is_number(other) || other == version {
            errors.invalid_text(&at.key(other), other, "must be another published version");
        }
        if !weight.as_f64().is_some_and(|weight| (0.0..=1.0).contains(&weight)) {
            errors.invalid(&at.key(other), weight, "must be between 0 and 1, inclusive");
        }
    }
}
