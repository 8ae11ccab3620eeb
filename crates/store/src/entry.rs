//! What reads return: entries and pages of them. Plain values; cloning shares the bytes.

use std::sync::Arc;

use bytes::Bytes;

/// A point in the life of a store: 1 is the first change, 0 is before it.
pub type Revision = u64;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// The value, as it was committed.
    pub value: Bytes,
    /// The revision in which the key came to be (again, if it had been deleted).
    pub created: Revision,
    /// The revision in which the value was last put.
    pub modified: Revision,
}

/// Which entries to list. `Range::prefix("/a/")` is all of them under a prefix, now.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Keys that start with this; empty is every key.
    pub prefix: Arc<str>,
    /// Only keys greater than this: the last key of the page before.
    pub after: Option<Arc<str>>,
    /// At most so many entries; `None` is all.
    pub limit: Option<usize>,
    /// As they were at this revision; `None` is now.
    pub at: Option<Revision>,
}

impl Range {
    /// Every entry under `prefix`, now.
    pub fn prefix(prefix: &str) -> Range {
        Range { prefix: prefix.into(), ..Range::default() }
    }
}

/// The entries of one list call, in key order.
#[derive(Debug, Clone)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The revision that they show; give it as `Range::at` to continue.
    pub revision: Revision,
    /// Whether the limit cut the list short.
    pub more: bool,
}
