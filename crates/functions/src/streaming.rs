//! Answers that come piece by piece: what a caller of [`Functions::invoke_streaming`] holds while the function still
//! writes. A slow reader slows the function down; one that goes away does not stop it.
//!
//! [`Functions::invoke_streaming`]: crate::Functions::invoke_streaming

use crate::FunctionError;
use crate::instance::{Answer, Metered, Reply};
use crate::invocation::Outcome;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The most that one answer may stream: AWS's limit, 200 MiB.
pub const STREAM_BYTES_MAX: usize = 200 * 1024 * 1024;

/// What passes a brake at once, as on AWS: 6 MiB.
const UNBRAKED_BYTES: usize = 6 * 1024 * 1024;

/// What passes it afterwards in a second, as on AWS: 2 MiB.
const BRAKED_BYTES_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;

/// Pieces between the runtime and a slow reader. Each is what one read of a socket brought, some 400 KB at most.
const CHUNKS_MAX: usize = 2;

/// An answer whose body may still be coming.
#[derive(Debug)]
pub struct StreamedOutcome {
    /// The id that the log lines carry.
    pub request_id: String,
    /// Such as `$LATEST`.
    pub executed_version: String,
    /// What the runtime says the body is.
    pub content_type: Option<String>,
    /// The body and its end.
    pub body: ResponseBody,
}

/// The body of an answer. Dropping it lets the function finish unheard.
#[derive(Debug)]
pub struct ResponseBody {
    chunks: mpsc::Receiver<Bytes>,
    completion: oneshot::Receiver<Completion>,
}

/// How an invocation ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Set when the function failed, with its error document. What came before it is not the whole answer.
    pub error: Option<(FunctionError, Bytes)>,
    /// The last 4 KB of this invocation's log, where asked for.
    pub log_tail: Option<Bytes>,
}

impl From<Outcome> for StreamedOutcome {
    /// An answer that is all there already; a failed one has no body, only its error document.
    fn from(outcome: Outcome) -> StreamedOutcome {
        let Outcome { request_id, executed_version, payload, content_type, error, log_tail } = outcome;
        let (sender, chunks) = mpsc::channel(1);
        let (complete, completion) = oneshot::channel();
        let error = match error {
            Some(kind) => Some((kind, payload)),
            None => {
                // There is room for one, and the receiver is at hand.
                drop(sender.try_send(payload));
                None
            }
        };
        drop(complete.send(Completion { error, log_tail }));
        StreamedOutcome {
            request_id,
            executed_version,
            content_type,
            body: ResponseBody { chunks, completion },
        }
    }
}

/// Where the pieces of an answer go, held back where that is wished.
pub(crate) struct Pieces {
    sender: mpsc::Sender<Bytes>,
    brake: Option<Brake>,
}

impl Pieces {
    /// What is sent comes out at the receiver.
    pub(crate) fn channel(braked: bool) -> (Pieces, mpsc::Receiver<Bytes>) {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        (Pieces { sender, brake: braked.then(Brake::default) }, chunks)
    }

    /// As fast as the reader takes them, and the brake allows. A reader that has gone away holds nothing up.
    pub(crate) async fn send(&mut self, piece: Bytes) {
        if let Some(brake) = &mut self.brake
            && !self.sender.is_closed()
        {
            let wait = brake.pass(piece.len(), Instant::now());
            tokio::time::sleep(wait).await;
        }
        drop(self.sender.send(piece).await);
    }
}

/// Holds back what comes after the first [`UNBRAKED_BYTES`] of an answer.
#[derive(Default)]
struct Brake {
    passed: usize,
    /// When the brake took hold.
    since: Option<Instant>,
}

impl Brake {
    /// How long these bytes must wait.
    fn pass(&mut self, bytes: usize, now: Instant) -> Duration {
        self.passed += bytes;
        let braked = self.passed.saturating_sub(UNBRAKED_BYTES);
        if braked == 0 {
            return Duration::ZERO;
        }
        let due =
            *self.since.get_or_insert(now) + Duration::from_secs_f64(braked as f64 / BRAKED_BYTES_PER_SECOND);
        due.saturating_duration_since(now)
    }
}

/// The beginning of an answer, as the instance hands it to whoever waits.
pub(crate) enum Opened {
    /// It came at once.
    Whole(Reply),
    /// Its pieces follow, then its end.
    Pieces { content_type: Option<String>, chunks: mpsc::Receiver<Bytes>, end: oneshot::Receiver<Reply> },
}

impl Reply {
    /// How the invocation ended, and what it took.
    pub(crate) fn into_completion(self) -> (Completion, Metered) {
        let Reply { answer: Answer { payload, error, .. }, log_tail, run } = self;
        (Completion { error: error.map(|kind| (kind, payload)), log_tail }, run)
    }
}

impl ResponseBody {
    pub(crate) fn new(chunks: mpsc::Receiver<Bytes>, completion: oneshot::Receiver<Completion>) -> Self {
        ResponseBody { chunks, completion }
    }

    /// The next piece; `None` when no more will come, for whatever reason: see [`ResponseBody::complete`].
    pub async fn next(&mut self) -> Option<Bytes> {
        self.chunks.recv().await
    }

    /// How the invocation ended. Pieces that were not read are dropped.
    pub async fn complete(mut self) -> Completion {
        self.chunks.close();
        // Without a word the platform itself is going down.
        let cut = || {
            Bytes::from_static(
                br#"{"errorType":"Sandbox.Failure","errorMessage":"The platform is stopping"}"#,
            )
        };
        let ended = self.completion.await;
        ended
            .unwrap_or_else(|_| Completion { error: Some((FunctionError::Unhandled, cut())), log_tail: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brake_takes_hold_after_six_mebibytes() {
        let (mut brake, began) = (Brake::default(), Instant::now());
        assert_eq!(brake.pass(UNBRAKED_BYTES, began), Duration::ZERO);
        assert_eq!(brake.pass(1024 * 1024, began), Duration::from_millis(500));
        assert_eq!(brake.pass(1024 * 1024, began + Duration::from_millis(500)), Duration::from_millis(500));
        // Who was slow himself waits for nothing.
        assert_eq!(brake.pass(1024 * 1024, began + Duration::from_secs(9)), Duration::ZERO);
    }
}
