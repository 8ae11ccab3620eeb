//! Answers of an instance on their way to the caller: whole, or opened and then completed. The pieces themselves go from
//! the Runtime API straight to the caller; the state machine sees only the beginning and the end.

use super::{Active, Instance, Refusal, State};
use crate::fault::Fault;
use crate::pieces::{Opened, Pieces};
use crate::report::Status;
use bytes::Bytes;
use std::time::Instant;
use tokio::sync::oneshot;

/// The value of `X-Amz-Function-Error`. Today's runtimes report every failure as `Unhandled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionError {
    /// The function threw, exited, hung or answered too much.
    Unhandled,
}

impl FunctionError {
    /// As the header spells it.
    pub fn as_str(self) -> &'static str {
        "Unhandled"
    }
}

/// What an invocation has to say.
pub struct Answer {
    /// The answer, or the error document.
    pub payload: Bytes,
    /// What the runtime says the payload is.
    pub content_type: Option<String>,
    /// Set when the payload is an error document.
    pub error: Option<FunctionError>,
}

/// What comes back to the invoker.
pub struct Reply {
    /// Its payload is empty when it has gone to the caller piece by piece.
    pub answer: Answer,
    /// The last 4 KB of this invocation's log, where asked for.
    pub log_tail: Option<Bytes>,
    /// What it took.
    pub run: Metered,
}

/// What an invocation took.
pub enum Metered {
    /// This.
    Now(meter::Run),
    /// Extensions work on; nothing comes when the platform stops before they are done.
    Later(oneshot::Receiver<meter::Run>),
}

impl Answer {
    /// An error document.
    pub fn failed(payload: Bytes) -> Answer {
        Answer { payload, content_type: None, error: Some(FunctionError::Unhandled) }
    }
}

/// Who waits for an invocation, and what for.
pub enum Caller {
    /// For the whole answer at once.
    Whole(oneshot::Sender<Reply>),
    /// For its beginning.
    Stream(oneshot::Sender<Opened>),
    /// For its end: the beginning has been handed over.
    Rest(oneshot::Sender<Reply>),
}

impl Caller {
    /// Hands over how the invocation ended. The caller may be gone; it was still run and logged.
    pub(super) fn finish(self, reply: Reply) {
        match self {
            Caller::Whole(whole) => drop(whole.send(reply)),
            Caller::Stream(stream) => drop(stream.send(Opened::Whole(reply))),
            Caller::Rest(rest) => drop(rest.send(reply)),
        }
    }
}

impl Instance {
    /// The function begins to answer piece by piece. Gives where the pieces go, or nothing when the caller wants them
    /// all at once.
    pub(crate) fn open_stream(
        &self,
        id: &str,
        content_type: Option<String>,
    ) -> Result<Option<Pieces>, Refusal> {
        let mut state = self.lock();
        let State::Busy(active) = &mut *state else { return Err(Refusal::State) };
        if *active.request_id != *id {
            return Err(Refusal::OtherRequest);
        }
        let (finish, end) = oneshot::channel();
        match std::mem::replace(&mut active.caller, Caller::Rest(finish)) {
            Caller::Stream(stream) => {
                let (sender, chunks) = Pieces::channel(self.stream_brake);
                drop(stream.send(Opened::Pieces { content_type, chunks, end }));
                Ok(Some(sender))
            }
            whole @ Caller::Whole(_) => {
                active.caller = whole;
                Ok(None)
            }
            // It answers already, on another connection.
            rest @ Caller::Rest(_) => {
                active.caller = rest;
                Err(Refusal::State)
            }
        }
    }

    /// The function answered.
    pub(crate) fn respond(
        &self,
        id: &str,
        payload: Bytes,
        content_type: Option<String>,
    ) -> Result<(), Refusal> {
        let active = self.take_answered(id)?;
        self.finish(active, Answer { payload, content_type, error: None }, Vec::new(), None);
        Ok(())
    }

    /// The function failed and says how.
    pub(crate) fn fail(&self, id: &str, payload: Bytes, error_type: &str) -> Result<(), Refusal> {
        let active = self.take_answered(id)?;
        tracing::debug!(instance = self.id, error_type, "a function failed");
        let status = Some(Status::Reported(error_type));
        self.finish(active, Answer::failed(payload), Vec::new(), status);
        Ok(())
    }

    /// What the function answers cannot be an answer: too much, or cut off.
    pub(crate) fn reject_answer(&self, id: &str, fault: &Fault) -> Result<(), Refusal> {
        let active = self.take_answered(id)?;
        self.finish_with(active, fault);
        Ok(())
    }

    /// The answer to this invocation has broken off: either the process is ending, or it will go on with the next one.
    /// Whether that is still to be seen.
    pub(crate) fn note_broken(&self, id: &str) -> bool {
        match &mut *self.lock() {
            State::Busy(active) if *active.request_id == *id => {
                active.broken = true;
                true
            }
            _ => false,
        }
    }

    /// The runtime lives: what broke off was its answer alone.
    pub(super) fn settle_broken(&self) {
        let broken = match &*self.lock() {
            State::Busy(active) if active.broken => Some(active.request_id.clone()),
            _ => None,
        };
        if let Some(id) = broken {
            // Refused when it has ended at this very moment, by its time limit.
            let _ = self.reject_answer(&id, &Fault::Truncated);
        }
    }

    fn take_answered(&self, id: &str) -> Result<Active, Refusal> {
        let active = self.take_active(id, State::Finished(Instant::now()))?;
        self.note_finished();
        Ok(active)
    }
}
