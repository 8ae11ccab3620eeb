//! The OpenAPI v2 document as protobuf: messages of the `openapi.v2` package that gnostic defines (field numbers below
//! are from its published OpenAPIv2.proto). Only what our document holds is written.

use crate::json::{entries, items};
use serde_json::Value;

/// A message being written.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push((n as u8) | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
    }

    /// Wire type 2: length-delimited.
    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u32, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn flag(&mut self, field: u32, value: &Value) {
        if value == true {
            self.varint(u64::from(field << 3));
            self.bytes.push(1);
        }
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.bytes);
    }

    /// A list of (name, value) pairs, which is how gnostic writes maps.
    fn named(&mut self, field: u32, name: &str, write: impl FnOnce(&mut Message)) {
        self.message(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.message(2, write);
        });
    }

    /// `x-…` keys; their values are YAML text, and JSON is YAML.
    fn extensions(&mut self, field: u32, object: &Value) {
        for (key, value) in entries(object).filter(|(k, _)| k.starts_with("x-")) {
            self.named(field, key, |any| any.bytes(2, value.to_string().as_bytes()));
        }
    }
}

pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, &document["swagger"]);
    out.message(2, |info| {
        info.text(1, &document["info"]["title"]);
        info.text(2, &document["info"]["version"]);
    });
    out.message(8, |paths| {
        for (path, item) in entries(&document["paths"]) {
            paths.named(2, path, |m| path_item(m, item));
        }
    });
    out.message(9, |definitions| {
        for (name, definition) in entries(&document["definitions"]) {
            definitions.named(1, name, |m| schema(m, definition));
        }
    });
    out.bytes
}

fn path_item(m: &mut Message, item: &Value) {
    for (field, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if item[method].is_object() {
            m.message(field, |m| operation(m, &item[method]));
        }
    }
    for parameter in items(&item["parameters"]) {
        m.message(9, |m| parameters_item(m, parameter));
    }
}

fn operation(m: &mut Message, operation: &Value) {
    m.text(5, &operation["operationId"]);
    for parameter in items(&operation["parameters"]) {
        m.message(8, |m| parameters_item(m, parameter));
    }
    m.message(9, |responses| {
        for (code, response) in entries(&operation["responses"]) {
            // ResponseValue.response, then Response.
            responses.named(1, code, |m| {
                m.message(1, |m| {
                    m.text(1, &response["description"]);
                    m.message(2, |m| m.message(1, |m| schema(m, &response["schema"])));
                });
            });
        }
    });
    m.extensions(13, operation);
}

fn parameters_item(m: &mut Message, parameter: &Value) {
    m.message(1, |m| match parameter["in"].as_str() {
        Some("body") => m.message(1, |m| {
            m.text(2, &parameter["name"]);
            m.text(3, &parameter["in"]);
            m.flag(4, &parameter["required"]);
            m.message(5, |m| schema(m, &parameter["schema"]));
        }),
        // Query parameters have `allow_empty_value` before the type, path parameters do not.
        Some("path") => m.message(2, |m| m.message(4, |m| simple(m, parameter, 5))),
        _ => m.message(2, |m| m.message(3, |m| simple(m, parameter, 6))),
    });
}

fn simple(m: &mut Message, parameter: &Value, type_field: u32) {
    m.flag(1, &parameter["required"]);
    m.text(2, &parameter["in"]);
    m.text(4, &parameter["name"]);
    m.text(type_field, &parameter["type"]);
}

fn schema(m: &mut Message, value: &Value) {
    m.text(1, &value["$ref"]);
    m.text(2, &value["format"]);
    m.text(4, &value["description"]);
    for required in items(&value["required"]) {
        m.text(19, required);
    }
    if value["additionalProperties"].is_object() {
        m.message(21, |m| m.message(1, |m| schema(m, &value["additionalProperties"])));
    }
    if value["type"].is_string() {
        m.message(22, |m| m.text(1, &value["type"]));
    }
    if value["items"].is_object() {
        m.message(23, |m| m.message(1, |m| schema(m, &value["items"])));
    }
    if value["properties"].is_object() {
        m.message(25, |m| {
            for (name, property) in entries(&value["properties"]) {
                m.named(1, name, |m| schema(m, property));
            }
        });
    }
    m.extensions(31, value);
}
