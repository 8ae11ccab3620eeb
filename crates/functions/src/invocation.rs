//! The words of an invocation: what a caller hands in, what comes back, and why it may be refused. Holds no behaviour;
//! used by every door that invokes functions.

use crate::events::EVENT_BYTES_MAX;
use crate::throttle::Throttle;
use bytes::Bytes;
use instance::{FunctionError, PAYLOAD_BYTES_MAX};
use std::sync::Arc;

/// One call of a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What its log lines and its answer are found by. A try after another one has that one's.
    pub request_id: Arc<str>,
    /// The namespace of the function's object; `default` for those made through the AWS door.
    pub namespace: String,
    /// The name of the function, as AWS knows it (see [`object_name`](crate::object_name)).
    pub name: String,
    /// A version, an alias or `$LATEST`; nothing means the same as `$LATEST`.
    pub qualifier: Option<String>,
    /// Whether to run the function or only to check that it could run.
    pub kind: InvocationKind,
    /// The event, as JSON.
    pub payload: Bytes,
    /// The decoded `X-Amz-Client-Context`.
    pub client_context: Option<String>,
    /// The `X-Amzn-Trace-Id` to pass on.
    pub trace_id: Option<String>,
    /// Whether to return the last 4 KB of the log.
    pub log_tail: bool,
}

/// A request id of its own for each.
pub fn new_request_id() -> Arc<str> {
    let mut text = uuid::Uuid::encode_buffer();
    Arc::from(&*uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text))
}

/// How to invoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationKind {
    /// Run it and wait for the answer.
    RequestResponse,
    /// Run it later, at least once; the answer only says that it will be.
    Event,
    /// Check that the function exists and may be called.
    DryRun,
}

/// The answer of a function, which may itself be an error document of the function.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The id that the log lines carry.
    pub request_id: Arc<str>,
    /// What the function answered, or the error document.
    pub payload: Bytes,
    /// What the runtime says the payload is.
    pub content_type: Option<String>,
    /// Set when the payload is an error document; it becomes `X-Amz-Function-Error`.
    pub error: Option<FunctionError>,
    /// The last 4 KB of this invocation's log, where asked for.
    pub log_tail: Option<Bytes>,
    /// The version that ran: `$LATEST` or a number, also when an alias was called.
    pub executed_version: String,
}

impl Outcome {
    /// Of an invocation that is run later, or was only to be checked.
    pub(crate) fn accepted(request_id: Arc<str>, version: &str) -> Outcome {
        Outcome {
            request_id,
            payload: Bytes::new(),
            content_type: None,
            error: None,
            log_tail: None,
            executed_version: version.to_owned(),
        }
    }
}

/// Why an invocation was not run at all; each has a counterpart among AWS's errors.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// No such function, or no such version of it.
    #[error("Function not found: {0}")]
    NotFound(String),
    /// No instance may be started for it now.
    #[error("Rate Exceeded.")]
    TooManyRequests(Throttle),
    /// It calls itself round and round, and may not.
    #[error(
        "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped your \
         function's invocation. To allow it, call PutFunctionRecursionConfig with RecursiveLoop Allow."
    )]
    Recursive,
    /// The event is over [`PAYLOAD_BYTES_MAX`].
    #[error(
        "{size} byte payload is too large for the RequestResponse invocation type (limit {PAYLOAD_BYTES_MAX} bytes)"
    )]
    PayloadTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The event is over [`EVENT_BYTES_MAX`].
    #[error("{size} byte payload is too large for the Event invocation type (limit {EVENT_BYTES_MAX} bytes)")]
    EventTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// More events wait than the platform keeps.
    #[error("Too many asynchronous invocations are waiting ({0}): try again when some have been worked off.")]
    QueueFull(String),
    /// The event could not be made durable.
    #[error("The event was not accepted: {0}")]
    NotQueued(String),
    /// The event is not JSON.
    #[error("Could not parse request body into json: {0}")]
    NotJson(String),
    /// The runtime of the function cannot run on this machine.
    #[error("{0}")]
    Runtime(String),
    /// The code archive that the function names is not in the code store.
    #[error("the code of function {0} is missing from the code store: upload it again")]
    CodeMissing(String),
    /// The machine could not start an instance.
    #[error("failed to start an instance: {0}")]
    Start(String),
}
