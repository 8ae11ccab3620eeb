//! Printer columns: what `kubectl get` shows of a custom kind.

use super::JsonPath;
use crate::json::{items, text};
use crate::table;
use crate::time::Timestamp;
use serde_json::{Value, json};

/// One column beside the name.
#[derive(Debug)]
pub(crate) struct Printed {
    /// As the table's `columnDefinitions` has it.
    pub(crate) definition: Value,
    path: JsonPath,
}

/// The columns of a version; without any, there is the age.
pub(super) fn of(columns: &Value) -> Vec<Printed> {
    if items(columns).is_empty() {
        let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
        return printed(&age).into_iter().collect();
    }
    items(columns).iter().filter_map(printed).collect()
}

fn printed(column: &Value) -> Option<Printed> {
    let path = text(&column["jsonPath"]);
    let described = text(&column["description"]);
    let description = if described.is_empty() {
        format!("Custom resource definition column (in JSONPath format): {path}")
    } else {
        described.to_owned()
    };
    let definition = json!({
        "name": column["name"], "type": column["type"], "format": text(&column["format"]),
        "description": description, "priority": column["priority"].as_i64().unwrap_or(0),
    });
    Some(Printed { definition, path: JsonPath::parse(path).ok()? })
}

/// The cells of an object, the name first.
pub(crate) fn cells(columns: &[Printed], object: &Value, now: Timestamp) -> Vec<Value> {
    let name = object["metadata"]["name"].clone();
    let others = columns.iter().map(|column| {
        let found = column.path.find(object);
        found.first().map_or(Value::Null, |value| cell(text(&column.definition["type"]), value, now))
    });
    [name].into_iter().chain(others).collect()
}

fn cell(ty: &str, value: &Value, now: Timestamp) -> Value {
    match (ty, value) {
        (_, Value::Null) => Value::Null,
        ("string", Value::String(_)) => value.clone(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(n)) => {
            n.as_i64().or_else(|| n.as_f64().map(|n| n as i64)).map_or(Value::Null, Value::from)
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(time)) => match crate::time::parse(time) {
            Some(_) => table::since(value, now).into(),
            None => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}
