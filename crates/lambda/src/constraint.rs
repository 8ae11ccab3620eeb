//! What every operation's input must satisfy before the operation sees it: required members, types, lengths, bounds,
//! enumerations and patterns, from one table, answered in the words in which AWS answers them. Pure.

mod pattern;
mod table;

use serde_json::{Map, Value};
use table::{Kind, Member, Place, TABLE};
use wire::{Call, Fault, parameters};

/// Checks the input of an operation: the decoded parameters of its path, by name, its query and its body.
pub(crate) fn check<'a>(
    operation: &str,
    path: impl FnOnce() -> Vec<(&'static str, &'a str)>,
    call: &Call,
) -> Result<(), Fault> {
    let Some(members) = TABLE.operation(operation) else { return Ok(()) };
    let path = path();
    let body = match members.iter().any(|member| member.place == Place::Body) {
        true => super::input(call)?,
        false => Map::new(),
    };
    let query = parameters(call.parts.uri.query().unwrap_or_default());
    let mut broken = Vec::new();
    for member in members {
        let value = match member.place {
            Place::Path => match path.iter().find(|(name, _)| *name == member.name) {
                Some((_, text)) => from_text(member, text)?,
                None => None,
            },
            Place::Query => from_query(member, &query)?,
            Place::Body => body.get(member.name).filter(|value| !value.is_null()).cloned(),
        };
        check_member(member, value.as_ref(), "", &mut broken)?;
    }
    match broken.len() {
        0 => Ok(()),
        1 => Err(Fault::constraints(format!("1 validation error detected: {}", broken[0]))),
        several => {
            Err(Fault::constraints(format!("{several} validation errors detected: {}", broken.join("; "))))
        }
    }
}

/// A list comes as many parameters of the same name.
fn from_query(member: &Member, query: &[(String, String)]) -> Result<Option<Value>, Fault> {
    let mut values = query.iter().filter(|(name, _)| name == member.name).map(|(_, value)| value.as_str());
    let Some(kind) = TABLE.kind_of(member) else { return Ok(None) };
    if matches!(kind, Kind::List { .. }) {
        let all: Vec<Value> = values.map(Value::from).collect();
        return Ok((!all.is_empty()).then_some(Value::Array(all)));
    }
    values.next().map_or(Ok(None), |text| from_text(member, text))
}

/// Parameters of paths and queries are text: what is to be a number is read as one.
fn from_text(member: &Member, text: &str) -> Result<Option<Value>, Fault> {
    match TABLE.kind_of(member) {
        Some(Kind::Whole { .. }) => match text.parse::<i64>() {
            Ok(number) => Ok(Some(number.into())),
            Err(_) => Err(Fault::serialization(format!("{}: {text:?} is not a whole number", member.name))),
        },
        _ => Ok(Some(text.into())),
    }
}

fn check_member(
    member: &Member,
    value: Option<&Value>,
    within: &str,
    broken: &mut Vec<String>,
) -> Result<(), Fault> {
    let at = format!("{within}{}", lower_first(member.name));
    match (value, TABLE.kind_of(member)) {
        (None, _) if member.required => broken.push(sentence("null", &at, "Member must not be null")),
        (Some(value), Some(kind)) => check_value(kind, value, &at, broken)?,
        _ => {}
    }
    Ok(())
}

fn check_value(kind: &Kind, value: &Value, at: &str, broken: &mut Vec<String>) -> Result<(), Fault> {
    let mut rules = Vec::new();
    scalar(kind, value, at, &mut rules)?;
    match (kind, value) {
        (Kind::List { min, max, of }, Value::Array(items)) => {
            length(items.len(), *min, *max, &mut rules);
            let Some(of) = TABLE.kind(of) else { return Ok(()) };
            let mut inner = Vec::new();
            for (i, item) in items.iter().enumerate() {
                match of {
                    Kind::Structure(_) => check_value(of, item, &format!("{at}.{}.member", i + 1), broken)?,
                    _ => scalar(of, item, at, &mut inner)?,
                }
            }
            within("Member must satisfy constraint", inner, &mut rules);
        }
        (Kind::Map { key, value: of }, Value::Object(entries)) => {
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for (name, item) in entries {
                if let (Some(key), Some(of)) = (TABLE.kind(key), TABLE.kind(of)) {
                    scalar(key, &Value::from(name.as_str()), at, &mut keys)?;
                    scalar(of, item, at, &mut values)?;
                }
            }
            within("Map keys must satisfy constraint", keys, &mut rules);
            within("Map value must satisfy constraint", values, &mut rules);
        }
        (Kind::Structure(members), Value::Object(found)) => {
            for member in members {
                let value = found.get(member.name).filter(|value| !value.is_null());
                check_member(member, value, &format!("{at}."), broken)?;
            }
        }
        _ => {}
    }
    broken.extend(rules.iter().map(|rule| sentence(&format!("'{}'", shown(value)), at, rule)));
    Ok(())
}

/// The rules that one value breaks, beside those of what it holds. A value of another type cannot be read at all.
fn scalar(kind: &Kind, value: &Value, at: &str, rules: &mut Vec<String>) -> Result<(), Fault> {
    match (kind, value) {
        (Kind::Text { min, max, pattern }, Value::String(text)) => {
            length(text.chars().count(), *min, *max, rules);
            if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
                rules.push(format!("Member must satisfy regular expression pattern: {}", pattern.source()));
            }
        }
        (Kind::OneOf(names), Value::String(text)) => {
            if !names.contains(&text.as_str()) {
                rules.push(format!("Member must satisfy enum value set: [{}]", names.join(", ")));
            }
        }
        (Kind::Whole { min, max }, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            let number = number.as_i64().unwrap_or(i64::MAX);
            if number < *min {
                rules.push(format!("Member must have value greater than or equal to {min}"));
            } else if number > *max {
                rules.push(format!("Member must have value less than or equal to {max}"));
            }
        }
        (Kind::Number { min, max }, Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(f64::MAX);
            if number < *min {
                rules.push(format!("Member must have value greater than or equal to {min}"));
            } else if number > *max {
                rules.push(format!("Member must have value less than or equal to {max}"));
            }
        }
        (Kind::Boolean, Value::Bool(_)) | (Kind::Blob, Value::String(_)) => {}
        (Kind::List { .. }, Value::Array(_)) => {}
        (Kind::Map { .. } | Kind::Structure(_), Value::Object(_)) => {}
        _ => return Err(unreadable(kind, value, at)),
    }
    Ok(())
}

fn unreadable(kind: &Kind, value: &Value, at: &str) -> Fault {
    let wanted = match kind {
        Kind::Text { .. } | Kind::OneOf(_) => "a String",
        Kind::Whole { .. } => "an Integer",
        Kind::Number { .. } => "a Double",
        Kind::Boolean => "a Boolean",
        Kind::Blob => "a Blob in base64",
        Kind::List { .. } => "a List",
        Kind::Map { .. } | Kind::Structure(_) => "an Object",
    };
    let found = match value {
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    };
    Fault::serialization(format!("{found} can not be converted to {wanted} (at {at})"))
}

fn length(found: usize, min: usize, max: usize, rules: &mut Vec<String>) {
    if found < min {
        rules.push(format!("Member must have length greater than or equal to {min}"));
    } else if found > max {
        rules.push(format!("Member must have length less than or equal to {max}"));
    }
}

fn within(what: &str, mut inner: Vec<String>, rules: &mut Vec<String>) {
    inner.dedup();
    if !inner.is_empty() {
        rules.push(format!("{what}: [{}]", inner.join(", ")));
    }
}

fn sentence(value: &str, at: &str, rule: &str) -> String {
    format!("Value {value} at '{at}' failed to satisfy constraint: {rule}")
}

/// Lists and maps as AWS prints them; a value that fills the message is cut.
fn shown(value: &Value) -> String {
    const SHOWN_MAX: usize = 2048;
    let mut text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let pairs = entries.iter().map(|(name, value)| format!("{name}={}", shown(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    };
    if let Some((end, _)) = text.char_indices().nth(SHOWN_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests;
