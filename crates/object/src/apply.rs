//! Server-side apply and field management: who owns which field of an object.
//!
//! `apiserver` calls [`apply`] for `application/apply-patch+yaml` (before defaults) and [`track`] for every other write
//! (after the object has been defaulted, before it is stored). The rules are those of KEP-555: an update takes the
//! fields that it changes from their managers; an apply owns all that it names, conflicts when it would change what
//! others own, and removes what it named before and nobody names now.

mod fields;
mod managed;
mod merge;
mod walk;

use crate::json::{put, text};
use crate::status::{Cause, Details};
use crate::time::Timestamp;
use crate::{Kind, Status};
use fields::Fields;
use managed::Entry;
use serde_json::{Map, Value};
use std::sync::OnceLock;
use walk::{Difference, Form};

/// Longest manager name, as upstream.
const MANAGER_BYTES_MAX: usize = 128;
/// Who owns the fields of an object that was not tracked before its first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, through which subresource, and when.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// Field manager: the `fieldManager` parameter, else [`manager_of`] the user agent.
    pub manager: &'a str,
    /// `status`, `scale`, … or `None` for the main resource.
    pub subresource: Option<&'a str>,
    /// The time of the request.
    pub now: Timestamp,
}

/// The field manager that a user agent stands for: what is before the first slash.
pub fn manager_of(user_agent: &str) -> &str {
    let name = user_agent.split('/').next().unwrap_or_default();
    let mut end = name.len().min(MANAGER_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Applies `config` (a partial object, decoded) to `live`; `None` makes a new object. The result has its
/// `metadata.managedFields` set; conflicts without `force` are a 409 with one cause per field.
pub fn apply(
    kind: &Kind,
    live: Option<&Value>,
    config: &Value,
    author: &Author<'_>,
    force: bool,
) -> Result<Value, Status> {
    if config["metadata"].get("managedFields").is_some_and(|m| !m.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let facts = kind.definition();
    let form = Form::Struct(&facts);
    let empty = Value::Object(Map::new());
    let before = live.unwrap_or(&empty);
    let mut entries = managed::read(before).unwrap_or_default();
    if live.is_some() && entries.is_empty() {
        entries.push(first_entry(kind, before, author, form));
    }
    let mut mine = Entry::new(kind, author, true);
    walk::fields_of(config, form, mine.fields()).map_err(|step| twice(kind, config, &step))?;
    strip(kind, author, mine.fields());
    let mut last = take(&mut entries, &mine);
    let mut merged = merge::merge(before, config, form);
    put_back_ignored(kind, author, &mut merged, before);
    if let Some(last) = &mut last {
        let mut owned = mine.fields().clone();
        // Every configuration names the object, so that its metadata stays.
        owned.step("f:metadata").step("f:name").member = true;
        entries.iter_mut().for_each(|e| owned.add(e.fields()));
        merge::prune(&mut merged, last.fields(), &owned, form);
    }
    let difference = difference(before, &merged, form);
    refuse_conflicts(&mut entries, &difference, force)?;
    release(&mut entries, &difference);
    let unchanged = difference.set.is_empty() && difference.removed.is_empty();
    if let Some(mut last) = last
        && unchanged
        && last.fields() == mine.fields()
    {
        mine.time = last.time;
    }
    entries.push(mine);
    managed::write(&mut merged, entries);
    Ok(merged)
}

/// Writes `new.metadata.managedFields` after a create (`old` is `None`), update or patch.
pub fn track(kind: &Kind, old: Option<&Value>, new: &mut Value, author: &Author<'_>) {
    let facts = kind.definition();
    let form = Form::Struct(&facts);
    if managed::is_reset(new) && author.subresource.is_none() {
        managed::write(new, Vec::new());
        return;
    }
    let given = managed::take(new).filter(|_| author.subresource.is_none());
    let known = given.or_else(|| old.and_then(managed::read));
    if old.is_some() && known.is_none() {
        return; // Not tracked, or dropped on purpose: stays so until somebody applies.
    }
    let mut entries = known.unwrap_or_default();
    let empty = Value::Object(Map::new());
    let difference = difference(old.unwrap_or(&empty), new, form);
    let mut fresh = Entry::new(kind, author, false);
    let last = take(&mut entries, &fresh);
    release(&mut entries, &difference);
    *fresh.fields() = difference.set;
    strip(kind, author, fresh.fields());
    if let Some(mut last) = last {
        if fresh.fields().is_empty() {
            fresh.time = std::mem::take(&mut last.time);
        }
        last.fields().remove(&difference.removed);
        fresh.fields().add(last.fields());
    }
    entries.push(fresh);
    managed::write(new, entries);
}

fn twice(kind: &Kind, config: &Value, step: &str) -> Status {
    let mut entry = String::new();
    fields::show(step, &mut entry);
    let (meta, group_version) = (&config["metadata"], kind.api_version);
    Status::bad_request(format!(
        "failed to create typed patch object ({}/{}; {group_version}, Kind={}): duplicate entries for key {entry}",
        text(&meta["namespace"]),
        text(&meta["name"]),
        kind.kind
    ))
}

fn difference(old: &Value, new: &Value, form: Form) -> Difference {
    let mut out = walk::compare(Some(old), Some(new), form);
    out.set.remove(server_fields());
    out.removed.remove(server_fields());
    out
}

/// An object that nobody tracked belongs to somebody before it is first applied to.
fn first_entry(kind: &Kind, live: &Value, author: &Author<'_>, form: Form) -> Entry {
    let mut entry = Entry::new(kind, &Author { manager: BEFORE_FIRST_APPLY, ..*author }, false);
    // An entry that is there twice cannot be told apart: what comes after it is nobody's.
    _ = walk::fields_of(live, form, entry.fields());
    entry.subresource.clear();
    entry.fields().remove_deep(server_fields());
    entry
}

fn take(entries: &mut Vec<Entry>, like: &Entry) -> Option<Entry> {
    let at = entries.iter().position(|e| e.same_manager(like))?;
    Some(entries.remove(at))
}

/// Others no longer own what was changed or removed.
fn release(entries: &mut [Entry], difference: &Difference) {
    for entry in entries {
        for gone in [&difference.set, &difference.removed] {
            if entry.may_hold(gone) {
                entry.fields().remove(gone);
            }
        }
    }
}

/// What nobody owns: the server writes it.
fn server_fields() -> &'static Fields {
    static FIELDS: OnceLock<Fields> = OnceLock::new();
    FIELDS.get_or_init(make_server_fields)
}

fn make_server_fields() -> Fields {
    let mut out = Fields::default();
    out.step("f:apiVersion").member = true;
    out.step("f:kind").member = true;
    let meta = out.step("f:metadata");
    for field in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        meta.step(&format!("f:{field}")).member = true;
    }
    out
}

/// The top-level field that a request through this resource cannot set.
fn ignored(kind: &Kind, author: &Author<'_>) -> Option<&'static str> {
    match author.subresource {
        Some("status") => Some("spec"),
        None if kind.keeps_status => Some("status"),
        _ => None,
    }
}

fn strip(kind: &Kind, author: &Author<'_>, fields: &mut Fields) {
    fields.remove_deep(server_fields());
    if let Some(field) = ignored(kind, author) {
        fields.below.remove(&format!("f:{field}"));
    }
    if let Some(meta) = fields.below.get_mut("f:metadata") {
        meta.member = false;
    }
}

fn put_back_ignored(kind: &Kind, author: &Author<'_>, merged: &mut Value, live: &Value) {
    if let Some(field) = ignored(kind, author) {
        put(merged, field, live.get(field).cloned());
    }
    // Server fields of the configuration are preconditions, checked by the caller, never values.
    for field in ["uid", "creationTimestamp", "generation", "managedFields", "resourceVersion"] {
        if let Some(meta) = merged.get_mut("metadata") {
            put(meta, field, live["metadata"].get(field).cloned());
        }
    }
}

fn refuse_conflicts(entries: &mut [Entry], difference: &Difference, force: bool) -> Result<(), Status> {
    if force {
        return Ok(());
    }
    let mut conflicts: Vec<(String, String)> = Vec::new();
    for entry in entries {
        let paths = entry.fields().common(&difference.set).paths();
        conflicts.extend(paths.into_iter().map(|path| (entry.shown(), path)));
    }
    if conflicts.is_empty() {
        return Ok(());
    }
    conflicts.sort();
    let message = conflict_message(&conflicts);
    let causes = conflicts
        .into_iter()
        .map(|(manager, field)| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {manager}"),
            field,
        })
        .collect();
    let mut status = Status::failure(409, "Conflict", message);
    status.details = Some(Box::new(Details { causes, ..Details::default() }));
    Err(status)
}

fn conflict_message(conflicts: &[(String, String)]) -> String {
    if let [(manager, path)] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut lines = Vec::new();
    let mut last = "";
    for (manager, path) in conflicts {
        if manager != last {
            lines.push(format!("conflicts with {manager}:"));
            last = manager;
        }
        lines.push(format!("- {path}"));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
