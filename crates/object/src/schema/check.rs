//! Whether a value is what its structural schema says, in the words of upstream's validator.
//!
//! On updates, what is wrong and was so before is let pass: a rule that was added later must not lock the object.

mod combined;
mod scalar;

use super::node::{Json, Listing, Node};
use super::rules::Rules;
use crate::json::items;
use crate::kind::Errors;
use crate::path::Path;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Checks a value; `old` is what stood there before, on updates.
pub fn check(value: &Value, old: Option<&Value>, node: &Node, at: &Path<'_>, errors: &mut Errors) {
    if old == Some(value) || (value.is_null() && node.nullable) {
        return;
    }
    if !is_typed(value, node) {
        let wanted = if node.int_or_string { "integer,string" } else { node.ty.map_or("", Json::name) };
        let found = found(value);
        let why = format!("{at} in body must be of type {wanted}: \"{found}\"");
        return errors.wrong_type(at, found, &why);
    }
    if let Some(rules) = &node.rules {
        scalar::check(value, rules, at, errors);
        required(value, rules, at, errors);
        combined::check(value, rules, at, errors);
    }
    match value {
        Value::Object(map) => fields(map, old, node, at, errors),
        Value::Array(list) => entries(list, old, node, at, errors),
        _ => {}
    }
}

fn is_typed(value: &Value, node: &Node) -> bool {
    if node.int_or_string {
        return value.is_string() || is_whole(value);
    }
    match node.ty {
        None => true,
        Some(Json::Object) => value.is_object(),
        Some(Json::Array) => value.is_array(),
        Some(Json::String) => value.is_string(),
        Some(Json::Integer) => is_whole(value),
        Some(Json::Number) => value.is_number(),
        Some(Json::Boolean) => value.is_boolean(),
    }
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
}

/// What a value is, in the words of schemas.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_whole(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn required(value: &Value, rules: &Rules, at: &Path<'_>, errors: &mut Errors) {
    let Some(map) = value.as_object() else { return };
    for name in rules.required.iter().filter(|name| !map.contains_key(&***name)) {
        errors.required(&at.field(name), "");
    }
}

fn fields(map: &Map<String, Value>, old: Option<&Value>, node: &Node, at: &Path<'_>, errors: &mut Errors) {
    if node.embedded {
        embedded(map, at, errors);
    }
    for (key, value) in map {
        if let super::node::Below::Known(below) = node.below(key) {
            check(value, old.and_then(|old| old.get(key)), below, &at.field(key), errors);
        }
    }
}

/// An object in an object has what every object has.
fn embedded(map: &Map<String, Value>, at: &Path<'_>, errors: &mut Errors) {
    for key in ["apiVersion", "kind"] {
        match map.get(key) {
            None => errors.required(&at.field(key), "must not be empty"),
            Some(Value::String(text)) if text.is_empty() => {
                errors.required(&at.field(key), "must not be empty");
            }
            _ => {}
        }
    }
}

fn entries(list: &[Value], old: Option<&Value>, node: &Node, at: &Path<'_>, errors: &mut Errors) {
    let keys: Vec<&str> = match &node.listing {
        Listing::Map(keys) => keys.split(',').collect(),
        _ => Vec::new(),
    };
    unique(list, node, &keys, at, errors);
    let Some(below) = &node.items else { return };
    let name = |item: &Value| -> String {
        keys.iter().map(|key| item.get(key).map_or_else(String::new, Value::to_string) + "\0").collect()
    };
    let earlier = old.filter(|_| !keys.is_empty()).map(items).unwrap_or_default();
    // Of two of one name the first counts.
    let earlier: HashMap<String, &Value> = earlier.iter().rev().map(|item| (name(item), item)).collect();
    for (index, item) in list.iter().enumerate() {
        let before = if earlier.is_empty() { None } else { earlier.get(&name(item)).copied() };
        check(item, before, below, &at.index(index), errors);
    }
}

fn unique(list: &[Value], node: &Node, keys: &[&str], at: &Path<'_>, errors: &mut Errors) {
    if node.listing == Listing::Atomic {
        return;
    }
    let default = |key: &str| node.items.as_ref()?.property(key)?.default.clone();
    let name = |item: &Value| -> Value {
        if keys.is_empty() {
            return item.clone();
        }
        let of = |key: &str| Some((key.to_owned(), item.get(key).cloned().or_else(|| default(key))?));
        keys.iter().filter_map(|key| of(key)).collect::<Map<_, _>>().into()
    };
    let mut seen = std::collections::BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        let name = name(item);
        if !seen.insert(name.to_string()) {
            errors.duplicate(&at.index(index), &name);
        }
    }
}

#[cfg(test)]
mod tests;
