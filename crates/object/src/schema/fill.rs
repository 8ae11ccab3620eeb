//! The defaults that a structural schema gives.

use super::node::{Below, Node};
use serde_json::Value;

/// Fills in what is left out, and takes out nulls where the schema has none: a null stands for what is left out.
pub fn fill(value: &mut Value, node: &Node) {
    match value {
        Value::Object(map) => {
            for (name, below) in &node.properties {
                if !below.nullable && map.get(&**name).is_some_and(Value::is_null) {
                    map.remove(&**name);
                }
                if let Some(default) = below.default.as_ref().filter(|_| !map.contains_key(&**name)) {
                    map.insert((**name).to_owned(), default.clone());
                }
            }
            if let Some(other) = &node.additional {
                let named = |key: &str| node.property(key).is_some();
                map.retain(|key, value| {
                    !value.is_null() || other.nullable || other.default.is_some() || named(key)
                });
            }
            for (key, value) in map.iter_mut() {
                if let Below::Known(below) = node.below(key) {
                    fill_item(value, below);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                list.iter_mut().for_each(|item| fill_item(item, items));
            }
        }
        _ => {}
    }
}

/// A value that cannot be left out.
fn fill_item(value: &mut Value, node: &Node) {
    if let Some(default) = node.default.as_ref().filter(|_| value.is_null() && !node.nullable) {
        *value = default.clone();
    }
    fill(value, node);
}
