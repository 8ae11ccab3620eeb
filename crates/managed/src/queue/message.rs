//! The words of a queue: what is sent and received, and why it may be refused. Holds no behaviour.

use std::time::Duration;

use bytes::Bytes;

/// The body and the attributes of one message together, at most: 1 MiB of payload, as the biggest of AWS's queues take,
/// and some room for what goes along.
pub const MESSAGE_BYTES_MAX: usize = (1 << 20) + (64 << 10);

const _: () = assert!(MESSAGE_BYTES_MAX < store::TRANSACTION_BYTES_MAX, "a message is one transaction");

/// Why a message was not accepted. Nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
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
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The message is gone, or somebody has received it since.
    #[error("the receipt is of no message that is held")]
    Stale,
    /// It could not be made durable; the message is as it was.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// What the sender says about it; opaque.
    pub attributes: Bytes,
    /// What is sent; opaque.
    pub body: Bytes,
    /// Messages of one group are received in order, one after the other; no name is no group.
    pub group: Bytes,
    /// How long it is not visible yet.
    pub delay: Duration,
}

/// The right to end or to change a message; it lapses when the message becomes visible and is received again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Of the message; grows with every message of a store.
    pub number: u64,
    /// Of the receive.
    pub claim: u64,
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
    /// The group that it belongs to; empty if none.
    pub group: Bytes,
    /// What the last receiver that deferred it wrote down; opaque, empty at first.
    pub note: Bytes,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: u64,
    /// When it was received the first time since the process was started, in milliseconds since 1970.
    pub first_ms: u64,
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

/// Messages of a queue by what can be done with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not hidden; some may wait for others of their group.
    pub visible: u64,
    /// Received, and hidden until their time is over.
    pub in_flight: u64,
    /// Not visible yet.
    pub delayed: u64,
}
