//! Durable queues with delayed visibility. A message that was accepted is delivered at least once: it stays until it is
//! deleted, through a kill of the process and a loss of power. What is written: a message when it is sent, its state
//! when it is deferred, and its end. Receiving writes nothing: after a crash, what was being worked on is visible again.
//! Messages may belong to groups, each of which is worked on one after the other.
//!
//! Nothing polls: [`Queue::due`] sleeps until the next message becomes visible, or until something changes.

mod book;
mod message;
mod one;
mod record;
mod room;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use store::{Expect, Op, Range, Store};
use tokio::sync::Notify;

use crate::Clock;
use book::Book;
use room::Room;

pub use message::{Counts, Depth, Draft, MESSAGE_BYTES_MAX, Message, QueueError, Receipt, SendError};
pub use one::Queue;
pub use room::Limits;

/// What queues may hold unless the caller knows better: with keys and books at most 100 MB beside the bodies.
const LIMITS: Limits = Limits { messages: 200_000, bytes: 256 << 20, share: 2 };

/// Ends after which the history of the store is compacted: nobody reads it.
const COMPACT_EVERY: u64 = 2_000;

/// The same when no message is left.
const COMPACT_WHEN_EMPTY: u64 = 100;

/// Numbers and claims that a process may give away in each millisecond, without meeting those of the next process. A store
/// writes some ten thousand messages in a second.
const PER_MILLISECOND: u32 = 16;

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
    /// The number of the next message. Numbers grow over all processes, so that a receipt that somebody kept never fits
    /// another message.
    next: AtomicU64,
    /// What claims of this process begin with.
    first_claim: u64,
    /// Messages that have ended since the store was compacted.
    ended: AtomicU64,
}

impl Queues {
    /// Reads what the store holds. Keys that begin with `body/` and `state/` are the queues' own.
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Arc<Queues>, store::Error> {
        Queues::open_with(store, clock, LIMITS).await
    }

    /// The same, with limits of the caller's.
    pub async fn open_with(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<Arc<Queues>, store::Error> {
        let bodies = store.list(Range::prefix(record::BODIES)).await?.entries;
        let states = store.list(Range::prefix(record::STATES)).await?.entries;
        let beginning = clock.now_ms() << PER_MILLISECOND;
        let ground = Ground {
            store,
            clock,
            room: Room::new(limits),
            next: AtomicU64::new(beginning.max(1)),
            first_claim: beginning,
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
            queues.ground.room.take(1, entry.value.len() as u64);
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
            book: Mutex::new(Book::new(self.ground.first_claim)),
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

    /// Where the queues are kept, for what a room keeps beside them.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.ground.store
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ground {
    /// Ends messages for good: in the store first, then in the book of their queue. Gives their number.
    async fn end(&self, queue: &Queue, numbers: Vec<u64>) -> Result<u64, store::Error> {
        let ops = numbers.iter().flat_map(|number| deletion(&queue.name, *number)).collect();
        let revision = self.store.commit(ops).await?;
        let count = self.forget(queue, numbers);
        self.tidy(count, revision).await?;
        Ok(count)
    }

    /// Takes messages that the store does not hold any more out of the book; says how many there were.
    fn forget(&self, queue: &Queue, numbers: Vec<u64>) -> u64 {
        let freed: Vec<u64> = {
            let mut book = queue.book();
            numbers.into_iter().filter_map(|number| book.remove(number)).collect()
        };
        // What stands behind them in their groups may be visible now.
        queue.changed.notify_waiters();
        self.room.give_back(freed.len() as u64, freed.iter().sum());
        freed.len() as u64
    }

    async fn tidy(&self, count: u64, revision: store::Revision) -> Result<(), store::Error> {
        let ended = self.ended.fetch_add(count, Ordering::Relaxed) + count;
        // An idle platform should not sit on the memory of what it once did.
        let due = if self.room.is_empty() { COMPACT_WHEN_EMPTY } else { COMPACT_EVERY };
        if ended >= due && self.ended.swap(0, Ordering::Relaxed) >= due {
            self.store.compact(revision).await?;
        }
        Ok(())
    }
}

/// What takes a message out of the store.
fn deletion(queue: &str, number: u64) -> [Op; 2] {
    [record::BODIES, record::STATES]
        .map(|part| Op::Delete { key: record::key(part, queue, number), expect: Expect::Any })
}

#[cfg(test)]
mod tests;
