//! The durability below a store: what it must keep, and the log that keeps nothing. Only the writer calls it.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Error, OpenError, Revision};

/// One operation of a committed transaction, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub id: RowId,
    pub key: Arc<str>,
    /// `None`: the key was deleted.
    pub value: Option<Bytes>,
    pub created: Revision,
}

/// Names a row: its revision, and its place in the transaction. Ordered as they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowId {
    pub revision: Revision,
    pub place: u16,
}

/// What a log holds when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The last durable compaction.
    pub oldest: Revision,
    /// In order of their ids. Rows at or below `oldest` may have been superseded.
    pub rows: Vec<Row>,
}

/// An ordered, durable list of rows.
pub(crate) trait Log: Send + 'static {
    /// Everything that is durable.
    fn load(&mut self) -> Result<Loaded, OpenError>;

    /// Makes `rows` durable and drops `garbage`, all or nothing.
    fn append(&mut self, rows: &[Row], garbage: &[RowId]) -> Result<(), Error>;

    /// Makes it durable that history below `oldest` is gone. The rows themselves go later, as garbage.
    fn compact(&mut self, oldest: Revision) -> Result<(), Error>;
}

/// Keeps nothing.
pub(crate) struct Memory;

impl Log for Memory {
    fn load(&mut self) -> Result<Loaded, OpenError> {
        Ok(Loaded::default())
    }

    fn append(&mut self, _: &[Row], _: &[RowId]) -> Result<(), Error> {
        Ok(())
    }

    fn compact(&mut self, _: Revision) -> Result<(), Error> {
        Ok(())
    }
}
