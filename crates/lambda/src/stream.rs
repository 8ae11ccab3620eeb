//! `InvokeWithResponseStream`: the function's answer as events, each piece as it comes, and one that says how it ended.

use super::invoke::{fault, invocation};
use super::name::Name;
use crate::Lambda;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use functions::{Completion, InvocationKind, ResponseBody};
use futures::StreamExt;
use http::HeaderValue;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Map, Value};
use std::convert::Infallible;
use wire::event_stream::{self, PAYLOAD_BYTES_MAX, event};
use wire::{Call, Fault, Reply, reply};

pub(crate) async fn invoke(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    if let Some(other) =
        call.header("x-amz-invocation-type").filter(|kind| !["RequestResponse", "DryRun"].contains(kind))
    {
        return Err(Fault::validation(
            "invocationType",
            &format!("'{other}'"),
            "Member must satisfy enum value set: [RequestResponse, DryRun]",
        ));
    }
    let invocation = invocation(call, name)?;
    if invocation.kind == InvocationKind::DryRun {
        lambda.config.functions.invoke(invocation).await.map_err(fault)?;
        return Ok(reply::nothing());
    }
    let outcome = lambda.config.functions.invoke_streaming(invocation).await.map_err(fault)?;
    let frames = events(outcome.body).map(|bytes| Ok::<_, Infallible>(http_body::Frame::data(bytes)));
    let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
    let mut reply = reply::stream(200, event_stream::CONTENT_TYPE, body);
    let (id, version) = (&*outcome.request_id, &*outcome.executed_version);
    for (header, value) in [("x-amzn-requestid", id), ("x-amz-executed-version", version)] {
        // Ids and versions are always fit for a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers_mut().insert(header, value);
        }
    }
    Ok(reply)
}

/// Messages, as the body comes; then the one that completes the invocation.
fn events(body: ResponseBody) -> impl futures::Stream<Item = Bytes> {
    futures::stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match body.next().await {
            Some(piece) => Some((chunks(&piece), Some(body))),
            None => Some((complete(body.complete().await), None)),
        }
    })
}

fn chunks(piece: &[u8]) -> Bytes {
    let mut messages = BytesMut::new();
    for payload in piece.chunks(PAYLOAD_BYTES_MAX) {
        messages.extend_from_slice(&event("PayloadChunk", "application/octet-stream", payload));
    }
    messages.freeze()
}

fn complete(ended: Completion) -> Bytes {
    let mut members = Map::new();
    let mut set = |name: &str, value: String| members.insert(name.to_owned(), Value::String(value));
    if let Some((kind, document)) = ended.error {
        set("ErrorCode", kind.as_str().to_owned());
        set("ErrorDetails", String::from_utf8_lossy(&document).into_owned());
    }
    if let Some(tail) = ended.log_tail {
        set("LogResult", BASE64_STANDARD.encode(tail));
    }
    event("InvokeComplete", "application/json", Value::Object(members).to_string().as_bytes())
}
