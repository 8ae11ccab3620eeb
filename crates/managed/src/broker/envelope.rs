//! What goes along with the body of a message: what its sender said about it, and what has happened to it before. Also the
//! words of sending.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::attribute::Attributes;

/// What is sent to a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letter {
    /// What is sent.
    pub body: Bytes,
    /// What receivers may ask for beside it.
    pub attributes: Attributes,
    /// The trace header to pass on.
    pub trace: Option<String>,
    /// Who sends it.
    pub sender: String,
    /// How long it is hidden at first; the queue's own delay when nothing is said.
    pub delay: Option<Duration>,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// What tells it apart from others.
    pub deduplication_id: Option<String>,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The message's id.
    pub message_id: String,
    /// Its place in the order of a FIFO queue.
    pub sequence: Option<u64>,
}

/// Why a letter was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LetterError {
    /// Body and attributes are larger than the queue takes.
    #[error("the message has {size} bytes, more than {max}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// What the queue takes.
        max: usize,
    },
    /// A FIFO queue has only messages of groups.
    #[error("the message belongs to no group")]
    NoGroup,
    /// A FIFO queue tells messages apart by it.
    #[error("the message has no deduplication id")]
    NoDeduplicationId,
    /// Messages of a FIFO queue have its delay.
    #[error("a message of a FIFO queue cannot be delayed by itself")]
    OwnDelay,
    /// Only FIFO queues know deduplication ids.
    #[error("the queue is no FIFO queue")]
    NotFifo,
    /// The queue was deleted.
    #[error("the queue does not exist")]
    Gone,
    /// It, or all queues together, hold as much as they may.
    #[error("the queue is full: {0}")]
    Full(String),
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Letter {
    /// What counts against the limits of a message.
    pub fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, attribute)| attribute.size(name));
        self.body.len() + attributes.sum::<usize>()
    }
}

/// Beside the body, in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) id: String,
    pub(super) sender: String,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(super) attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deduplication_id: Option<String>,
    /// The queue that it is a dead letter of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// How often it was received in other queues.
    #[serde(default)]
    pub(super) received: u32,
}

impl Envelope {
    pub(super) fn write(&self) -> Bytes {
        serde_json::to_vec(self).expect("strings are JSON").into()
    }

    /// One that cannot be read is empty: the body is worth more than what is said about it.
    pub(super) fn read(bytes: &[u8]) -> Envelope {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}
