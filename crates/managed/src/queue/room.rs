//! How much the queues of one store may hold together: counters, and the limits that they are held to.

use std::sync::atomic::{AtomicU64, Ordering};

/// What queues may hold. The store keeps values in memory, so these bound memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages in all queues together; each takes some 500 bytes for keys and books beside its body.
    pub messages: u64,
    /// Bodies and attributes in all queues together.
    pub bytes: u64,
    /// One queue may take this part of either, so that one that nobody drains leaves room for the others: 2 is a half.
    pub share: u64,
}

impl Limits {
    /// Whether a single queue may hold so much.
    pub(super) fn of_one(&self, messages: u64, bytes: u64) -> Result<(), String> {
        within(messages, self.messages / self.share, bytes, self.bytes / self.share)
    }
}

/// Messages and bytes in all queues together.
pub(super) struct Room {
    pub(super) limits: Limits,
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Room {
    pub(super) fn new(limits: Limits) -> Room {
        Room { limits, messages: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Counts messages that are there anyway.
    pub(super) fn take(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Counts messages, unless they do not fit.
    pub(super) fn try_take(&self, messages: u64, bytes: u64) -> Result<(), String> {
        self.take(messages, bytes);
        let (held, all) = (self.messages.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire));
        within(held, self.limits.messages, all, self.limits.bytes)
            .inspect_err(|_| self.give_back(messages, bytes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.load(Ordering::Acquire) == 0
    }

    pub(super) fn give_back(&self, messages: u64, bytes: u64) {
        self.messages.fetch_sub(messages, Ordering::AcqRel);
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
