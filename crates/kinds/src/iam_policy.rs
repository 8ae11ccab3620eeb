//! IamPolicy: a policy of this account that roles can have attached, in up to five versions; dory's own kind.

use super::iam_role::{document, path};
use super::{Kind, OWN};
use crate::Errors;
use object::json::{child, fill_zero, items, text};
use object::name::Rule;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, integer, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "IamPolicy",
    list_kind: "IamPolicyList",
    plural: "iampolicies",
    singular: "iampolicy",
    namespaced: false,
    schema: "dev.dory.v1.IamPolicy",
    columns: Columns { columns: &[NAME, column("Path"), column("Default"), integer("Versions"), AGE], row },
    // AWS's names, capitals and underscores included.
    name_rule: Rule::PathSegment,
    default: |object| {
        if let Some(spec) = child(object, "spec") {
            fill_zero(spec, "path", "/");
        }
    },
    validate,
    ..OWN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        name_of(object),
        text(&spec["path"]).into(),
        text(&spec["defaultVersion"]).into(),
        items(&spec["versions"]).len().into(),
        age_of(object, now),
    ]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    path(&spec["path"], old.map(|old| &old["spec"]["path"]), &at.field("path"), errors);
    let versions = items(&spec["versions"]);
    if versions.is_empty() {
        errors.required(&at.field("versions"), "");
    }
    for (i, version) in versions.iter().enumerate() {
        let list = at.field("versions");
        document(&version["document"], &list.index(i).field("document"), errors);
    }
    let default = text(&spec["defaultVersion"]);
    if !versions.is_empty() && !versions.iter().any(|version| text(&version["id"]) == default) {
        errors.invalid_text(&at.field("defaultVersion"), default, "must be the id of one of the versions");
    }
}
