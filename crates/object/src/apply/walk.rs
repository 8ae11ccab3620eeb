//! Walking objects by their schema: which fields an object has, and how two objects differ.

use super::fields::Fields;
use crate::json::items;
use crate::schema::definitions::{Definition, Field, Topology, Type, table};
use crate::schema::node::{ANYTHING, Below, Json, Listing, Node};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// How a value is owned and merged.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    /// As a whole: scalars, and everything atomic.
    Leaf,
    /// Field by field.
    Struct(&'a Definition),
    /// Key by key.
    Map(&'a Type),
    /// Field by field, as far as its schema and it itself have fields.
    Custom(&'a Node),
    /// Entry by entry, told apart by these fields.
    Entries(Entry<'a>, &'a str),
    /// Each value for itself.
    Set,
}

/// What an entry of a list is.
#[derive(Clone, Copy)]
pub(super) enum Entry<'a> {
    Table(&'a Type),
    Custom(&'a Node),
}

/// The form of a value with a structural schema.
fn custom_form(node: &Node) -> Form<'_> {
    match (node.ty, &node.listing, &node.items) {
        (Some(Json::Array), Listing::Map(keys), Some(items)) => Form::Entries(Entry::Custom(items), keys),
        (Some(Json::Array), Listing::Set, _) => Form::Set,
        (Some(Json::Array), ..) => Form::Leaf,
        (Some(Json::Object), ..) | (None, ..) if !node.atomic_map && !node.int_or_string => {
            Form::Custom(node)
        }
        _ => Form::Leaf,
    }
}

fn custom_below<'a>(node: &'a Node, key: &str) -> Form<'a> {
    match node.below(key) {
        Below::Known(node) => custom_form(node),
        // Whatever is not described is taken apart as far as it has fields.
        Below::Kept | Below::Unknown => Form::Custom(&ANYTHING),
    }
}

/// The form of a type, in a field that may say more of it.
pub(super) fn form<'a>(ty: &'a Type, field: Option<&'a Field>) -> Form<'a> {
    match ty {
        _ if field.is_some_and(|f| f.atomic_map) => Form::Leaf,
        Type::Object(index) | Type::ObjectOrBool(index) => match table().at(*index) {
            definition if definition.atomic => Form::Leaf,
            definition => Form::Struct(definition),
        },
        Type::Map(values) => Form::Map(values),
        Type::List(items) => match field.and_then(|f| f.list) {
            Some(Topology::Map(keys)) => Form::Entries(Entry::Table(items), keys),
            Some(Topology::Set) => Form::Set,
            Some(Topology::Atomic) | None => Form::Leaf,
        },
        _ => Form::Leaf,
    }
}

/// The form of a field or key of a value.
pub(super) fn form_below<'a>(parent: Form<'a>, key: &str) -> Form<'a> {
    match parent {
        Form::Struct(definition) => match (definition.field(key), &definition.rest) {
            (Some(field), _) => form(&field.ty, Some(field)),
            (None, Some(rest)) => custom_below(rest, key),
            (None, None) => Form::Leaf,
        },
        Form::Map(values) => form(values, None),
        Form::Custom(node) => custom_below(node, key),
        Form::Entries(Entry::Table(items), _) => form(items, None),
        Form::Entries(Entry::Custom(items), _) => custom_form(items),
        Form::Leaf | Form::Set => Form::Leaf,
    }
}

/// The step of a list entry; a key that the entry leaves out has its default.
pub(super) fn entry_step(entry: &Value, item: Entry<'_>, keys: &str) -> String {
    if let (false, Some(Value::String(one))) = (keys.contains(','), entry.get(keys)) {
        return format!("k:{{\"{keys}\":{}}}", Value::String(one.clone())); // nearly always: the name
    }
    let mut found = Map::new();
    for key in keys.split(',') {
        let value = match entry.get(key) {
            Some(value) if !value.is_null() => value.clone(),
            _ => default_of(item, key),
        };
        if !value.is_null() {
            found.insert(key.to_owned(), value);
        }
    }
    format!("k:{}", Value::Object(found))
}

pub(super) fn set_step(value: &Value) -> String {
    format!("v:{value}")
}

fn default_of(item: Entry<'_>, key: &str) -> Value {
    let item = match item {
        Entry::Table(item) => item,
        Entry::Custom(node) => {
            return node.property(key).and_then(|own| own.default.clone()).unwrap_or_default();
        }
    };
    let Type::Object(index) = item else { return Value::Null };
    let default = table().at(*index).field(key).and_then(|f| f.default);
    default.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// The parts of a value with their steps and forms; a leaf has none.
pub(super) fn parts<'v, 'f>(value: &'v Value, form: Form<'f>) -> Vec<(String, &'v Value, Form<'f>)> {
    match form {
        Form::Leaf => Vec::new(),
        Form::Struct(_) | Form::Map(_) | Form::Custom(_) => value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, v)| (format!("f:{key}"), v, form_below(form, key)))
            .collect(),
        Form::Entries(item, keys) => items(value)
            .iter()
            .map(|entry| (entry_step(entry, item, keys), entry, form_below(form, "")))
            .collect(),
        Form::Set => items(value).iter().map(|v| (set_step(v), v, Form::Leaf)).collect(),
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

/// Whether a value of this form is owned as a whole.
fn is_whole(value: &Value, form: Form<'_>) -> bool {
    match form {
        Form::Leaf => true,
        Form::Custom(_) => !value.is_object(),
        _ => false,
    }
}

fn is_bare(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Null => true,
        _ => false,
    }
}

/// All fields that an object has; the error is a list entry that is there twice, by its step.
pub(super) fn fields_of(value: &Value, form: Form, out: &mut Fields) -> Result<(), String> {
    if is_whole(value, form) || is_bare(value) || !is_container(value) {
        out.member = true;
        return Ok(());
    }
    let entries = matches!(form, Form::Entries(..) | Form::Set);
    for (step, part, below) in parts(value, form) {
        if entries && out.below.contains_key(&step) {
            return Err(step);
        }
        let child = out.step(&step);
        fields_of(part, below, child)?;
        child.member |= entries;
    }
    Ok(())
}

/// How one object became another.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Added or changed.
    pub(super) set: Fields,
    /// No longer there.
    pub(super) removed: Fields,
}

/// Fields that every object has, if empty: Go writes structs that are not pointers even when nothing is in them.
const ALWAYS_THERE: [&str; 8] =
    ["metadata", "spec", "status", "strategy", "template", "containers", "resources", "source"];

/// Compares two values of one form.
pub(super) fn compare(old: Option<&Value>, new: Option<&Value>, form: Form) -> Difference {
    compare_at(old, new, form, true)
}

fn compare_at(old: Option<&Value>, new: Option<&Value>, form: Form, always_there: bool) -> Difference {
    let mut out = Difference::default();
    let (old, new) = (old.filter(|v| !v.is_null()), new.filter(|v| !v.is_null()));
    let both_bare = old.is_none_or(is_bare) && new.is_none_or(is_bare);
    let whole = |value: Option<&Value>| value.is_some_and(|value| is_whole(value, form));
    if whole(old) || whole(new) || both_bare || !old.or(new).is_some_and(is_container) {
        match (old, new) {
            (Some(a), Some(b)) if a == b => {}
            (_, Some(_)) => out.set.member = true,
            (Some(_), None) => out.removed.member = true,
            (None, None) => {}
        }
        return out;
    }
    match (old, new) {
        (None, Some(_)) => out.set.member = !always_there,
        (Some(_), None) => out.removed.member = true,
        _ => {}
    }
    match form {
        Form::Struct(_) | Form::Map(_) | Form::Custom(_) => compare_keys(old, new, form, &mut out),
        _ => compare_entries(old, new, form, &mut out),
    }
    out
}

impl Difference {
    fn put(&mut self, step: String, below: Difference) {
        if !below.removed.is_empty() {
            self.removed.put(step.clone(), below.removed);
        }
        self.set.put(step, below.set);
    }
}

/// Fields and map keys; steps are written only for what differs, which is little.
fn compare_keys(old: Option<&Value>, new: Option<&Value>, form: Form, out: &mut Difference) {
    let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    for (key, value) in new.into_iter().flatten() {
        let earlier = old.and_then(|o| o.get(key));
        if earlier != Some(value) {
            let there = matches!(form, Form::Struct(of) if of.rest.is_none() || key == "metadata")
                && ALWAYS_THERE.contains(&key.as_str());
            let below = compare_at(earlier, Some(value), form_below(form, key), there);
            out.put(format!("f:{key}"), below);
        }
    }
    for (key, value) in old.into_iter().flatten() {
        if new.is_none_or(|n| !n.contains_key(key)) {
            out.put(format!("f:{key}"), compare_at(Some(value), None, form_below(form, key), false));
        }
    }
}

/// List entries, told apart by their steps.
fn compare_entries(old: Option<&Value>, new: Option<&Value>, form: Form, out: &mut Difference) {
    let before = old.map(|v| parts(v, form)).unwrap_or_default();
    let after = new.map(|v| parts(v, form)).unwrap_or_default();
    // Of two with one step the first counts.
    let known: HashMap<&str, &Value> = before.iter().rev().map(|(step, v, _)| (step.as_str(), *v)).collect();
    let there: HashSet<&str> = after.iter().map(|(step, ..)| step.as_str()).collect();
    for (step, value, below) in &after {
        let earlier = known.get(step.as_str()).copied();
        if earlier != Some(*value) {
            out.put(step.clone(), compare_at(earlier, Some(value), *below, false));
        }
    }
    for (step, value, below) in &before {
        if !there.contains(step.as_str()) {
            out.put(step.clone(), compare_at(Some(value), None, *below, false));
        }
    }
}
