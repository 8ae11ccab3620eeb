//! How a queue lies in the store beside its messages: its settings under its name, and what was sent to it of late under its
//! uid. Pure.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Settings;

/// Where settings are, by name.
pub(super) const QUEUES: &str = "queue/";
/// Where deduplication ids are, by uid and number.
pub(super) const RECENT: &str = "recent/";

/// A queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// One that is deleted and made again is another.
    pub(super) uid: String,
    pub(super) created_ms: u64,
    pub(super) modified_ms: u64,
    pub(super) settings: Settings,
}

impl Record {
    pub(super) fn write(&self) -> Bytes {
        serde_json::to_vec(self).expect("settings are JSON").into()
    }

    pub(super) fn read(value: &[u8]) -> Option<Record> {
        serde_json::from_slice(value).ok()
    }
}

/// A message that was sent, by its deduplication id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// What tells it apart: the id, with its group where ids are each group's own.
    pub(super) key: String,
    pub(super) message_id: String,
    pub(super) at_ms: u64,
}

/// The key of what is known of a message.
pub(super) fn recent_key(uid: &str, number: u64) -> String {
    format!("{RECENT}{uid}/{number:016x}")
}
