//! Answers passed on while the function writes them. Nothing is held back but the prelude and the first piece, which
//! decide on the status. A function that fails later is told by a body that breaks off, as on AWS.

use bytes::{Bytes, BytesMut};
use functions::{ResponseBody, StreamedOutcome};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::{bad_gateway, name_request, response, unfit};
use crate::answer::{Body, BoxError};
use crate::limits::PRELUDE_BYTES_MAX;

/// What a body is that the runtime says nothing of.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The response to a request, as soon as it can begin.
pub(super) async fn respond(function: &str, outcome: StreamedOutcome) -> Response<Body> {
    let StreamedOutcome { request_id, content_type, mut body, .. } = outcome;
    let mut response = if response::has_prelude(content_type.as_deref()) {
        match prelude(&mut body).await {
            Ok((prelude, rest)) => response::begin(&prelude, passed_on(rest, body))
                .unwrap_or_else(|problem| unfit(function, &problem)),
            Err(problem) => unfit(function, problem),
        }
    } else {
        match first(body).await {
            Some((first, body)) => plain(content_type, passed_on(first, body)),
            None => bad_gateway(),
        }
    };
    name_request(&mut response, &request_id);
    response
}

/// The first piece, which may be nothing at all; `None` when the function failed before it.
async fn first(mut body: ResponseBody) -> Option<(Bytes, Option<ResponseBody>)> {
    match body.next().await {
        Some(first) => Some((first, Some(body))),
        None => body.complete().await.error.is_none().then(|| (Bytes::new(), None)),
    }
}

/// The prelude and what came behind it.
async fn prelude(body: &mut ResponseBody) -> Result<(Bytes, Bytes), &'static str> {
    let mut read = BytesMut::new();
    while let Some(piece) = body.next().await {
        read.extend_from_slice(&piece);
        if let Some((prelude, rest)) = response::split(&read) {
            return Ok((Bytes::copy_from_slice(prelude), Bytes::copy_from_slice(rest)));
        }
        if read.len() > PRELUDE_BYTES_MAX {
            return Err("the prelude of its answer is over 64 KB");
        }
    }
    Err("the prelude of its answer has no end")
}

fn plain(content_type: Option<String>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let kind = content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()).unwrap_or(BYTES);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The pieces as they come. The end is an error when the function failed.
fn passed_on(first: Bytes, body: impl Into<Option<ResponseBody>>) -> Body {
    let pieces = futures::stream::unfold((first, body.into()), |(first, body)| async move {
        if !first.is_empty() {
            return Some((Ok(Frame::data(first)), (Bytes::new(), body)));
        }
        let mut body = body?;
        match body.next().await {
            Some(piece) => Some((Ok(Frame::data(piece)), (Bytes::new(), Some(body)))),
            None => {
                let (kind, _) = body.complete().await.error?;
                let error: BoxError = format!("the function failed: {}", kind.as_str()).into();
                Some((Err(error), (Bytes::new(), None)))
            }
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}
