//! Answers: JSON, XML, raw bytes and streams, with the headers that every AWS answer has.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

/// The body of requests and responses, the same type in every room.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

pub type Reply = Response<Body>;

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn json(status: u16, value: &Value) -> Reply {
    raw(status, "application/json", value.to_string())
}

/// 204, as most deletions answer.
pub fn nothing() -> Reply {
    let mut reply = Response::new(Body::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

pub fn raw(status: u16, content_type: &'static str, bytes: impl Into<Bytes>) -> Reply {
    stream(status, content_type, full(bytes))
}

pub fn stream(status: u16, content_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
