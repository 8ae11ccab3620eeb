//! Server-side printing: `meta.k8s.io/v1 Table` with the columns that `kubectl get` shows.

pub mod age;

use crate::json::{self, items};
use crate::time::Timestamp;
use crate::{Kind, Status, custom};
use serde_json::{Value, json};

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// `Ready`
    pub name: &'static str,
    /// `string`, `integer`, `date`, …
    pub kind: &'static str,
    /// `name` for the name column, else empty.
    pub format: &'static str,
    /// 0 = always shown, 1 = shown with `-o wide`.
    pub priority: u8,
}

/// The columns of a kind, and how a row is read from an object.
#[derive(Clone, Copy)]
pub struct Columns {
    /// In print order.
    pub columns: &'static [Column],
    /// One cell per column.
    pub row: fn(&Value, Timestamp) -> Vec<Value>,
}

/// Which part of the object goes into each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Include {
    /// Nothing.
    None,
    /// A PartialObjectMetadata; what clients get when they do not say.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl Include {
    /// Reads the `includeObject` query parameter.
    pub fn parse(text: &str) -> Result<Include, Status> {
        match text {
            "" | "Metadata" => Ok(Include::Metadata),
            "None" => Ok(Include::None),
            "Object" => Ok(Include::Object),
            other => Err(Status::bad_request(format!("unrecognized includeObject value: \"{other}\""))),
        }
    }
}

const fn column(name: &'static str, kind: &'static str, format: &'static str, priority: u8) -> Column {
    Column { name, kind, format, priority }
}

/// The name column, first nearly everywhere.
pub const NAME: Column = column("Name", "string", "name", 0);
/// The time since creation.
pub const AGE: Column = text("Age");

/// A column of text.
pub const fn text(name: &'static str) -> Column {
    column(name, "string", "", 0)
}

/// A column of numbers.
pub const fn integer(name: &'static str) -> Column {
    column(name, "integer", "", 0)
}

/// A column of truths.
pub const fn boolean(name: &'static str) -> Column {
    column(name, "boolean", "", 0)
}

/// A column of `-o wide`.
pub const fn wide(name: &'static str) -> Column {
    column(name, "string", "", 1)
}

/// The object's name.
pub fn name_of(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

/// The time since creation.
pub fn age_of(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// The time since a timestamp, `<unknown>` when there is none.
pub fn since(timestamp: &Value, now: Timestamp) -> String {
    let Some(then) = timestamp.as_str().and_then(crate::time::parse) else { return "<unknown>".into() };
    age::human(now.as_second() - then.as_second())
}

/// A text, or `<none>`.
pub fn or_none(text: impl Into<String>) -> Value {
    let text = text.into();
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// A number, 0 when it is missing.
pub fn number(value: &Value) -> Value {
    value.as_i64().unwrap_or(0).into()
}

/// The names and images of containers, comma separated.
pub fn containers(spec: &Value) -> (Value, Value) {
    let list = |field: &str| {
        let texts: Vec<&str> = items(&spec["containers"]).iter().map(|c| json::text(&c[field])).collect();
        Value::from(texts.join(","))
    };
    (list("name"), list("image"))
}

/// At most three of a list, and how many more there are.
pub fn first_three(list: &[String]) -> Value {
    match list.len() {
        0 => "<unset>".into(),
        1..=3 => list.join(",").into(),
        n => format!("{} + {} more...", list[..3].join(","), n - 3).into(),
    }
}

/// The `columnDefinitions` of a kind.
fn columns(kind: &Kind) -> Value {
    if let Some(custom) = kind.custom() {
        let name =
            json!({"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0});
        let others = custom.columns.iter().map(|column| column.definition.clone());
        return [name].into_iter().chain(others).collect();
    }
    kind.columns
        .columns
        .iter()
        .map(|c| json!({"name": c.name, "type": c.kind, "format": c.format, "description": "", "priority": c.priority}))
        .collect()
}

/// One row.
pub fn row(kind: &Kind, object: &Value, include: Include, now: Timestamp) -> Value {
    let cells = match kind.custom() {
        Some(custom) => custom::cells(&custom.columns, object, now),
        None => (kind.columns.row)(object, now),
    };
    let mut row = json!({"cells": cells});
    match include {
        Include::None => {}
        Include::Metadata => {
            row["object"] = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            });
        }
        Include::Object => row["object"] = object.clone(),
    }
    row
}

/// A whole table; `metadata` is the list's (resourceVersion, continue), `headers` false leaves out the definitions
/// (watch events after the first).
pub fn render<'a>(
    kind: &Kind,
    objects: impl Iterator<Item = &'a Value>,
    metadata: Value,
    include: Include,
    headers: bool,
    now: Timestamp,
) -> Value {
    let rows: Vec<Value> = objects.map(|o| row(kind, o, include, now)).collect();
    let definitions = if headers { columns(kind) } else { Value::Array(Vec::new()) };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}
