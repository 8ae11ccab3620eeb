//! `Invoke`: the headers of the API in, those of the answer out. The hot path: nothing here reads or writes an object.

use super::name::Name;
use crate::Lambda;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use functions::{Invocation, InvocationKind, InvokeError, Throttle, ThrottleReason};
use http::{HeaderName, HeaderValue};
use std::time::Duration;
use wire::{Call, Fault, NAMESPACE, REQUEST_ID, Reply, reply};

// Names in this form are looked up and set without being read first.
static TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
static LOG_TYPE: HeaderName = HeaderName::from_static("x-amz-log-type");
static CLIENT_CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
static TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
static VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
static ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
static LOG: HeaderName = HeaderName::from_static("x-amz-log-result");
static UNSUPPORTED: [HeaderName; 2] =
    [HeaderName::from_static("x-amz-durable-execution-name"), HeaderName::from_static("x-amz-tenant-id")];

/// The longest client context, decoded, as on AWS.
const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;

/// The largest event of `InvokeAsync`, which never grew as that of `Invoke` did.
const ASYNC_BYTES_MAX: usize = 256 * 1024;

/// When a full queue is worth another try: it is worked off all the time.
const QUEUE_FULL: Duration = Duration::from_secs(5);

pub(crate) async fn invoke(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let invocation = invocation(call, name)?;
    let kind = invocation.kind;
    let outcome = lambda.config.functions.invoke(invocation).await.map_err(fault)?;
    let mut reply = match kind {
        InvocationKind::DryRun => reply::nothing(),
        InvocationKind::Event => reply::raw(202, "application/json", outcome.payload),
        InvocationKind::RequestResponse => reply::raw(200, "application/json", outcome.payload),
    };
    let mut set = |header: &'static HeaderName, value: &str| {
        // Ids, versions and base64 are always fit for a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers_mut().insert(header, value);
        }
    };
    set(&REQUEST_ID, &outcome.request_id);
    if kind != InvocationKind::Event {
        set(&VERSION, &outcome.executed_version);
    }
    if let Some(error) = outcome.error {
        set(&ERROR, error.as_str());
    }
    if let Some(tail) = outcome.log_tail {
        set(&LOG, &BASE64_STANDARD.encode(tail));
    }
    Ok(reply)
}

/// `InvokeAsync`, which `Invoke` with the type `Event` has long replaced: a smaller event, an empty answer, and no trace.
pub(crate) async fn invoke_async(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    if call.body.len() > ASYNC_BYTES_MAX {
        let size = call.body.len();
        return Err(Fault::bad_content(format!(
            "{size} byte payload is too large for InvokeAsync (limit {ASYNC_BYTES_MAX} bytes). Use Invoke with the \
             invocation type Event."
        )));
    }
    let kind = InvocationKind::Event;
    let invocation = Invocation { kind, trace_id: None, ..invocation(call, name)? };
    let outcome = lambda.config.functions.invoke(invocation).await.map_err(fault)?;
    let mut reply = reply::raw(202, "application/json", Bytes::new());
    if let Ok(id) = HeaderValue::from_str(&outcome.request_id) {
        reply.headers_mut().insert(&REQUEST_ID, id);
    }
    Ok(reply)
}

/// What a request asks for, whichever way it wants the answer.
pub(super) fn invocation(call: &Call, name: &Name) -> Result<Invocation, Fault> {
    if let Some(unsupported) = UNSUPPORTED.iter().find(|name| call.parts.headers.contains_key(*name)) {
        return Err(Fault::unsupported(unsupported.as_str()));
    }
    Ok(Invocation {
        request_id: call.request_id.clone(),
        namespace: NAMESPACE.to_owned(),
        name: name.name.clone(),
        qualifier: name.qualifier.clone(),
        kind: kind(call)?,
        payload: if call.body.is_empty() { Bytes::from_static(b"{}") } else { call.body.clone() },
        client_context: client_context(call)?,
        trace_id: call.header(&TRACE_ID).map(str::to_owned),
        log_tail: log_tail(call)?,
    })
}

fn kind(call: &Call) -> Result<InvocationKind, Fault> {
    match call.header(&TYPE) {
        None | Some("RequestResponse") => Ok(InvocationKind::RequestResponse),
        Some("DryRun") => Ok(InvocationKind::DryRun),
        Some("Event") => Ok(InvocationKind::Event),
        Some(other) => Err(Fault::validation(
            "invocationType",
            &format!("'{other}'"),
            "Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
        )),
    }
}

fn log_tail(call: &Call) -> Result<bool, Fault> {
    match call.header(&LOG_TYPE) {
        None | Some("None") => Ok(false),
        Some("Tail") => Ok(true),
        Some(other) => Err(Fault::validation(
            "logType",
            &format!("'{other}'"),
            "Member must satisfy enum value set: [None, Tail]",
        )),
    }
}

/// Base64 of a JSON document; handed on in one line, because it travels in a header.
fn client_context(call: &Call) -> Result<Option<String>, Fault> {
    let Some(text) = call.header(&CLIENT_CONTEXT) else { return Ok(None) };
    let refuse = || Fault::bad_content("Client context must be a valid Base64-encoded JSON object.");
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| refuse())?;
    if bytes.len() > CLIENT_CONTEXT_BYTES_MAX {
        return Err(Fault::bad_content(format!(
            "Client context must be no more than {CLIENT_CONTEXT_BYTES_MAX} bytes when decoded."
        )));
    }
    let document: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| refuse())?;
    Ok(Some(document.to_string()))
}

pub(super) fn fault(error: InvokeError) -> Fault {
    let message = error.to_string();
    match error {
        InvokeError::NotFound(_) => Fault::not_found(message),
        InvokeError::TooManyRequests(throttle) => throttled(message, throttle),
        InvokeError::PayloadTooLarge { .. } | InvokeError::EventTooLarge { .. } => Fault::too_large(message),
        InvokeError::QueueFull(_) => {
            let reason = ThrottleReason::CallerRateLimitExceeded;
            throttled(message, Throttle::new(reason, QUEUE_FULL))
        }
        InvokeError::NotQueued(_) => Fault::service(message),
        InvokeError::NotJson(_) => Fault::bad_content(message),
        InvokeError::Runtime(_) | InvokeError::CodeMissing(_) => Fault::invalid_parameter(message),
        InvokeError::Recursive => Fault::recursive(message),
        InvokeError::Start(_) => Fault::service(message),
    }
}

fn throttled(message: String, throttle: Throttle) -> Fault {
    Fault::throttled(message, throttle.reason.as_str(), throttle.retry_after_s)
}
