//! Durable queues with delayed visibility. A message that was accepted is delivered at least once: it stays until it is
//! deleted, through a kill of the process and a loss of power. What is written: a message when it is sent, its state
//! when it is deferred, and its end. Receiving writes nothing: after a crash, what was being worked on is visible again.
//!
//! Nothing polls: [`Queue::due`] sleeps until the next message becomes visible, or until something changes.

mod book;
mod record;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use store::{Expect, OPS_MAX, Op, Range, Store};
use tokio::sync::Notify;

use crate::Clock;
use book::{Book, Room};

/// The body and the attributes of one message together, at most: 1 MiB of payload, as the biggest of AWS's queues take,
/// and some room for what goes along.
pub const MESSAGE_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// Messages in all queues together. The store keeps values in memory: with some 500 bytes for keys and books, this is
/// at most 100 MB beside the bodies.
const MESSAGES_MAX: u64 = 200_000;

/// Bodies and attributes in all queues together, which are memory too.
const BYTES_MAX: u64 = 256 << 20;

/// One queue may take so much of either limit, so that a single one that nobody drains leaves room for the others.
const QUEUE_SHARE: u64 = 2;

/// Ends after which the history of the store is compacted: nobody reads it.
const COMPACT_EVERY: u64 = 2_000;

/// The same when no message is left.
const COMPACT_WHEN_EMPTY: u64 = 100;

const _: () = assert!(MESSAGE_BYTES_MAX < store::TRANSACTION_BYTES_MAX, "a message is one transaction");

/// Why a message was not accepted. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It is bigger than [`MESSAGE_BYTES_MAX`].
    #[error("the message has {0} bytes, more than {MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    /// The queue, or all queues together, hold as much as they may: try again when some of it has been worked off.
    #[error("the queue is full: {0}")]
    Full(String),
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why a change to a message was not made.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The message is gone, or somebody has received it since.
    #[error("the receipt is of no message that is held")]
    Stale,
    /// It could not be made durable; the message is as it was.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The right to end or to change a message; it lapses when the message becomes visible and is received again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    number: u64,
    claim: u64,
}

/// A message as it is received.
#[derive(Debug, Clone)]
pub struct Message {
    /// To end or to change it.
    pub receipt: Receipt,
    /// What the sender said about it; opaque.
    pub attributes: Bytes,
    /// What was sent; opaque.
    pub body: Bytes,
    /// What the last receiver that deferred it wrote down; opaque, empty at first.
    pub note: Bytes,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: u64,
    /// How often it has been received, this time included, since it was sent or the process was started. Deferring
    /// writes the count down.
    pub receive_count: u32,
}

/// How much there is in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages, visible or not.
    pub messages: u64,
    /// When the oldest of them was sent, in milliseconds since 1970.
    pub oldest_sent_ms: Option<u64>,
}

/// All queues of one store. They come to be with their first message.
pub struct Queues {
    ground: Arc<Ground>,
    queues: Mutex<HashMap<Arc<str>, Arc<Queue>>>,
}

/// What the queues of one store have in common.
struct Ground {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    room: Room,
    /// The number of the next message.
    next: AtomicU64,
    /// Messages that have ended since the store was compacted.
    ended: AtomicU64,
}

/// One queue. Several may receive from it at the same time.
pub struct Queue {
    name: Arc<str>,
    ground: Arc<Ground>,
    book: Mutex<Book>,
    changed: Notify,
}

impl Queues {
    /// Reads what the store holds. The store must be for queues alone.
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Arc<Queues>, store::Error> {
        let bodies = store.list(Range::prefix(record::BODIES)).await?.entries;
        let states = store.list(Range::prefix(record::STATES)).await?.entries;
        let ground = Ground {
            store,
            clock,
            room: Room::new(MESSAGES_MAX, BYTES_MAX),
            next: AtomicU64::new(1),
            ended: AtomicU64::new(0),
        };
        let queues = Arc::new(Queues { ground: Arc::new(ground), queues: Mutex::default() });
        let states: HashMap<&str, &Bytes> = states
            .iter()
            .filter_map(|entry| Some((entry.key.strip_prefix(record::STATES)?, &entry.value)))
            .collect();
        for entry in &bodies {
            let Some(place) = entry.key.strip_prefix(record::BODIES) else { continue };
            let (Some((name, number)), Some(sent)) = (record::place(place), record::Sent::read(&entry.value))
            else {
                tracing::error!(key = %entry.key, "a message in the store cannot be read and is left alone");
                continue;
            };
            queues.ground.next.fetch_max(number + 1, Ordering::Relaxed);
            let state = states.get(place).and_then(|state| record::State::read(state));
            queues.ground.room.take(entry.value.len() as u64);
            queues.queue(name).book().restore(number, entry.value.len(), &sent, state);
        }
        Ok(queues)
    }

    /// Queues that are gone when they are dropped, for tests.
    pub async fn in_memory(clock: Arc<dyn Clock>) -> Arc<Queues> {
        Queues::open(store::memory(), clock).await.expect("an empty store has nothing to fail on")
    }

    /// The queue of this name; a new one if nothing has been sent to it yet.
    pub fn queue(&self, name: &str) -> Arc<Queue> {
        let mut queues = self.lock();
        if let Some(queue) = queues.get(name) {
            return queue.clone();
        }
        // Now and then, those that are empty and in nobody's hands go: names come and go, and nobody gives them back.
        if queues.len().is_power_of_two() {
            queues.retain(|_, queue| Arc::strong_count(queue) > 1 || !queue.book().is_empty());
        }
        let name: Arc<str> = name.into();
        let queue = Arc::new(Queue {
            name: name.clone(),
            ground: self.ground.clone(),
            book: Mutex::default(),
            changed: Notify::new(),
        });
        queues.insert(name, queue.clone());
        queue
    }

    /// The queues that hold something.
    pub fn filled(&self) -> Vec<(Arc<str>, Arc<Queue>)> {
        let queues = self.lock();
        let filled = queues.iter().filter(|(_, queue)| !queue.book().is_empty());
        filled.map(|(name, queue)| (name.clone(), queue.clone())).collect()
    }

    /// What time the queues go by.
    pub fn now_ms(&self) -> u64 {
        self.ground.clock.now_ms()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ground {
    /// Ends messages for good: in the store first, then in the book of their queue. Gives their number.
    async fn end(&self, queue: &Queue, numbers: Vec<u64>) -> Result<u64, store::Error> {
        let both = |number: &u64| {
            [record::BODIES, record::STATES].map(|part| record::key(part, &queue.name, *number))
        };
        let keys = numbers.iter().flat_map(both);
        let ops = keys.map(|key| Op::Delete { key, expect: Expect::Any }).collect();
        let revision = self.store.commit(ops).await?;
        let freed: Vec<u64> = {
            let mut book = queue.book();
            numbers.into_iter().filter_map(|number| book.remove(number)).collect()
        };
        freed.iter().for_each(|bytes| self.room.give_back(*bytes));
        let count = freed.len() as u64;
        let ended = self.ended.fetch_add(count, Ordering::Relaxed) + count;
        // An idle platform should not sit on the memory of what it once did.
        let due = if self.room.is_empty() { COMPACT_WHEN_EMPTY } else { COMPACT_EVERY };
        if ended >= due && self.ended.swap(0, Ordering::Relaxed) >= due {
            self.store.compact(revision).await?;
        }
        Ok(count)
    }
}

impl Queue {
    /// Accepts a message, to be visible after `delay`. When this returns it is durable. Goes on when it is dropped, so
    /// that what the store has accepted is never missing from the book.
    pub async fn send(
        self: &Arc<Self>,
        attributes: Bytes,
        body: Bytes,
        delay: Duration,
    ) -> Result<(), SendError> {
        let size = attributes.len() + body.len();
        if size > MESSAGE_BYTES_MAX {
            return Err(SendError::TooLarge(size));
        }
        let ground = self.ground.clone();
        let now = ground.clock.now_ms();
        let sent =
            record::Sent { sent_ms: now, visible_ms: now.saturating_add(millis(delay)), attributes, body };
        let value = sent.write();
        let bytes = value.len();
        let share = self.book().fits(bytes as u64, MESSAGES_MAX / QUEUE_SHARE, BYTES_MAX / QUEUE_SHARE);
        share.and_then(|()| ground.room.try_take(bytes as u64)).map_err(SendError::Full)?;
        let number = ground.next.fetch_add(1, Ordering::Relaxed);
        let key = record::key(record::BODIES, &self.name, number);
        let queue = self.clone();
        let kept = tokio::spawn(async move {
            let put = Op::Put { key, value, expect: Expect::Absent };
            match ground.store.commit(vec![put]).await {
                Ok(_) => {
                    queue.book().restore(number, bytes, &sent, None);
                    queue.changed.notify_waiters();
                    Ok(())
                }
                Err(error) => {
                    ground.room.give_back(bytes as u64);
                    Err(error)
                }
            }
        });
        kept.await.unwrap_or(Err(store::Error::Closed)).map_err(SendError::Store)
    }

    /// Takes the message that has been visible longest, if there is one, and hides it for `hidden`.
    pub async fn receive(&self, hidden: Duration) -> Option<Message> {
        let ground = &self.ground;
        loop {
            let now = ground.clock.now_ms();
            let taken = self.book().take(now, now.saturating_add(millis(hidden)))?;
            let key = record::key(record::BODIES, &self.name, taken.receipt.number);
            let found = ground.store.get(&key).await.ok().flatten();
            let Some(sent) = found.and_then(|entry| record::Sent::read(&entry.value)) else {
                // The message was purged just now.
                continue;
            };
            return Some(Message {
                receipt: taken.receipt,
                attributes: sent.attributes,
                body: sent.body,
                note: taken.note,
                sent_ms: sent.sent_ms,
                receive_count: taken.receive_count,
            });
        }
    }

    /// Waits until a message is visible. Cheap to call again and again; spends nothing while it waits.
    pub async fn due(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the look, so that no change falls between the two.
            changed.as_mut().enable();
            let now = self.ground.clock.now_ms();
            let next = self.book().next_ms();
            match next {
                Some(at) if at <= now => return,
                Some(at) => {
                    let wait = Duration::from_millis(at - now);
                    drop(tokio::time::timeout(wait, changed).await);
                }
                None => changed.await,
            }
        }
    }

    /// Ends a message. When this returns it does not come back.
    pub async fn delete(self: &Arc<Self>, receipt: Receipt) -> Result<(), QueueError> {
        let ground = self.ground.clone();
        if !self.book().holds(receipt) {
            return Err(QueueError::Stale);
        }
        let queue = self.clone();
        let ended = tokio::spawn(async move { ground.end(&queue, vec![receipt.number]).await });
        ended.await.unwrap_or(Err(store::Error::Closed))?;
        Ok(())
    }

    /// Makes a message visible again after `delay`. Not written down: after a crash it is visible at once.
    pub fn release(&self, receipt: Receipt, delay: Duration) -> Result<(), QueueError> {
        let ground = self.ground.clone();
        let at = ground.clock.now_ms().saturating_add(millis(delay));
        let held = self.book().show(receipt, at, None);
        self.changed.notify_waiters();
        if held { Ok(()) } else { Err(QueueError::Stale) }
    }

    /// Makes a message visible again after `delay`, with a note for the next receiver. When this returns, both are
    /// durable. When it fails, the message stays hidden as long as it was going to be.
    pub async fn defer(
        self: &Arc<Self>,
        receipt: Receipt,
        delay: Duration,
        note: Bytes,
    ) -> Result<(), QueueError> {
        let ground = self.ground.clone();
        let Some(receive_count) = self.book().receive_count(receipt) else { return Err(QueueError::Stale) };
        let visible_ms = ground.clock.now_ms().saturating_add(millis(delay));
        let value = record::State { visible_ms, receive_count, note: note.clone() }.write();
        let key = record::key(record::STATES, &self.name, receipt.number);
        let queue = self.clone();
        let kept = tokio::spawn(async move {
            ground.store.commit(vec![Op::Put { key, value, expect: Expect::Any }]).await?;
            queue.book().show(receipt, visible_ms, Some(note));
            queue.changed.notify_waiters();
            Ok(())
        });
        kept.await.unwrap_or(Err(store::Error::Closed)).map_err(QueueError::Store)
    }

    /// Ends every message, received or not; says how many there were.
    pub async fn purge(self: &Arc<Self>) -> Result<u64, QueueError> {
        let ground = self.ground.clone();
        let mut purged = 0;
        loop {
            // Two keys for each message.
            let numbers = self.book().numbers(OPS_MAX / 2);
            if numbers.is_empty() {
                return Ok(purged);
            }
            purged += ground.end(self, numbers).await?;
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much there is.
    pub fn depth(&self) -> Depth {
        self.book().depth()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
