//! Revisioned keys: get, list by prefix, transaction, watch, compaction. Knows bytes, not kinds.
//!
//! ```text
//!   commit ─▶ queue ─▶ writer thread ─▶ log (memory | SQLite)     durable, one group per sync
//!                          │
//!                          ├─▶ index    current values + history   get, list, list at a revision
//!                          └─▶ hub ─▶ watches                      every change once, in order
//! ```
//!
//! Every read is answered from the index, in memory; the log is read once, at start. Both stores share all
//! of it but the log, and one conformance suite (`tests/store/conformance.rs`) runs on each.
//! Called by `apiserver` and `managed`; a store that keeps its data elsewhere implements [`Store`] beside these.
#![deny(missing_docs)]

mod entry;
mod error;
mod hub;
mod index;
mod kept;
mod log;
mod sqlite;
mod transaction;
mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;

pub use entry::{Entry, Page, Range, Revision};
pub use error::{Error, OpenError};
pub use transaction::{Change, Expect, OPS_MAX, Op, TRANSACTION_BYTES_MAX};
pub use watch::Watch;

/// Revisioned keys. One revision counter for the whole store; it only grows, also across crashes.
pub trait Store: Send + Sync + 'static {
    /// The current entry of `key`.
    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, Error>>;

    /// Entries under a prefix in key order, now or as they were at an earlier revision.
    fn list(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>>;

    /// Applies all operations or none. They get one revision, which is returned once it is durable and visible
    /// to every read. A transaction that changes nothing takes no revision and returns the current one.
    /// Dropping the future does not take the transaction back.
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Revision, Error>>;

    /// Changes under `prefix` with a revision greater than `from`: in order, without loss. A watcher that is
    /// too slow is closed with [`Error::Lagged`] and may resume from the last revision that it saw.
    fn watch(&self, prefix: &str, from: Revision) -> Result<Watch, Error>;

    /// Forgets history: afterwards, lists at and watches from a revision below `before` get
    /// [`Error::Compacted`]. Current entries are never touched.
    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), Error>>;

    /// The revision of the last durable change; 0 in an empty store.
    fn revision(&self) -> Revision;
}

/// A store that forgets everything when it is dropped.
pub fn memory() -> Arc<dyn Store> {
    Arc::new(kept::Kept::open(log::Memory).expect("a log in memory has nothing to fail on"))
}

/// A durable store in one SQLite file, made if it is not there. A file belongs to one store at a time.
pub fn sqlite(path: &Path) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(kept::Kept::open(sqlite::Sqlite::open(path)?)?))
}
