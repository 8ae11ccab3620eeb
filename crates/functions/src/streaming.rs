//! Answers that come piece by piece: what a caller of [`Functions::invoke_streaming`] holds while the function still
//! writes. A slow reader slows the function down; one that goes away does not stop it.
//!
//! [`Functions::invoke_streaming`]: crate::Functions::invoke_streaming

use crate::invocation::Outcome;
use bytes::Bytes;
use instance::{Answer, FunctionError, Metered, Reply};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// An answer whose body may still be coming.
#[derive(Debug)]
pub struct StreamedOutcome {
    /// The id that the log lines carry.
    pub request_id: Arc<str>,
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

/// How an invocation ended, and what it took.
pub(crate) fn completion(reply: Reply) -> (Completion, Metered) {
    let Reply { answer: Answer { payload, error, .. }, log_tail, run } = reply;
    (Completion { error: error.map(|kind| (kind, payload)), log_tail }, run)
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
