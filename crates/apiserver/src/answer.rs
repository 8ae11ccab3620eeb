//! Responses: bodies from bytes, text, objects and streams. The only place that builds an `http::Response`.

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use object::Status;
use serde_json::Value;

/// An error of any kind, as bodies and services carry it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of requests and responses, the same type in every room.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// What a handler gives: an answer, or the error that becomes one.
pub(crate) type Reply = Result<Response<Body>, Status>;

/// Bytes of a request body that are read at most, as upstream limits them: an object may weigh half of it.
pub(crate) const BODY_BYTES_MAX: usize = 3 << 20;

/// Bytes of a body that is too big which are read and dropped, so that a client that sends all of it before it looks
/// for the answer gets to see why.
const DRAINED_BYTES_MAX: usize = 16 << 20;

/// A body of known bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes as it is made; after an error it breaks off.
pub(crate) fn streamed<E: Into<BoxError>>(
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Body {
    StreamBody::new(stream.map(|bytes| bytes.map(Frame::data).map_err(Into::into))).boxed_unsync()
}

/// An answer with a body of a known media type.
pub(crate) fn typed(status: StatusCode, media: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// A plain text answer.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", full(text))
}

/// A JSON answer from bytes that are JSON already.
pub(crate) fn json_bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Response<Body> {
    typed(status, "application/json", full(bytes))
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    json_bytes(status, value.to_string())
}

/// The answer that an error becomes.
pub(crate) fn failure(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, &status.to_json());
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

/// Adds a `Warning:` header per text, as RFC 7234 spells them.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let quoted: String = warning
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// Reads a whole request body, up to [`BODY_BYTES_MAX`].
pub(crate) async fn read(mut body: Body) -> Result<Bytes, Status> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Status::bad_request(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > BODY_BYTES_MAX {
            drain(body).await;
            return Err(Status::too_large(format!("Request entity too large: limit is {BODY_BYTES_MAX}")));
        }
        // Most bodies are one piece, which then need not be copied.
        match (first.is_empty(), rest.is_empty()) {
            (true, true) => first = data,
            (_, true) => {
                rest.reserve(first.len() + data.len());
                rest.put_slice(&std::mem::take(&mut first));
                rest.put_slice(&data);
            }
            (_, false) => rest.put_slice(&data),
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

async fn drain(mut body: Body) {
    let mut dropped = 0;
    while let Some(Ok(frame)) = body.frame().await {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > DRAINED_BYTES_MAX {
            return;
        }
    }
}
