//! What a queue knows in memory: which messages there are and when each is visible. The store has the rest. Pure but for
//! the counters that all queues share.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::record::{Sent, State};
use super::{Depth, Receipt};

/// Messages and bytes in all queues together, with their limits.
pub(super) struct Room {
    messages_max: u64,
    bytes_max: u64,
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Room {
    pub(super) fn new(messages_max: u64, bytes_max: u64) -> Room {
        Room { messages_max, bytes_max, messages: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Counts a message that is there anyway.
    pub(super) fn take(&self, bytes: u64) {
        self.messages.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Counts a message, unless it does not fit.
    pub(super) fn try_take(&self, bytes: u64) -> Result<(), String> {
        self.take(bytes);
        let (messages, all) = (self.messages.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire));
        within(messages, self.messages_max, all, self.bytes_max).inspect_err(|_| self.give_back(bytes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.load(Ordering::Acquire) == 0
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.messages.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

fn within(messages: u64, messages_max: u64, bytes: u64, bytes_max: u64) -> Result<(), String> {
    match (messages <= messages_max, bytes <= bytes_max) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("{messages_max} messages are waiting")),
        (_, false) => Err(format!("{bytes_max} bytes are waiting")),
    }
}

#[derive(Default)]
pub(super) struct Book {
    entries: HashMap<u64, Entry>,
    /// By the time at which each is visible (again), then by age.
    order: BTreeSet<(u64, u64)>,
    bytes: u64,
}

struct Entry {
    visible_ms: u64,
    sent_ms: u64,
    bytes: u64,
    receive_count: u32,
    /// Changes with every receive, and so tells the receipts of one message apart.
    claim: u64,
    note: Bytes,
}

/// What receiving found.
pub(super) struct Taken {
    pub(super) receipt: Receipt,
    pub(super) receive_count: u32,
    pub(super) note: Bytes,
}

impl Book {
    /// Takes in a message that the store holds.
    pub(super) fn restore(&mut self, number: u64, bytes: usize, sent: &Sent, state: Option<State>) {
        let bytes = bytes as u64;
        let state =
            state.unwrap_or(State { visible_ms: sent.visible_ms, receive_count: 0, note: Bytes::new() });
        let entry = Entry {
            visible_ms: state.visible_ms,
            sent_ms: sent.sent_ms,
            bytes,
            receive_count: state.receive_count,
            claim: 0,
            note: state.note,
        };
        self.order.insert((entry.visible_ms, number));
        self.entries.insert(number, entry);
        self.bytes += bytes;
    }

    /// Whether one more would keep the limits of a single queue.
    pub(super) fn fits(&self, bytes: u64, messages_max: u64, bytes_max: u64) -> Result<(), String> {
        within(self.entries.len() as u64 + 1, messages_max, self.bytes + bytes, bytes_max)
    }

    /// When the next message is visible.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The message that has been visible longest; hidden from now on until `until_ms`.
    pub(super) fn take(&mut self, now_ms: u64, until_ms: u64) -> Option<Taken> {
        let first = self.order.first().copied().filter(|(at, _)| *at <= now_ms)?;
        self.order.remove(&first);
        let number = first.1;
        let entry = self.entries.get_mut(&number)?;
        entry.visible_ms = until_ms;
        entry.claim += 1;
        entry.receive_count = entry.receive_count.saturating_add(1);
        self.order.insert((until_ms, number));
        let receipt = Receipt { number, claim: entry.claim };
        Some(Taken { receipt, receive_count: entry.receive_count, note: entry.note.clone() })
    }

    pub(super) fn holds(&self, receipt: Receipt) -> bool {
        self.receive_count(receipt).is_some()
    }

    /// How often the message has been received, if the receipt still counts.
    pub(super) fn receive_count(&self, receipt: Receipt) -> Option<u32> {
        let entry = self.entries.get(&receipt.number)?;
        (entry.claim == receipt.claim).then_some(entry.receive_count)
    }

    /// Makes a message visible at another time; false if the receipt has lapsed.
    pub(super) fn show(&mut self, receipt: Receipt, at_ms: u64, note: Option<Bytes>) -> bool {
        let Some(entry) = self.entries.get_mut(&receipt.number).filter(|entry| entry.claim == receipt.claim)
        else {
            return false;
        };
        self.order.remove(&(entry.visible_ms, receipt.number));
        self.order.insert((at_ms, receipt.number));
        entry.visible_ms = at_ms;
        // The receipt is spent: whoever holds it cannot end what somebody else may be working on.
        entry.claim += 1;
        if let Some(note) = note {
            entry.note = note;
        }
        true
    }

    /// Forgets a message; gives back its size, if it was there.
    pub(super) fn remove(&mut self, number: u64) -> Option<u64> {
        let entry = self.entries.remove(&number)?;
        self.order.remove(&(entry.visible_ms, number));
        self.bytes -= entry.bytes;
        Some(entry.bytes)
    }

    /// Some messages, whatever their state.
    pub(super) fn numbers(&self, count: usize) -> Vec<u64> {
        self.order.iter().take(count).map(|(_, number)| *number).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn depth(&self) -> Depth {
        Depth {
            messages: self.entries.len() as u64,
            oldest_sent_ms: self.entries.values().map(|entry| entry.sent_ms).min(),
        }
    }
}
