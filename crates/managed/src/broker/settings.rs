//! How a queue behaves: what SQS calls its attributes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A queue that nobody has said anything about, as on AWS.
pub const QUEUE_DEFAULTS: Settings = Settings {
    fifo: false,
    visibility_s: 30,
    delay_s: 0,
    retention_s: 345_600,
    wait_s: 0,
    message_bytes_max: 1 << 20,
    content_based_deduplication: false,
    deduplication_per_group: false,
    throughput_per_group: false,
    redrive: None,
    redrive_allow: None,
    policy: None,
    managed_sse: true,
    tags: BTreeMap::new(),
};

/// The settings of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether messages come in the order of their groups, and once; never changes.
    pub fifo: bool,
    /// How long a received message is hidden, unless the receiver says otherwise.
    pub visibility_s: u32,
    /// How long a message is hidden at first, unless the sender says otherwise.
    pub delay_s: u32,
    /// How long a message is kept.
    pub retention_s: u32,
    /// How long a receiver waits for a message, unless it says otherwise.
    pub wait_s: u32,
    /// Body and attributes of one message.
    pub message_bytes_max: u32,
    /// Whether messages without a deduplication id are told apart by their bodies.
    pub content_based_deduplication: bool,
    /// Whether the same deduplication id in another group is another message.
    pub deduplication_per_group: bool,
    /// `FifoThroughputLimit`: kept and shown; there is no limit of throughput here.
    pub throughput_per_group: bool,
    /// Where messages go that are received too often.
    pub redrive: Option<Redrive>,
    /// Which queues may send their dead letters here; any, when nothing is said.
    pub redrive_allow: Option<RedriveAllow>,
    /// The access policy; kept and shown, not evaluated.
    pub policy: Option<String>,
    /// `SqsManagedSseEnabled`: kept and shown; nothing is encrypted.
    pub managed_sse: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Where messages go that are received too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// The dead-letter queue.
    pub target: String,
    /// They may be received so often.
    pub receives_max: u32,
}

/// Which queues may send their dead letters to a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedriveAllow {
    /// Any.
    All,
    /// None.
    None,
    /// These, by name.
    By(Vec<String>),
}
