//! IamRole: whom a function acts as at the AWS endpoint; dory's own kind.

use super::{Kind, OWN};
use crate::Errors;
use object::json::{child, entries, fill, fill_zero, items, text};
use object::name::Rule;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, integer, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "IamRole",
    list_kind: "IamRoleList",
    plural: "iamroles",
    singular: "iamrole",
    namespaced: false,
    schema: "dev.dory.v1.IamRole",
    columns: Columns { columns: &[NAME, column("Path"), integer("Policies"), integer("Attached"), AGE], row },
    // AWS's names, capitals and underscores included.
    name_rule: Rule::PathSegment,
    default,
    validate,
    ..OWN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        name_of(object),
        text(&spec["path"]).into(),
        entries(&spec["inlinePolicies"]).count().into(),
        items(&spec["attachedPolicies"]).len().into(),
        age_of(object, now),
    ]
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill_zero(spec, "path", "/");
    fill(spec, "maxSessionDurationSeconds", 3600);
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    path(&spec["path"], old.map(|old| &old["spec"]["path"]), &at.field("path"), errors);
    let duration = &spec["maxSessionDurationSeconds"];
    if !duration.as_i64().is_some_and(|seconds| (3600..=43_200).contains(&seconds)) {
        let why = "must be between 3600 and 43200, inclusive";
        errors.invalid(&at.field("maxSessionDurationSeconds"), duration, why);
    }
    document(&spec["assumeRolePolicyDocument"], &at.field("assumeRolePolicyDocument"), errors);
    for (name, policy) in entries(&spec["inlinePolicies"]) {
        document(policy, &at.field("inlinePolicies").key(name), errors);
    }
}

/// A path is part of the ARN, and so stays what it is.
pub(super) fn path(value: &Value, old: Option<&Value>, at: &Path<'_>, errors: &mut Errors) {
    let text = text(value);
    if !text.starts_with('/') || !text.ends_with('/') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        errors.invalid_text(at, text, "must begin and end with '/', as in \"/service-role/\"");
    }
    if let Some(old) = old {
        errors.immutable(at, value, old);
    }
}

/// Whether it is a policy that makes sense is decided where it is read; here it has to be one at all.
pub(super) fn document(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    let parsed: Option<Value> = serde_json::from_str(text(value)).ok();
    if text(value).is_empty() {
        errors.required(at, "");
    } else if !parsed
        .is_some_and(|document| document["Statement"].is_array() || document["Statement"].is_object())
    {
        errors.invalid_text(at, text(value), "must be the JSON text of an IAM policy, with a Statement");
    }
}
