//! What `kubectl get` prints of a version, and which fields its objects can be selected by.

use crate::Errors;
use object::custom::JsonPath;
use object::json::{items, text};
use object::path::Path;
use serde_json::Value;

const TYPES: &str = "boolean,date,integer,number,string";
const FORMATS: &str = "byte,date,date-time,double,float,int32,int64,password";
/// More fields of a version cannot be selected by, as upstream.
const SELECTABLE_MAX: usize = 8;

pub(super) fn check(list: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (index, column) in items(list).iter().enumerate() {
        let here = at.index(index);
        if text(&column["name"]).is_empty() {
            errors.required(&here.field("name"), "");
        }
        let ty = text(&column["type"]);
        match ty {
            "" => errors.required(&here.field("type"), &format!("must be one of {TYPES}")),
            _ if !TYPES.split(',').any(|own| own == ty) => {
                errors.invalid_text(&here.field("type"), ty, &format!("must be one of {TYPES}"));
            }
            _ => {}
        }
        let format = text(&column["format"]);
        if !format.is_empty() && !FORMATS.split(',').any(|own| own == format) {
            errors.invalid_text(&here.field("format"), format, &format!("must be one of {FORMATS}"));
        }
        let path = text(&column["jsonPath"]);
        if path.is_empty() {
            errors.required(&here.field("jsonPath"), "");
        } else if let Err(why) = JsonPath::parse(path) {
            errors.invalid_text(&here.field("jsonPath"), path, &why);
        }
    }
}

/// The fields that field selectors may name.
pub(super) fn selectable(version: &Value, at: &Path<'_>, errors: &mut Errors) {
    let list = items(&version["selectableFields"]);
    let mut seen: Vec<&str> = Vec::new();
    for (index, field) in list.iter().enumerate() {
        let here = at.index(index);
        let here = here.field("jsonPath");
        let path = text(&field["jsonPath"]);
        let steps: Option<Vec<&str>> = path.strip_prefix('.').map(|rest| rest.split('.').collect());
        let Some(steps) = steps.filter(|steps| steps.iter().all(|step| !step.is_empty())) else {
            if path.is_empty() {
                errors.required(&here, "");
            } else {
                errors.invalid_text(
                    &here,
                    path,
                    "is an invalid path: it must be names with dots before them",
                );
            }
            continue;
        };
        if steps[0] == "metadata" {
            errors.invalid_text(&here, path, "must not point to fields in metadata");
        }
        let mut schema = &version["schema"]["openAPIV3Schema"];
        for step in steps {
            schema = &schema["properties"][step];
        }
        if !matches!(text(&schema["type"]), "string" | "boolean" | "integer") {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                       formats are allowed.";
            errors.invalid_text(&here, path, why);
        }
        if seen.contains(&path) {
            errors.duplicate(&here, &field["jsonPath"]);
        }
        seen.push(path);
    }
    if list.len() > SELECTABLE_MAX {
        errors.too_many(at, list.len(), SELECTABLE_MAX);
    }
}
