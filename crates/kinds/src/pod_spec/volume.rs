//! Rules of volumes.

use crate::Errors;
use crate::claim_spec;
use object::json::{entries, items, text};
use object::name;
use object::path::Path;
use object::quantity::Quantity;
use serde_json::Value;

/// Checks the volumes and gives the names that mounts may refer to.
pub(super) fn validate_all<'a>(volumes: &'a Value, at: &Path<'_>, errors: &mut Errors) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (i, volume) in items(volumes).iter().enumerate() {
        let here = at.index(i);
        let name = text(&volume["name"]);
        validate_source(volume, &here, errors);
        if name.is_empty() {
            errors.required(&here.field("name"), "");
        } else {
            errors.check(&here.field("name"), name, name::check_label);
        }
        if names.contains(&name) {
            errors.duplicate(&here.field("name"), &volume["name"]);
        }
        names.push(name);
    }
    names
}

fn validate_source(volume: &Value, at: &Path<'_>, errors: &mut Errors) {
    let sources: Vec<(&str, &Value)> = entries(volume).filter(|(key, _)| *key != "name").collect();
    if sources.is_empty() {
        errors.required(at, "must specify a volume type");
    }
    for (i, (kind, source)) in sources.iter().enumerate() {
        let here = at.field(kind);
        if i > 0 {
            errors.forbidden(&here, "may not specify more than 1 volume type");
            continue;
        }
        match *kind {
            "emptyDir" => empty_dir(source, &here, errors),
            "hostPath" => host_path(source, &here, errors),
            "configMap" => keyed(source, "name", &here, errors),
            "secret" => keyed(source, "secretName", &here, errors),
            "downwardAPI" => downward(source, &here, errors),
            "projected" => projected(source, &here, errors),
            "persistentVolumeClaim" if text(&source["claimName"]).is_empty() => {
                errors.required(&here.field("claimName"), "");
            }
            "ephemeral" => ephemeral(source, &here, errors),
            _ => {}
        }
    }
}

fn ephemeral(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (template, here) = (&source["volumeClaimTemplate"], at.field("volumeClaimTemplate"));
    if template.is_null() {
        errors.required(&here, "");
    } else {
        claim_spec::validate_template(template, &here, errors);
    }
}

fn empty_dir(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    let limit = text(&source["sizeLimit"]);
    if Quantity::parse(limit).is_ok_and(Quantity::is_negative) {
        errors.forbidden(&at.field("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

/// A path of the machine; also of a PersistentVolume.
pub(crate) fn host_path(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    let path = text(&source["path"]);
    if path.is_empty() {
        errors.required(&at.field("path"), "");
    } else if path.split('/').any(|part| part == "..") {
        errors.invalid_text(&at.field("path"), path, "must not contain '..'");
    }
    let types =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    errors.one_of(&at.field("type"), &source["type"], &types);
}

fn mode(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    if value.as_i64().is_some_and(|n| !(0..=0o777).contains(&n)) {
        errors.invalid(at, value, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// A configMap or secret source: its name, mode and items.
fn keyed(source: &Value, name_field: &str, at: &Path<'_>, errors: &mut Errors) {
    if text(&source[name_field]).is_empty() {
        errors.required(&at.field(name_field), "");
    }
    mode(&source["defaultMode"], &at.field("defaultMode"), errors);
    for (i, item) in items(&source["items"]).iter().enumerate() {
        let list = at.field("items");
        let here = list.index(i);
        if text(&item["key"]).is_empty() {
            errors.required(&here.field("key"), "");
        }
        inner_path(text(&item["path"]), &here.field("path"), errors);
        mode(&item["mode"], &here.field("mode"), errors);
    }
}

/// A path that must stay inside its volume.
pub(super) fn inner_path(path: &str, at: &Path<'_>, errors: &mut Errors) {
    if path.is_empty() {
        errors.required(at, "");
    } else {
        descending(path, at, errors);
        if path.starts_with("..") && path != ".." && !path.starts_with("../") {
            errors.invalid_text(at, path, "must not start with '..'");
        }
    }
}

/// A relative path without `..`.
pub(super) fn descending(path: &str, at: &Path<'_>, errors: &mut Errors) {
    if path.starts_with('/') {
        errors.invalid_text(at, path, "must be a relative path");
    }
    if path.split('/').any(|part| part == "..") {
        errors.invalid_text(at, path, "must not contain '..'");
    }
}

fn downward(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    mode(&source["defaultMode"], &at.field("defaultMode"), errors);
    for (i, file) in items(&source["items"]).iter().enumerate() {
        let list = at.field("items");
        let here = list.index(i);
        inner_path(text(&file["path"]), &here.field("path"), errors);
        match (file["fieldRef"].is_null(), file["resourceFieldRef"].is_null()) {
            (true, true) => errors.required(&here, "one of fieldRef and resourceFieldRef is required"),
            (false, false) => {
                errors.invalid(
                    &here,
                    file,
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                );
            }
            _ => {}
        }
    }
}

fn projected(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    mode(&source["defaultMode"], &at.field("defaultMode"), errors);
    for (i, part) in items(&source["sources"]).iter().enumerate() {
        let list = at.field("sources");
        let here = list.index(i);
        let kinds: Vec<(&str, &Value)> = entries(part).collect();
        if kinds.is_empty() {
            errors.required(&here, "must specify a volume type");
        }
        for (n, (kind, source)) in kinds.iter().enumerate() {
            let inner = here.field(kind);
            match *kind {
                _ if n > 0 => errors.forbidden(&inner, "may not specify more than 1 volume type"),
                "configMap" | "secret" => keyed(source, "name", &inner, errors),
                "downwardAPI" => downward(source, &inner, errors),
                "serviceAccountToken" => token(source, &inner, errors),
                _ => {}
            }
        }
    }
}

fn token(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    let seconds = &source["expirationSeconds"];
    if seconds.as_i64().is_some_and(|n| n < 600) {
        let why = "may not specify a duration less than 10 minutes";
        errors.invalid(&at.field("expirationSeconds"), seconds, why);
    }
    inner_path(text(&source["path"]), &at.field("path"), errors);
}
