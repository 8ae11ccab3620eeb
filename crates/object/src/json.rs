//! Reading and filling JSON values without panics: what is missing or of another type counts as empty.

use serde_json::{Map, Value};

/// The text, or "".
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The list's items, or none.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The map's entries, or none.
pub fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v))
}

/// What Go's `omitempty` leaves out: null, "", [] and {}.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    }
}

/// Sets a field that is missing.
pub fn fill(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(key).is_none_or(Value::is_null)
    {
        map.insert(key.to_owned(), value.into());
    }
}

/// Sets a text or number that is missing, "" or 0.
pub fn fill_zero(object: &mut Value, key: &str, value: impl Into<Value>) {
    let empty = match object.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::String(s)) => s.is_empty(),
        Some(Value::Number(n)) => n.as_i64() == Some(0),
        _ => false,
    };
    if empty && let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
}

/// The object in a field, made when it is missing.
pub fn child<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let value = object.as_object_mut()?.entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.is_object().then_some(value)
}

/// Calls `f` for each item of the list in a field.
pub fn each(object: &mut Value, key: &str, f: impl FnMut(&mut Value)) {
    if let Some(items) = object.get_mut(key).and_then(Value::as_array_mut) {
        items.iter_mut().for_each(f);
    }
}

/// Sets a field, or removes it for `None`.
pub fn put(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => _ = map.insert(key.to_owned(), value),
            None => _ = map.remove(key),
        }
    }
}
