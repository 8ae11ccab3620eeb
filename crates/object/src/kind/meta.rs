//! `metadata`: what the server fills in, what it keeps, and the rules every kind shares.

use super::errors::Errors;
use super::{Context, Kind};
use crate::json::{child, entries, is_empty, items, put, text};
use crate::name;
use crate::path::Path;
use crate::status::Status;
use crate::time;
use serde_json::Value;

/// All annotations of an object together, as upstream.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// A generated name is cut to this before the suffix, so that it stays a DNS label.
const GENERATE_NAME_MAX: usize = 63 - SUFFIX_LEN;
const SUFFIX_LEN: usize = 5;
/// No vowels and nothing that looks alike: a suffix never spells a word.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Fields of metadata that the server owns.
const SERVER_FIELDS: [&str; 6] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

pub(super) fn prepare_create(kind: &Kind, object: &mut Value, ctx: &Context<'_>) -> Result<(), Status> {
    let Some(meta) = child(object, "metadata") else {
        return Err(Status::bad_request("metadata is not an object"));
    };
    check_namespace(kind, meta, ctx)?;
    if !text(&meta["resourceVersion"]).is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    for field in SERVER_FIELDS {
        put(meta, field, None);
    }
    if text(&meta["name"]).is_empty() && !text(&meta["generateName"]).is_empty() {
        meta["name"] = generated_name(text(&meta["generateName"]), ctx).into();
    }
    meta["uid"] = ctx.uid.to_string().into();
    meta["creationTimestamp"] = time::seconds(ctx.now).into();
    put(meta, "resourceVersion", None);
    drop_empty(meta);
    Ok(())
}

fn generated_name(prefix: &str, ctx: &Context<'_>) -> String {
    let mut cut = prefix.len().min(GENERATE_NAME_MAX);
    while !prefix.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut random = ctx.uid.as_u128();
    let mut name = prefix[..cut].to_owned();
    for _ in 0..SUFFIX_LEN {
        name.push(char::from(SUFFIX_ALPHABET[(random % 27) as usize]));
        random /= 27;
    }
    name
}

fn check_namespace(kind: &Kind, meta: &mut Value, ctx: &Context<'_>) -> Result<(), Status> {
    let given = text(&meta["namespace"]);
    match ctx.namespace.filter(|_| kind.namespaced) {
        Some(want) if given.is_empty() => meta["namespace"] = want.into(),
        Some(want) if given == want => {}
        Some(want) => {
            return Err(Status::bad_request(format!(
                "the namespace of the provided object does not match the namespace sent on the request \
                 ({given} != {want})"
            )));
        }
        None if !kind.namespaced => put(meta, "namespace", None),
        None => {}
    }
    Ok(())
}

pub(super) fn prepare_update(
    kind: &Kind,
    new: &mut Value,
    old: &Value,
    ctx: &Context<'_>,
) -> Result<(), Status> {
    let Some(meta) = child(new, "metadata") else {
        return Err(Status::bad_request("metadata is not an object"));
    };
    check_namespace(kind, meta, ctx)?;
    let old_meta = &old["metadata"];
    let (uid, old_uid) = (text(&meta["uid"]), text(&old_meta["uid"]));
    if !uid.is_empty() && uid != old_uid {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}");
        return Err(Status::conflict(kind.group, kind.plural, text(&old_meta["name"]), &why));
    }
    for field in SERVER_FIELDS {
        put(meta, field, old_meta.get(field).cloned());
    }
    drop_empty(meta);
    Ok(())
}

/// A list of which nothing is left, as after a patch, is not shown.
fn drop_empty(meta: &mut Value) {
    for list in ["finalizers", "ownerReferences"] {
        if is_empty(&meta[list]) {
            put(meta, list, None);
        }
    }
}

pub(super) fn validate(kind: &Kind, object: &Value, errors: &mut Errors) {
    let meta = &object["metadata"];
    let at = Path::Root.field("metadata");
    let name = text(&meta["name"]);
    if name.is_empty() {
        errors.required(&at.field("name"), "name or generateName is required");
    } else if let Err(why) = kind.name_rule.check(name) {
        errors.invalid_text(&at.field("name"), name, &why);
    }
    if kind.namespaced && text(&meta["namespace"]).is_empty() {
        errors.required(&at.field("namespace"), "");
    }
    labels(&meta["labels"], &at.field("labels"), errors);
    annotations(&meta["annotations"], &at.field("annotations"), errors);
    for (i, finalizer) in items(&meta["finalizers"]).iter().enumerate() {
        let list = at.field("finalizers");
        errors.check(&list.index(i), text(finalizer), name::check_qualified);
        // The garbage collector's own two are the exception.
        if !matches!(text(finalizer), "orphan" | "foregroundDeletion") && !text(finalizer).contains('/') {
            let why = format!(
                "{finalizer}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental \
                 conflicts with other finalizer writers"
            );
            errors.warn(&list, &why);
        }
    }
    owners(&meta["ownerReferences"], &at.field("ownerReferences"), errors);
}

/// Label keys and values.
pub fn labels(labels: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (key, value) in entries(labels) {
        errors.check(at, key, name::check_qualified);
        errors.check(at, text(value), name::check_label_value);
    }
}

/// Annotation keys, and the size of all together.
pub fn annotations(annotations: &Value, at: &Path<'_>, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in entries(annotations) {
        // Upstream takes upper case in annotation prefixes.
        if let Err(why) = name::check_qualified(&key.to_ascii_lowercase()) {
            errors.invalid_text(at, key, &why);
        }
        bytes += key.len() + text(value).len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.too_long(at, ANNOTATIONS_BYTES_MAX);
    }
}

fn owners(owners: &Value, at: &Path<'_>, errors: &mut Errors) {
    let mut controllers = 0;
    for (i, owner) in items(owners).iter().enumerate() {
        let here = at.index(i);
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(&owner[field]).is_empty() {
                errors.invalid(&here.field(field), &owner[field], detail);
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        errors.invalid(at, owners, "Only one reference can have Controller set to true");
    }
}

pub(super) fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let (meta, before) = (&new["metadata"], &old["metadata"]);
    let at = Path::Root.field("metadata");
    for field in ["name", "namespace"] {
        errors.immutable(&at.field(field), &meta[field], &before[field]);
    }
    if before["deletionTimestamp"].is_null() {
        return;
    }
    let known = items(&before["finalizers"]);
    let added: Vec<&Value> = items(&meta["finalizers"]).iter().filter(|f| !known.contains(f)).collect();
    if !added.is_empty() {
        let list: Vec<String> = added.iter().map(|f| f.to_string()).collect();
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            list.join(", ")
        );
        errors.forbidden(&at.field("finalizers"), &why);
    }
}

/// A LabelSelector object.
pub fn label_selector(selector: &Value, at: &Path<'_>, errors: &mut Errors) {
    labels(&selector["matchLabels"], &at.field("matchLabels"), errors);
    let list = at.field("matchExpressions");
    for (i, expression) in items(&selector["matchExpressions"]).iter().enumerate() {
        let here = list.index(i);
        let values = &expression["values"];
        match text(&expression["operator"]) {
            "In" | "NotIn" if is_empty(values) => {
                errors
                    .required(&here.field("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !is_empty(values) => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&here.field("values"), why);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid_text(&here.field("operator"), other, "not a valid selector operator"),
        }
        errors.check(&here.field("key"), text(&expression["key"]), name::check_qualified);
        for (j, value) in items(values).iter().enumerate() {
            errors.check(&here.field("values").index(j), text(value), name::check_label_value);
        }
    }
}
