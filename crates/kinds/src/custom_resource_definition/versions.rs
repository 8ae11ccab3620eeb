//! The versions of a definition: their names, which one is stored, and each one's parts.

use super::{columns, schema, subresources};
use crate::Errors;
use object::json::{items, text};
use object::name;
use object::path::Path;
use serde_json::Value;

pub(super) fn check(spec: &Value, old: Option<&Value>, at: &Path<'_>, errors: &mut Errors) {
    let (versions, list) = (items(&spec["versions"]), at.field("versions"));
    let mut names: Vec<&str> = Vec::new();
    let (mut unique, mut stored) = (true, 0);
    for (index, version) in versions.iter().enumerate() {
        let here = list.index(index);
        let name = text(&version["name"]);
        errors.check(&here.field("name"), name, name::check_dns_1035);
        unique &= !names.contains(&name);
        names.push(name);
        stored += usize::from(version["storage"] == true);
        let before = old.map(|old| items(&old["spec"]["versions"])).into_iter().flatten();
        let before = before.into_iter().find(|own| own["name"] == version["name"]);
        one(version, before, &here, errors);
    }
    if !unique {
        errors.invalid(&list, &Value::from(names), "must contain unique version names");
    }
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        let names: Vec<&Value> = versions.iter().map(|version| &version["name"]).collect();
        errors.invalid(&list, &serde_json::json!(names), why);
    }
}

fn one(version: &Value, old: Option<&Value>, at: &Path<'_>, errors: &mut Errors) {
    for field in ["served", "storage"] {
        if version[field].is_null() {
            errors.required(&at.field(field), "");
        }
    }
    let warning = text(&version["deprecationWarning"]);
    if !warning.is_empty() && version["deprecated"] != true {
        let why = "can only be set for deprecated versions";
        errors.invalid_text(&at.field("deprecationWarning"), warning, why);
    }
    if warning.len() > 256 || warning.contains(|c: char| c.is_control()) {
        let why = "must be at most 256 bytes of printable text";
        errors.invalid_text(&at.field("deprecationWarning"), warning, why);
    }
    let root = &version["schema"]["openAPIV3Schema"];
    let below = at.field("schema");
    let below = below.field("openAPIV3Schema");
    if !root.is_object() {
        errors.required(&below, "schemas are required");
    } else if old.is_none_or(|old| old["schema"] != version["schema"]) {
        schema::check(root, &below, errors);
    }
    subresources::check(&version["subresources"], root, &at.field("subresources"), errors);
    columns::check(&version["additionalPrinterColumns"], &at.field("additionalPrinterColumns"), errors);
    columns::selectable(version, &at.field("selectableFields"), errors);
}

/// Versions in which objects may be stored must stay known.
pub(super) fn stored(crd: &Value, errors: &mut Errors) {
    let at = Path::Root.field("status");
    let at = at.field("storedVersions");
    let versions = items(&crd["spec"]["versions"]);
    let stored = &crd["status"]["storedVersions"];
    if items(stored).is_empty() {
        return errors.invalid(&at, stored, "must have at least one stored version");
    }
    for (index, name) in items(stored).iter().enumerate() {
        if !versions.iter().any(|version| version["name"] == *name) {
            let name_text = text(name);
            let why = format!(
                "missing from spec.versions; {name_text} was previously a storage version, and must remain in \
                 spec.versions until a storage migration ensures no data remains persisted in {name_text} and removes \
                 {name_text} from status.storedVersions"
            );
            errors.invalid(&at.index(index), name, &why);
        }
    }
    let current = versions.iter().find(|version| version["storage"] == true);
    if let Some(current) = current.filter(|current| !items(stored).contains(&current["name"])) {
        let why = format!("must have the storage version {}", text(&current["name"]));
        errors.invalid(&at, stored, &why);
    }
}
