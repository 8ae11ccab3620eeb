//! What the fields of every kind are: types, keys, defaults; and the OpenAPI documents made of it.
//!
//! The table is derived from the published OpenAPI document of Kubernetes v1.37 by `cargo xtask schema`.

pub(crate) mod check;
mod decode;
pub mod definitions;
pub(crate) mod fill;
pub mod form;
pub(crate) mod node;
mod openapi;
pub(crate) mod prune;
pub(crate) mod rules;
pub(crate) mod value_format;

pub use check::check as check_value;
pub use fill::fill as fill_value;
pub use node::Node;
pub use openapi::{openapi_v2, openapi_v2_protobuf, openapi_v3};
pub use rules::{Patterns, compile};
pub use value_format::UNCHECKED;

use crate::custom::Custom;
use crate::{Kind, Status};
pub(crate) use decode::Findings;
use definitions::Definition;
use serde_json::Value;
use std::ops::Deref;
use std::sync::Arc;

/// What to do with unknown and duplicate fields (`fieldValidation` query parameter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and say so in `Warning:` headers; the default.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// Reads the query parameter.
    pub fn parse(text: &str) -> Result<FieldValidation, Status> {
        match text {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => Err(Status::bad_request(format!("invalid fieldValidation: \"{other}\""))),
        }
    }
}

/// What a body is read as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// What it is made of.
    pub(crate) definition: &'a Definition,
    /// `apps/v1`, `v1`
    pub(crate) api_version: &'a str,
    /// `Deployment`
    pub(crate) kind: &'a str,
}

impl Shape<'_> {
    /// Reads a JSON body; a body without apiVersion and kind is taken to be of this shape.
    pub(crate) fn decode(
        &self,
        body: &[u8],
        validation: FieldValidation,
    ) -> Result<(Value, Vec<String>), Status> {
        let mut findings = Findings::default();
        let mut reader = serde_json::Deserializer::from_slice(body);
        let value = decode::read(self.definition, &mut reader, &mut findings)
            .and_then(|v| reader.end().map(|()| v))
            .map_err(|e| {
                self.unreadable(&format!("couldn't get version/kind; json parse error: {e}"), body)
            })?;
        self.verdict(value, findings, validation)
    }

    /// Reads a value likewise.
    pub(crate) fn conform(
        &self,
        value: Value,
        validation: FieldValidation,
    ) -> Result<(Value, Vec<String>), Status> {
        let mut findings = Findings::default();
        let value = decode::read(self.definition, value, &mut findings)
            .map_err(|e| self.unreadable(&e.to_string(), b""))?;
        self.verdict(value, findings, validation)
    }

    fn unreadable(&self, why: &str, body: &[u8]) -> Status {
        let start: String = body.iter().take(30).map(|b| format!("{b:02x}")).collect();
        let data = match body.len() {
            0 => "<empty>".to_owned(),
            1..=30 => start,
            _ => format!("{start} ..."),
        };
        let kind = self.kind;
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({data})"
        ))
    }

    fn verdict(
        &self,
        mut value: Value,
        findings: Findings,
        validation: FieldValidation,
    ) -> Result<(Value, Vec<String>), Status> {
        let refused = |why: String| {
            let version = self.api_version.rsplit('/').next().unwrap_or_default();
            let kind = self.kind;
            Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
            ))
        };
        if let Some(why) = findings.fatal {
            return Err(refused(why));
        }
        let Value::Object(object) = &mut value else {
            return Err(refused("json: cannot unmarshal null into an object".into()));
        };
        for (key, want) in [("apiVersion", self.api_version), ("kind", self.kind)] {
            match object.get(key).and_then(Value::as_str).unwrap_or_default() {
                "" => _ = object.insert(key.into(), want.into()),
                found if found == want => {}
                found if key == "apiVersion" => {
                    return Err(Status::bad_request(format!(
                        "the API version in the data ({found}) does not match the expected API version ({want})"
                    )));
                }
                found => {
                    let why = format!("no kind match: the path takes {want}, the body is {found}");
                    return Err(refused(why));
                }
            }
        }
        match validation {
            FieldValidation::Strict if !findings.strict.is_empty() => {
                Err(refused(format!("strict decoding error: {}", findings.strict.join(", "))))
            }
            FieldValidation::Warn => Ok((value, findings.strict)),
            _ => Ok((value, Vec::new())),
        }
    }
}

/// What a kind is made of: a definition of the table, or one that was made at run time.
pub(crate) enum Facts {
    Table(&'static Definition),
    Custom(Arc<Custom>),
}

impl Deref for Facts {
    type Target = Definition;

    fn deref(&self) -> &Definition {
        match self {
            Facts::Table(definition) => definition,
            Facts::Custom(custom) => &custom.definition,
        }
    }
}

impl Kind {
    pub(crate) fn definition(&self) -> Facts {
        match self.custom() {
            Some(custom) => Facts::Custom(custom),
            None => Facts::Table(definitions::definition(self.schema)),
        }
    }

    /// The shape of this kind's bodies.
    pub(crate) fn shape<'a>(&'a self, definition: &'a Definition) -> Shape<'a> {
        Shape { definition, api_version: self.api_version, kind: self.kind }
    }
}
