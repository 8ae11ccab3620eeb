//! Answers that the gateway gives itself, and the one body type.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// What can go wrong inside of a body.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A whole body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in one line of text that says what is wrong.
pub(crate) fn text(status: StatusCode, reason: &str) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", format!("{status}: {reason}\n"))
}

/// An answer in the form in which function URLs report errors.
pub(crate) fn json(status: StatusCode, field: &str, message: &str) -> Response<Body> {
    with_type(status, "application/json", serde_json::json!({ field: message }).to_string())
}

fn with_type(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
