//! The schema of a version: what may be said in it at all, and defaults that fit. Whether it is structural, the next
//! file says.

use super::structural;
use crate::Errors;
use object::json::{entries, items, text};
use object::path::Path;
use object::schema::{Node, Patterns, UNCHECKED, check_value, compile, fill_value};
use serde_json::Value;

/// Deeper schemas are refused: everything that reads them goes down with them.
const DEPTH_MAX: usize = 60;

/// What is not supported anywhere, and why.
const FORBIDDEN: [(&str, &str); 6] = [
    ("$ref", "$ref is not supported"),
    ("additionalItems", "additionalItems is not supported"),
    ("definitions", "definitions is not supported"),
    ("dependencies", "dependencies is not supported"),
    ("id", "id is not supported"),
    ("patternProperties", "patternProperties is not supported"),
];

pub(super) fn check(root: &Value, at: &Path<'_>, errors: &mut Errors) {
    if depth(root) > DEPTH_MAX {
        return errors.forbidden(at, &format!("the schema is nested more than {DEPTH_MAX} deep"));
    }
    if root["nullable"] == true {
        errors.forbidden(&at.field("nullable"), "nullable cannot be true at the root");
    }
    let before = errors.causes.len();
    one(root, at, errors);
    structural::check(root, at, errors);
    if errors.causes.len() == before {
        defaults(root, at, errors);
    }
}

fn depth(schema: &Value) -> usize {
    1 + below(schema).iter().map(|(.., schema)| depth(schema)).max().unwrap_or(0)
}

/// All schemas in a schema: the field, the key or index in it, and the schema.
pub(super) fn below(schema: &Value) -> Vec<(&'static str, Place<'_>, &Value)> {
    let mut out = Vec::new();
    out.extend(entries(&schema["properties"]).map(|(name, below)| ("properties", Place::Key(name), below)));
    for key in ["additionalProperties", "items", "not"] {
        if schema[key].is_object() {
            out.push((key, Place::Itself, &schema[key]));
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        out.extend(items(&schema[key]).iter().enumerate().map(|(i, below)| (key, Place::Index(i), below)));
    }
    out
}

/// Where in a field a schema is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    Itself,
    Key(&'a str),
    Index(usize),
}

impl Place<'_> {
    /// Calls `then` with the path of the place.
    pub(super) fn with(self, at: &Path<'_>, field: &str, then: impl FnOnce(&Path<'_>)) {
        let field = at.field(field);
        match self {
            Place::Itself => then(&field),
            Place::Key(key) => then(&field.key(key)),
            Place::Index(index) => then(&field.index(index)),
        }
    }
}

fn one(schema: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (key, why) in FORBIDDEN {
        if !schema[key].is_null() {
            errors.forbidden(&at.field(key), why);
        }
    }
    let ty = &schema["type"];
    if *ty != "" {
        errors.one_of(&at.field("type"), ty, &["array", "boolean", "integer", "number", "object", "string"]);
    }
    if schema["uniqueItems"] == true {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&at.field("uniqueItems"), why);
    }
    if schema["additionalProperties"].is_object() && entries(&schema["properties"]).next().is_some() {
        errors.forbidden(
            &at.field("additionalProperties"),
            "additionalProperties and properties are mutual exclusive",
        );
    }
    if schema["additionalProperties"] == false {
        errors.forbidden(&at.field("additionalProperties"), "additionalProperties cannot be set to false");
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Err(why) = compile(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.invalid_text(&at.field("pattern"), pattern, &why);
    }
    let format = text(&schema["format"]);
    if UNCHECKED.contains(&format) {
        errors.forbidden(&at.field("format"), "this format is not supported by this server: use a pattern");
    }
    if !items(&schema["x-kubernetes-validations"]).is_empty() {
        let why = "rules in CEL are not supported by this server: say it with pattern, enum, minimum and the like, \
                   or leave the rules out";
        errors.forbidden(&at.field("x-kubernetes-validations"), why);
    }
    lists(schema, at, errors);
    for (field, place, schema) in below(schema) {
        place.with(at, field, |at| one(schema, at, errors));
    }
}

/// `x-kubernetes-list-type`, `-list-map-keys` and `-map-type`.
fn lists(schema: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (ty, list, map) =
        (text(&schema["type"]), &schema["x-kubernetes-list-type"], &schema["x-kubernetes-map-type"]);
    if !map.is_null() {
        if ty != "object" {
            errors.invalid_text(
                &at.field("type"),
                ty,
                "must be object if x-kubernetes-map-type is specified",
            );
        }
        errors.one_of(&at.field("x-kubernetes-map-type"), map, &["atomic", "granular"]);
    }
    let keys = items(&schema["x-kubernetes-list-map-keys"]);
    if !list.is_null() {
        if ty != "array" {
            errors.invalid_text(
                &at.field("type"),
                ty,
                "must be array if x-kubernetes-list-type is specified",
            );
        }
        errors.one_of(&at.field("x-kubernetes-list-type"), list, &["atomic", "set", "map"]);
    }
    if !keys.is_empty() && list != "map" {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.invalid_text(&at.field("x-kubernetes-list-type"), text(list), why);
    }
    if list == "map" {
        map_list(schema, keys, at, errors);
    }
    let item = &schema["items"];
    if list == "set" && matches!(text(&item["type"]), "object") && item["x-kubernetes-map-type"] != "atomic" {
        let below = at.field("items");
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.invalid_text(&below.field("x-kubernetes-map-type"), text(&item["x-kubernetes-map-type"]), why);
    }
}

fn map_list(schema: &Value, keys: &[Value], at: &Path<'_>, errors: &mut Errors) {
    let here = at.field("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        return errors.required(&here, "must not be empty if x-kubernetes-list-type is map");
    }
    let item = &schema["items"];
    let below = at.field("items");
    if item["type"] != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.invalid_text(&below.field("type"), text(&item["type"]), why);
    }
    let properties = below.field("properties");
    for (index, key) in keys.iter().enumerate() {
        let Some(property) = item["properties"].get(text(key)) else {
            let list = &schema["x-kubernetes-list-map-keys"];
            errors.invalid(&here, list, "entries must all be names of item properties");
            continue;
        };
        if keys[..index].contains(key) {
            errors.invalid(
                &here,
                &schema["x-kubernetes-list-map-keys"],
                "must not contain duplicate entries",
            );
        }
        let place = properties.key(text(key));
        if matches!(text(&property["type"]), "object" | "array") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.invalid_text(&place.field("type"), text(&property["type"]), why);
        }
        if property["default"].is_null() && !items(&item["required"]).contains(key) {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                       property";
            errors.required(&place.field("default"), why);
        }
        if property["nullable"] == true {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&place.field("nullable"), why);
        }
    }
}

/// Every default is a value that its own schema takes.
fn defaults(schema: &Value, at: &Path<'_>, errors: &mut Errors) {
    if let Some(default) = schema.get("default") {
        let node = Node::read(schema, &mut Patterns::default());
        let mut filled = default.clone();
        fill_value(&mut filled, &node);
        check_value(&filled, None, &node, &at.field("default"), errors);
    }
    for (field, place, schema) in below(schema) {
        place.with(at, field, |at| defaults(schema, at, errors));
    }
}
