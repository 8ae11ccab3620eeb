//! Field selectors: `metadata.name=x,spec.nodeName!=y`.

use crate::json::text;
use crate::{Kind, Status};
use serde_json::Value;
use std::borrow::Cow;

/// Reads the field that a label names out of an object; the text is empty when the field is not set.
pub type FieldValue = fn(&Value) -> Cow<'_, str>;

/// The text, number or truth that a path like `spec.color` leads to.
pub(crate) fn at_path<'a>(object: &'a Value, path: &str) -> Cow<'a, str> {
    match path.split('.').fold(object, |value, step| &value[step]) {
        Value::String(text) => text.into(),
        value @ (Value::Bool(_) | Value::Number(_)) => value.to_string().into(),
        _ => "".into(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Read {
    Field(FieldValue),
    Path(&'static str),
}

impl Read {
    fn of(self, object: &Value) -> Cow<'_, str> {
        match self {
            Read::Field(read) => read(object),
            Read::Path(path) => at_path(object, path),
        }
    }
}

#[derive(Debug, Clone)]
struct Term {
    label: String,
    value: String,
    negated: bool,
    read: Read,
}

/// A parsed field selector: all terms must hold.
#[derive(Debug, Clone, Default)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

impl FieldSelector {
    /// Reads a selector; a label that the kind does not have is a 400.
    pub fn parse(kind: &Kind, selector: &str) -> Result<FieldSelector, Status> {
        let mut terms = Vec::new();
        for part in split(selector) {
            let Some((label, operator, value)) = term(&part) else {
                let why = format!("invalid selector: '{selector}'; can't understand '{part}'");
                return Err(Status::bad_request(why));
            };
            let read = find(kind, label).map_err(Status::bad_request)?;
            let value = unescape(value).map_err(Status::bad_request)?;
            terms.push(Term { label: label.into(), value, negated: operator == "!=", read });
        }
        Ok(FieldSelector { terms })
    }

    /// Whether the object passes.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|t| (t.read.of(object) == t.value) != t.negated)
    }

    /// Whether an object passes whose fields `get` reads, as [`matches`](Self::matches) would read them.
    pub fn matches_with<'a>(&self, get: impl Fn(&str) -> &'a str) -> bool {
        self.terms.iter().all(|t| (get(&t.label) == t.value) != t.negated)
    }

    /// Whether every object passes.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `label` is required to have, if there is one: `metadata.name=x` makes a list a get.
    pub fn required(&self, label: &str) -> Option<&str> {
        self.terms.iter().find(|t| t.label == label && !t.negated).map(|t| t.value.as_str())
    }
}

/// Cuts at commas that no backslash precedes.
fn split(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            out.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out.retain(|part| !part.is_empty());
    out
}

/// Label, operator, value; labels hold no signs, so the first operator is the one.
fn term(part: &str) -> Option<(&str, &str, &str)> {
    let at = part.find(['=', '!'])?;
    let operator = ["!=", "==", "="].into_iter().find(|op| part[at..].starts_with(op))?;
    Some((&part[..at], operator, &part[at + operator.len()..]))
}

/// Takes the backslashes off `\\`, `\,` and `\=`.
fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                _ => return Err(format!("invalid field selector: invalid escape sequence in {value}")),
            },
            '=' => return Err(format!("invalid field selector: unescaped '=' in {value}")),
            _ => out.push(c),
        }
    }
    Ok(out)
}

fn find(kind: &Kind, label: &str) -> Result<Read, String> {
    match label {
        "metadata.name" => return Ok(Read::Field(|o| text(&o["metadata"]["name"]).into())),
        "metadata.namespace" => return Ok(Read::Field(|o| text(&o["metadata"]["namespace"]).into())),
        _ => {}
    }
    let found = kind.fields.iter().find(|(name, _)| *name == label).map(|(_, read)| Read::Field(*read));
    let path = || kind.paths.iter().find(|path| **path == label).map(|path| Read::Path(path));
    found.or_else(path).ok_or_else(|| match kind.fields {
        [] if !kind.is_custom() => format!(
            "\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ),
        _ => format!("field label not supported: {label}"),
    })
}
