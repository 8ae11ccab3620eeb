//! Why an operation, or opening a store, did not succeed. Errors are cloned to every caller of a failed group.

use std::path::PathBuf;
use std::sync::Arc;

use crate::transaction::{OPS_MAX, TRANSACTION_BYTES_MAX};
use crate::{Entry, Revision};

/// The cause below a failure, shared because one failed sync is the failure of every transaction in it.
pub(crate) type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation on an open store failed. Nothing of a failed transaction is ever seen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An operation expected another state of its key.
    #[error("the key {key} is not as expected")]
    Conflict {
        /// The key.
        key: Arc<str>,
        /// What it holds.
        current: Option<Entry>,
    },
    /// The history asked for is gone: list again.
    #[error("the revision is compacted, the oldest one kept is {oldest}")]
    Compacted {
        /// The oldest revision that can still be listed and watched from.
        oldest: Revision,
    },
    /// The revision has not happened yet.
    #[error("revision {asked} is in the future, the current one is {current}")]
    Future {
        /// The revision asked for.
        asked: Revision,
        /// The current one.
        current: Revision,
    },
    /// A watcher read more slowly than changes came: watch again from the last revision seen.
    #[error("the watcher is too slow and has been closed")]
    Lagged,
    /// More watches than the store serves.
    #[error("too many watches are open ({max})")]
    TooManyWatches {
        /// The limit.
        max: usize,
    },
    /// A transaction has more operations than one may have.
    #[error("the transaction has {ops} operations, more than {OPS_MAX}")]
    TooMany {
        /// Its number of operations.
        ops: usize,
    },
    /// A transaction is bigger than one may be.
    #[error("the transaction has {bytes} bytes, more than {TRANSACTION_BYTES_MAX}")]
    TooLarge {
        /// Its keys and values.
        bytes: usize,
    },
    /// A transaction names a key twice.
    #[error("the transaction names the key {key} twice")]
    Repeated {
        /// The key.
        key: Arc<str>,
    },
    /// The disk has no room. Nothing is lost; writes succeed again once there is.
    #[error("no space is left on the disk of {}", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Cause,
    },
    /// The log could not be written.
    #[error("the log {} could not be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Cause,
    },
    /// The store has shut down.
    #[error("the store is closed")]
    Closed,
}

/// Why a store could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another store in this one) has it open.
    #[error("{} is in use by another process: stop that one, or choose another data directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be reached, read or written.
    #[error("{} cannot be opened: check that its directory exists and may be written", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The file is damaged, or is something else.
    #[error("{} is damaged or not a store: restore it from a copy, or move it away to start empty", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Cause,
    },
    /// A newer program wrote the file.
    #[error("{} has format {found}, this program knows up to {known}: use a newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this program reads.
        known: i64,
    },
    /// The writer thread could not be started.
    #[error("the writer thread could not be started")]
    Thread(#[source] Cause),
}
