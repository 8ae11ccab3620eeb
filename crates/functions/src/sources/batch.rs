//! One batch on its way through the function, and what becomes of its messages.

use super::mapping::Mapping;
use super::record::{Origin, passes};
use super::report::{Failed, failed};
use crate::Functions;
use crate::invocation::{Invocation, InvocationKind, InvokeError, Outcome, new_request_id};
use bytes::Bytes;
use managed::{Declared, Delivered, Handle};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One event of a function that is called, as anywhere.
const EVENT_BYTES_MAX: usize = crate::PAYLOAD_BYTES_MAX - 1024;

/// How long to wait before a throttled function is called again the first time; twice as long each time after that.
const THROTTLED_FIRST: Duration = Duration::from_millis(500);

/// What the poller is to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The function had no room.
    Throttled,
    /// Anything else.
    Done,
}

/// A message that the function gets.
struct Piece {
    message: Delivered,
    record: Box<RawValue>,
}

/// Hands a batch to the function, in as many invocations as its size needs, one after the other.
pub(super) async fn run(
    functions: Arc<Functions>,
    queue: Arc<Declared>,
    mapping: Arc<Mapping>,
    batch: Vec<Delivered>,
) -> Ended {
    let origin = Origin { arn: &mapping.source_arn, region: &functions.machine.region };
    let (mut pieces, mut unwanted) = (Vec::new(), Vec::new());
    for message in batch {
        let record = origin.record(&message);
        match passes(&mapping.filters, &record) {
            true => {
                let record = serde_json::value::to_raw_value(&record).expect("a record is JSON");
                pieces.push(Piece { message, record });
            }
            false => unwanted.push(message),
        }
    }
    delete(&queue, &unwanted).await;
    let mut ended = Ended::Done;
    let ordered = queue.settings().fifo;
    for chunk in chunks(pieces) {
        let called = call(&functions, &mapping, &queue, &chunk).await;
        if matches!(called, Err(InvokeError::TooManyRequests(_))) {
            ended = Ended::Throttled;
        }
        let whole = settle(&queue, &mapping, &chunk, called).await;
        if ordered && !whole {
            // What stands behind a failed message must not overtake it.
            break;
        }
    }
    ended
}

/// Cuts a batch where an event would be too large.
fn chunks(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut chunks: Vec<Vec<Piece>> = Vec::new();
    let mut bytes = 0;
    for piece in pieces {
        let size = piece.record.get().len() + 1;
        match chunks.last_mut() {
            Some(last) if bytes + size <= EVENT_BYTES_MAX => {
                bytes += size;
                last.push(piece);
            }
            _ => {
                bytes = size;
                chunks.push(vec![piece]);
            }
        }
    }
    chunks
}

/// Calls the function; again while it is throttled, for half the time in which nobody else gets the messages.
async fn call(
    functions: &Arc<Functions>,
    mapping: &Mapping,
    queue: &Declared,
    chunk: &[Piece],
) -> Result<Outcome, InvokeError> {
    let records: Vec<&str> = chunk.iter().map(|piece| piece.record.get()).collect();
    let payload = Bytes::from(format!("{{\"Records\":[{}]}}", records.join(",")));
    let until = Instant::now() + Duration::from_secs(queue.settings().visibility_s.into()) / 2;
    let mut wait = THROTTLED_FIRST;
    loop {
        let invocation = Invocation {
            request_id: new_request_id(),
            namespace: mapping.namespace.clone(),
            name: mapping.function.clone(),
            qualifier: mapping.qualifier.clone(),
            kind: InvocationKind::RequestResponse,
            payload: payload.clone(),
            client_context: None,
            trace_id: chunk.iter().find_map(|piece| piece.message.trace()).map(str::to_owned),
            log_tail: false,
        };
        match functions.invoke_as(invocation, false).await {
            Err(InvokeError::TooManyRequests(_)) if Instant::now() + wait < until => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            other => return other,
        }
    }
}

/// Deletes what was worked off; what failed is visible again in its time. Says whether nothing failed.
async fn settle(
    queue: &Arc<Declared>,
    mapping: &Mapping,
    chunk: &[Piece],
    called: Result<Outcome, InvokeError>,
) -> bool {
    let outcome = match called {
        Ok(outcome) if outcome.error.is_none() => outcome,
        Ok(_) => return false,
        Err(error) => {
            tracing::debug!(function = mapping.function, queue = queue.name(), %error, "a batch comes back later");
            return false;
        }
    };
    let known: HashSet<&str> = chunk.iter().map(|piece| piece.message.id()).collect();
    let failures = match mapping.reports_failures {
        true => failed(&outcome.payload, &known),
        false => Failed::These(HashSet::new()),
    };
    let Failed::These(failures) = failures else { return false };
    let done: Vec<Delivered> = chunk
        .iter()
        .filter(|piece| !failures.contains(piece.message.id()))
        .map(|piece| piece.message.clone())
        .collect();
    delete(queue, &done).await;
    failures.is_empty()
}

async fn delete(queue: &Arc<Declared>, messages: &[Delivered]) {
    if messages.is_empty() {
        return;
    }
    let handles: Vec<String> = messages.iter().map(Delivered::handle).collect();
    let handles: Vec<Handle<'_>> = handles.iter().map(|handle| Handle(handle)).collect();
    let lost = queue.delete_all(&handles).await.into_iter().filter_map(Result::err).next();
    if let Some(error) = lost {
        tracing::warn!(queue = queue.name(), %error, "messages that were worked off come back");
    }
}
