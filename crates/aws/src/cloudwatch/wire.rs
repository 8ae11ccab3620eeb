//! The three formats: which one a request came in, and its answer in the same.

use super::input::Input;
use super::{Refused, cbor, query};
use http::HeaderValue;
use http::request::Parts;
use serde_json::{Map, Value, json};
use std::io::Read;
use wire::query::structure;
use wire::{Call, Reply, parameters, reply};

const TARGET: &str = "GraniteServiceVersion20100801";

/// A compressed request must not become more than this: CloudWatch's limit is 1 MB.
const UNPACKED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Text(String),
    Number(f64),
    /// Seconds since 1970.
    Time(i64),
    List(Vec<Item>),
    Structure(Vec<(&'static str, Item)>),
    /// Keys that are values themselves.
    Map(Vec<(String, Item)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Cbor,
    Json,
    Query,
}

impl Wire {
    pub(super) fn of(parts: &Parts) -> Wire {
        if parts.headers.contains_key("smithy-protocol") {
            Wire::Cbor
        } else if parts.headers.contains_key("x-amz-target") {
            Wire::Json
        } else {
            Wire::Query
        }
    }

    /// The operation, and its input.
    pub(super) fn read(self, call: &Call) -> Result<(String, Input), Refused> {
        let body = unpack(call)?;
        let (operation, value) = match self {
            Wire::Cbor => {
                let path = call.parts.uri.path();
                let mut words = path.trim_start_matches('/').split('/');
                let operation = match (words.next(), words.next(), words.next(), words.next(), words.next()) {
                    (Some("service"), Some(TARGET), Some("operation"), Some(operation), None) => operation,
                    _ => return Err(Refused::unknown(path)),
                };
                (operation.to_owned(), cbor::read(&body).map_err(Refused::malformed)?)
            }
            Wire::Json => {
                let target = call.header("x-amz-target").unwrap_or_default();
                let operation = target.strip_prefix(TARGET).and_then(|rest| rest.strip_prefix('.'));
                let value =
                    serde_json::from_slice(&body).map_err(|error| Refused::malformed(error.to_string()))?;
                (operation.ok_or_else(|| Refused::unknown(target))?.to_owned(), value)
            }
            Wire::Query => {
                let mut all = parameters(call.parts.uri.query().unwrap_or_default());
                all.extend(parameters(&String::from_utf8_lossy(&body)));
                let action = all.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.clone());
                all.retain(|(name, _)| name != "Action" && name != "Version");
                let value = structure(all).map_err(Refused::malformed)?;
                (action.ok_or_else(|| Refused::missing("Action"))?, value)
            }
        };
        Ok((operation, Input::of(value)?))
    }

    pub(super) fn answer(self, operation: &str, item: &Item, request_id: &str) -> Reply {
        match self {
            Wire::Cbor => cbor_reply(200, item),
            Wire::Json => reply::raw(200, "application/x-amz-json-1.0", value(item).to_string()),
            Wire::Query => reply::raw(200, "text/xml", query::answer(operation, item, request_id)),
        }
    }

    pub(super) fn refuse(self, refused: &Refused, request_id: &str) -> Reply {
        let Refused { status, code, shape, message } = refused;
        let kind = format!("com.amazonaws.cloudwatch#{shape}");
        let mut reply = match self {
            Wire::Cbor => {
                let item = Item::Structure(vec![
                    ("__type", Item::Text(kind)),
                    ("message", Item::Text(message.clone())),
                ]);
                cbor_reply(*status, &item)
            }
            Wire::Json => {
                let document = json!({"__type": kind, "message": message});
                reply::raw(*status, "application/x-amz-json-1.0", document.to_string())
            }
            Wire::Query => {
                let text = query::refuse(*status, code, message, request_id);
                return reply::raw(*status, "text/xml", text);
            }
        };
        // The service was a query service once: its clients still know errors by those codes.
        let sender = if *status < 500 { "Sender" } else { "Receiver" };
        if let Ok(value) = HeaderValue::from_str(&format!("{code};{sender}")) {
            reply.headers_mut().insert("x-amzn-query-error", value);
        }
        reply
    }
}

fn cbor_reply(status: u16, item: &Item) -> Reply {
    let mut bytes = Vec::new();
    cbor::write(&mut bytes, item);
    let mut reply = reply::raw(status, "application/cbor", bytes);
    reply.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    reply
}

fn value(item: &Item) -> Value {
    match item {
        Item::Text(text) => json!(text),
        Item::Number(number) => json!(number),
        Item::Time(seconds) => json!(seconds),
        Item::List(items) => items.iter().map(value).collect(),
        Item::Structure(members) => {
            Value::Object(members.iter().map(|(name, item)| ((*name).to_owned(), value(item))).collect())
        }
        Item::Map(members) => {
            let members: Map<String, Value> =
                members.iter().map(|(name, item)| (name.clone(), value(item))).collect();
            Value::Object(members)
        }
    }
}

/// Clients compress large requests.
fn unpack(call: &Call) -> Result<Vec<u8>, Refused> {
    match call.header("content-encoding") {
        None | Some("identity" | "") => Ok(call.body.to_vec()),
        Some("gzip") => {
            let mut bytes = Vec::new();
            let mut reader = flate2::read::GzDecoder::new(&call.body[..]).take(UNPACKED_BYTES_MAX + 1);
            reader.read_to_end(&mut bytes).map_err(|error| Refused::malformed(error.to_string()))?;
            if bytes.len() as u64 > UNPACKED_BYTES_MAX {
                let message = format!("Request must be smaller than {UNPACKED_BYTES_MAX} bytes");
                return Err(Refused { status: 413, ..Refused::malformed(message) });
            }
            Ok(bytes)
        }
        Some(other) => {
            Err(Refused::malformed(format!("the content encoding {other} is not supported; gzip is")))
        }
    }
}
