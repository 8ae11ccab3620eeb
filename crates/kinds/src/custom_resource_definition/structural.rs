//! Whether a schema is structural: every field has its type in one place, outside of allOf, anyOf, oneOf and not, which
//! only narrow down what is said there. Upstream's KEP "Vanilla OpenAPI Subset: Structural Schema" has the rules.

use super::schema::{Place, below};
use crate::Errors;
use object::json::{entries, text};
use object::path::Path;
use serde_json::Value;

/// What a schema in allOf, anyOf, oneOf and not must leave to the structure, and how that is said.
const STRUCTURE: [(&str, &str); 12] = [
    ("type", "must be empty to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

pub(super) fn check(root: &Value, at: &Path<'_>, errors: &mut Errors) {
    structure(root, Level::Root, at, errors);
}

fn structure(schema: &Value, level: Level, at: &Path<'_>, errors: &mut Errors) {
    let ty = text(&schema["type"]);
    let is = |key: &str| schema[key] == true;
    let (free, mixed) = (is("x-kubernetes-preserve-unknown-fields"), is("x-kubernetes-int-or-string"));
    types(schema, level, at, errors);
    if level == Level::Root && !schema["additionalProperties"].is_null() {
        errors.forbidden(&at.field("additionalProperties"), "must not be used at the root");
    }
    if ty == "array" && schema["items"].is_null() && !free {
        errors.required(&at.field("items"), "must be specified");
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let key = "x-kubernetes-preserve-unknown-fields";
        errors.invalid(&at.field(key), &schema[key], "must be true or undefined");
    }
    if mixed {
        for key in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if is(key) {
                errors.invalid(
                    &at.field(key),
                    &true.into(),
                    "must be false if x-kubernetes-int-or-string is true",
                );
            }
        }
    }
    if level == Level::Root || is("x-kubernetes-embedded-resource") {
        metadata(schema, at, errors);
    }
    if is("x-kubernetes-embedded-resource") && entries(&schema["properties"]).next().is_none() && !free {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                   x-kubernetes-preserve-unknown-fields";
        errors.required(&at.field("properties"), why);
    }
    for (field, place, child) in below(schema) {
        place.with(at, field, |at| match field {
            "allOf" | "anyOf" | "oneOf" | "not" => narrowing(child, schema, mixed, at, errors),
            "items" => structure(child, Level::Item, at, errors),
            _ => structure(child, Level::Field, at, errors),
        });
    }
}

fn types(schema: &Value, level: Level, at: &Path<'_>, errors: &mut Errors) {
    let ty = text(&schema["type"]);
    let is = |key: &str| schema[key] == true;
    let here = at.field("type");
    if is("x-kubernetes-embedded-resource") && ty != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        if ty.is_empty() { errors.required(&here, why) } else { errors.invalid_text(&here, ty, why) }
    } else if ty.is_empty() && level == Level::Root {
        errors.required(&here, "must not be empty at the root");
    } else if ty.is_empty()
        && !is("x-kubernetes-int-or-string")
        && !is("x-kubernetes-preserve-unknown-fields")
    {
        let what = if level == Level::Item { "array items" } else { "object fields" };
        errors.required(&here, &format!("must not be empty for specified {what}"));
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        errors.invalid_text(&here, ty, "must be object at the root");
    }
}

/// apiVersion, kind and metadata are what they are for all objects; a schema may say a little of names.
fn metadata(schema: &Value, at: &Path<'_>, errors: &mut Errors) {
    let properties = at.field("properties");
    for key in ["apiVersion", "kind"] {
        let own = &schema["properties"][key];
        if own.is_object() && own["type"] != "string" {
            errors.invalid_text(&properties.key(key).field("type"), text(&own["type"]), "must be string");
        }
    }
    let meta = &schema["properties"]["metadata"];
    if meta.is_null() {
        return;
    }
    let here = properties.key("metadata");
    if meta["type"] != "object" {
        errors.invalid_text(&here.field("type"), text(&meta["type"]), "must be object");
    }
    let only = |(key, value): (&str, &Value)| {
        matches!(key, "type" | "description" | "properties" | "title") || value.is_null()
    };
    let names = |(key, _): (&str, &Value)| matches!(key, "name" | "generateName");
    if !entries(meta).all(only) || !entries(&meta["properties"]).all(names) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.forbidden(&here, why);
    }
}

/// A schema that only narrows: it names no type, and no field that the structure does not have.
fn narrowing(schema: &Value, structure: &Value, mixed: bool, at: &Path<'_>, errors: &mut Errors) {
    for (key, why) in STRUCTURE {
        let value = &schema[key];
        let said = !value.is_null() && *value != false && *value != "";
        // `anyOf: [{type: integer}, {type: string}]` is how int-or-string is said to others.
        if said && !(key == "type" && mixed) {
            errors.forbidden(&at.field(key), why);
        }
    }
    if !schema["properties"]["metadata"].is_null() {
        errors
            .forbidden(&at.field("properties").key("metadata"), "must not be specified in a nested context");
    }
    for (field, place, child) in below(schema) {
        place.with(at, field, |at| match (field, place) {
            ("allOf" | "anyOf" | "oneOf" | "not", _) => narrowing(child, structure, mixed, at, errors),
            ("properties", Place::Key(name)) => {
                let own = &structure["properties"][name];
                let own = if own.is_null() { &structure["additionalProperties"] } else { own };
                if !own.is_object() && structure["x-kubernetes-preserve-unknown-fields"] != true {
                    let why =
                        "must be specified outside of allOf, anyOf, oneOf and not, too, to be structural";
                    errors.required(at, why);
                }
                narrowing(child, own, own["x-kubernetes-int-or-string"] == true, at, errors);
            }
            _ => narrowing(child, &structure[field], false, at, errors),
        });
    }
}
