//! Collecting one batch: waits until there is a message, and then for more of them as long as the mapping says.

use super::mapping::Mapping;
use managed::{Ask, Declared, Delivered};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Messages that a queue gives at a time.
const AT_ONCE: usize = 10;

/// Bytes of bodies in one batch, at most; one message more may come on top. It is cut into invocations afterwards.
const BATCH_BYTES_MAX: usize = 6 << 20;

/// How long to wait for room in a queue of which as many messages are in flight as may be.
const FULL_WAIT: Duration = Duration::from_secs(1);

/// How long to wait after a message that was due was somebody else's.
const LOST_WAIT: Duration = Duration::from_millis(10);

/// Nothing when the queue was deleted.
pub(super) async fn collect(queue: Arc<Declared>, mapping: Arc<Mapping>) -> Option<Vec<Delivered>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut until: Option<Instant> = None;
    loop {
        // What is there already is taken without waiting.
        let waited = match until {
            None => {
                queue.due().await;
                true
            }
            Some(until) => tokio::time::timeout_at(until, queue.due()).await.is_ok(),
        };
        let left = mapping.batch_size - batch.len();
        let ask = Ask { max: left.min(AT_ONCE), wait: Some(Duration::ZERO), ..Ask::default() };
        let received = match waited {
            true => queue.receive(&ask).await,
            false => return Some(batch),
        };
        let Ok(received) = received else {
            if queue.is_gone() {
                return None;
            }
            // As many as may be are out, of this mapping or of somebody else.
            tokio::time::sleep(FULL_WAIT).await;
            continue;
        };
        bytes += received.iter().map(|message| message.body().len()).sum::<usize>();
        let none = received.is_empty();
        batch.extend(received);
        if batch.is_empty() {
            // Somebody else was faster, or a FIFO queue has as many in flight as may be.
            tokio::time::sleep(LOST_WAIT).await;
            continue;
        }
        let full = batch.len() >= mapping.batch_size || bytes >= BATCH_BYTES_MAX;
        if full || none && mapping.window.is_zero() {
            return Some(batch);
        }
        // Without a window this takes what is there; with one it waits for more.
        until.get_or_insert(Instant::now() + mapping.window);
    }
}
