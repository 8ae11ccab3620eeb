//! A server's answer as what its caller takes: a document with status, headers and body, as API Gateway, function URLs and
//! load balancers read it, or a prelude before a streamed body. Pure.

use super::request::Origin;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_RANGES, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SET_COOKIE,
    TRANSFER_ENCODING, VARY,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write;

/// Says that an answer begins with a prelude.
pub(super) const WITH_PRELUDE: &str = "application/vnd.awslambda.http-integration-response";

/// What ends a prelude.
const DELIMITER: [u8; 8] = [0; 8];

/// Bodies smaller than this grow when they are compressed.
const COMPRESSED_BYTES_MIN: usize = 32;

/// Types that are text, beside those that end in `+json`, `+xml` or `+yaml`, by how they begin.
const TEXT: [&str; 5] =
    ["text", "application/json", "application/javascript", "application/xml", "application/yaml"];

/// The document that stands for an answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<Map<String, Value>>,
    body: &'a str,
    is_base64_encoded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<Vec<String>>,
}

/// An answer that is all there.
pub(super) fn document(origin: Origin, parts: &Parts, body: &Bytes) -> Bytes {
    let (status, mut headers) = (parts.status, parts.headers.clone());
    strip(&mut headers);
    let text = std::str::from_utf8(body).ok().filter(|_| is_text(&headers));
    if origin == Origin::Other {
        // Whoever sent the event takes JSON.
        let value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
        return value.to_string().into();
    }
    let encoded = text.is_none().then(|| BASE64_STANDARD.encode(body));
    let multi_value_headers = matches!(origin, Origin::V1 | Origin::LoadBalancer).then(|| several(&headers));
    let cookies = (origin == Origin::V2).then(|| take_cookies(&mut headers));
    let document = Document {
        status_code: status.as_u16(),
        status_description: (origin == Origin::LoadBalancer).then(|| status.to_string()),
        // API Gateway would put both kinds of headers together.
        headers: if origin == Origin::V1 { Map::new() } else { joined(&headers) },
        multi_value_headers,
        body: text.or(encoded.as_deref()).unwrap_or_default(),
        is_base64_encoded: encoded.is_some(),
        cookies,
    };
    // Text and numbers are always JSON.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

/// What goes before a streamed body.
pub(super) fn prelude(parts: &Parts) -> Bytes {
    let mut headers = parts.headers.clone();
    strip(&mut headers);
    let cookies = take_cookies(&mut headers);
    let prelude =
        json!({"statusCode": parts.status.as_u16(), "headers": joined(&headers), "cookies": cookies});
    let mut bytes = prelude.to_string().into_bytes();
    bytes.extend_from_slice(&DELIMITER);
    bytes.into()
}

/// How the body travels is between the platform and the server.
fn strip(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    for name in [CONNECTION, KEEP_ALIVE, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

fn take_cookies(headers: &mut HeaderMap) -> Vec<String> {
    let cookies = headers.get_all(SET_COOKIE).iter().map(lossy).collect();
    headers.remove(SET_COOKIE);
    cookies
}

fn joined(headers: &HeaderMap) -> Map<String, Value> {
    let values = |name| headers.get_all(name).iter().map(lossy).collect::<Vec<_>>().join(",");
    headers.keys().map(|name| (name.as_str().to_owned(), Value::String(values(name)))).collect()
}

fn several(headers: &HeaderMap) -> Map<String, Value> {
    let values = |name| headers.get_all(name).iter().map(|value| Value::String(lossy(value))).collect();
    headers.keys().map(|name| (name.as_str().to_owned(), Value::Array(values(name)))).collect()
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else { return true };
    let kind = lossy(kind).to_ascii_lowercase();
    let bare = kind.split(';').next().unwrap_or_default().trim();
    TEXT.iter().any(|text| bare.starts_with(text))
        || ["+json", "+xml", "+yaml"].iter().any(|suffix| bare.ends_with(suffix))
        || headers.get("x-lambda-http-content-encoding").is_some_and(|value| value == "text")
}

/// The body in gzip, and headers that say so, where the caller takes that and the body gains by it.
pub(super) fn compress(parts: &mut Parts, body: Bytes, accepted: Option<&HeaderValue>) -> Bytes {
    if !accepted.is_some_and(takes_gzip) || body.len() < COMPRESSED_BYTES_MIN || !gains(&parts.headers) {
        return body;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    let Ok(packed) = encoder.write_all(&body).and_then(|()| encoder.finish()) else { return body };
    for name in [CONTENT_LENGTH, ACCEPT_RANGES] {
        parts.headers.remove(name);
    }
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    packed.into()
}

fn takes_gzip(accepted: &HeaderValue) -> bool {
    let accepted = lossy(accepted).to_ascii_lowercase();
    accepted.split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        ["gzip", "*"].contains(&name.trim()) && !refused
    })
}

/// Pictures are compressed already, and events are to arrive one by one.
fn gains(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(lossy).unwrap_or_default();
    let packed = kind.starts_with("image/") && !kind.starts_with("image/svg+xml");
    !headers.contains_key(CONTENT_ENCODING)
        && !packed
        && !kind.starts_with("text/event-stream")
        && !kind.starts_with("application/grpc")
}

#[cfg(test)]
mod tests;
