//! The smallest merge patch between two states, so that a write that changes nothing is not sent.

use serde_json::{Map, Value};

/// The RFC 7386 patch that turns `old` into `new`; `None` when they are equal.
#[must_use]
pub fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Some(new.clone()) };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        let before = old.get(name).unwrap_or(&Value::Null);
        if let Some(change) = merge_patch(before, value) {
            patch.insert(name.clone(), change);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_in_the_patch() {
        let old = json!({ "a": 1, "b": { "c": [1], "d": 2 }, "e": 3 });
        let new = json!({ "a": 1, "b": { "c": [1, 2], "d": 2 }, "f": { "g": 4 } });
        let patch = json!({ "b": { "c": [1, 2] }, "e": null, "f": { "g": 4 } });
        assert_eq!(merge_patch(&old, &new), Some(patch));
        assert_eq!(merge_patch(&new, &new), None);
    }
}
