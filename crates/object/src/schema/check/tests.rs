//! Values and what their schemas say of them.

use super::super::fill::fill;
use super::super::rules::Patterns;
use super::*;
use serde_json::json;

fn node(schema: Value) -> Node {
    Node::read(&schema, &mut Patterns::default())
}

fn told(schema: Value, value: Value, old: Option<Value>) -> Vec<String> {
    let mut errors = Errors::default();
    let root = Path::Root;
    check(&value, old.as_ref(), &node(schema), &root.field("spec"), &mut errors);
    errors.causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

#[test]
fn what_is_wrong_is_told_in_upstreams_words() {
    for (schema, value, want) in [
        (
            json!({"type": "integer"}),
            json!("x"),
            "spec: Invalid value: \"string\": spec in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "string"}),
            json!(null),
            "spec: Invalid value: \"null\": spec in body must be of type string: \"null\"",
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {}}}),
            json!({}),
            "spec.a: Required value",
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "number", "maximum": 1, "exclusiveMaximum": true}),
            json!(1),
            "spec: Invalid value: 1: spec in body should be less than 1",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            "spec: Invalid value: \"b\": spec in body should match '^a+$'",
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            "spec: Unsupported value: \"c\": supported values: \"a\", \"b\"",
        ),
    ] {
        assert_eq!(told(schema.clone(), value, None), [want], "{schema}");
    }
}

#[test]
fn lengths_lists_and_combinations() {
    for (schema, value, want) in [
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            "spec: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("a"),
            "spec: Invalid value: \"a\": spec in body should be at least 2 chars long",
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "maxItems": 1}),
            json!([1, 2]),
            "spec: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
            json!(["a", "a"]),
            "spec[1]: Duplicate value: \"a\"",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                "items": {"type": "object", "properties": {"n": {"type": "string"}, "x": {}}}}),
            json!([{"n": "a", "x": 1}, {"n": "a"}]),
            "spec[1]: Duplicate value: {\"n\":\"a\"}",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"type": "string", "format": "ipv4"}),
            json!("x"),
            "spec: Invalid value: \"x\": spec in body must be of type ipv4: \"x\"",
        ),
        (
            json!({"type": "integer", "oneOf": [{"minimum": 3}, {"minimum": 4}]}),
            json!(5),
            "spec: Invalid value: 5: \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
        (
            json!({"type": "integer", "not": {"enum": [5]}}),
            json!(5),
            "spec: Invalid value: 5: \"spec\" must not validate the schema (not)",
        ),
    ] {
        assert_eq!(told(schema.clone(), value, None), [want], "{schema}");
    }
}

#[test]
fn what_was_wrong_before_may_stay() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 1},
        "b": {"type": "string", "maxLength": 1}}});
    let found = told(schema, json!({"a": "xx", "b": "yy"}), Some(json!({"a": "xx", "b": "y"})));
    assert_eq!(found, ["spec.b: Too long: may not be more than 1 bytes"]);
}

#[test]
fn defaults_fill_what_is_left_out_and_nulls_go() {
    let node = node(json!({"type": "object", "properties": {
        "a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 3}}},
        "n": {"type": "string", "nullable": true, "default": "x"},
        "z": {"type": "string"},
        "l": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
    }}));
    let mut value = json!({"n": null, "z": null, "l": [{}]});
    fill(&mut value, &node);
    assert_eq!(value, json!({"a": {"b": 3}, "n": null, "l": [{"p": "TCP"}]}));
}
