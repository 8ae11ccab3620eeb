//! The status and scale of a version.

use crate::Errors;
use object::json::{entries, text};
use object::path::Path;
use serde_json::Value;

/// What the root of a schema may say when there is a status subresource.
const AT_ROOT: [&str; 6] =
    ["description", "properties", "required", "title", "type", "x-kubernetes-validations"];

pub(super) fn check(below: &Value, root: &Value, at: &Path<'_>, errors: &mut Errors) {
    if below["status"].is_object() {
        let more = |(key, value): (&str, &Value)| !AT_ROOT.contains(&key) && !value.is_null();
        if entries(root).any(more) {
            let why = format!(
                "only {AT_ROOT:?} fields are allowed at the root of the schema if the status subresource is enabled"
            );
            errors.invalid_whole(&at.field("status"), &why);
        }
    }
    let scale = &below["scale"];
    if !scale.is_object() {
        return;
    }
    let here = at.field("scale");
    for (field, parents) in [
        ("specReplicasPath", &[".spec."][..]),
        ("statusReplicasPath", &[".status."]),
        ("labelSelectorPath", &[".spec.", ".status."]),
    ] {
        let (path, here) = (text(&scale[field]), here.field(field));
        match (path.is_empty(), field) {
            (true, "labelSelectorPath") => {}
            (true, _) => errors.required(&here, ""),
            (false, _) => simple_path(path, parents, &here, errors),
        }
    }
}

fn simple_path(path: &str, parents: &[&str], at: &Path<'_>, errors: &mut Errors) {
    let plain = |step: &str| {
        !step.is_empty() && step.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')
    };
    let Some(rest) = path.strip_prefix('.') else {
        return errors.invalid_text(at, path, "must be a simple json path starting with .");
    };
    if !rest.split('.').all(plain) {
        errors.invalid_text(at, path, "must be a json path in the dot notation");
    } else if !parents.iter().any(|parent| path.starts_with(parent)) {
        let parents: Vec<&str> = parents.iter().map(|parent| parent.trim_end_matches('.')).collect();
        let either = if parents.len() > 1 { "either " } else { "" };
        let why = format!("should be a json path under {either}{}", parents.join(" or "));
        errors.invalid_text(at, path, &why);
    }
}
