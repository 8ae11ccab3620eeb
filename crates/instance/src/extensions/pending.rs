//! An invocation between its answer and its end, while extensions work on.

use crate::instance::{Answer, Caller};
use crate::report::Status;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How an invocation failed.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Timeout,
    Error(String),
    Reported(String),
}

impl Failure {
    pub(crate) fn of(status: Status<'_>) -> Failure {
        match status {
            Status::Timeout => Failure::Timeout,
            Status::Error(kind) => Failure::Error(kind.to_owned()),
            Status::Reported(kind) => Failure::Reported(kind.to_owned()),
        }
    }

    pub(crate) fn status(&self) -> Status<'_> {
        match self {
            Failure::Timeout => Status::Timeout,
            Failure::Error(kind) => Status::Error(kind),
            Failure::Reported(kind) => Status::Reported(kind),
        }
    }
}

/// What is left to do for it.
pub(crate) struct Pending {
    pub(crate) request_id: Arc<str>,
    pub(crate) started: Instant,
    /// How long the instance took to start, when this is its first invocation.
    pub(crate) init: Option<Duration>,
    pub(crate) failure: Option<Failure>,
    /// A caller that wants the whole log, which ends only now.
    pub(crate) caller: Option<(Caller, Answer)>,
    /// Where to say what it took.
    pub(crate) run: oneshot::Sender<meter::Run>,
    pub(crate) answered: Instant,
    pub(crate) produced_bytes: usize,
    /// When the runtime asked for its next event.
    pub(crate) runtime_done: Option<Instant>,
    pub(crate) deadline: Instant,
}
