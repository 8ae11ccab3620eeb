//! What every verb needs: the cache to read, the store to write, and the counters. Owns the one way of a write:
//! commit, then wait until the cache has seen it.

use crate::{
    cache::Cache, call::Target, config::Config, metrics::Metrics, rbac::Rbac, token::Tokens, turns::Turns,
};
use object::Status;
use std::sync::Arc;
use store::{Op, Revision, Store};

pub(crate) struct Api {
    pub(crate) cache: Arc<Cache>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) tokens: Tokens,
    pub(crate) rbac: Rbac,
    pub(crate) metrics: Metrics,
    /// Held while a Service gets its addresses: two at once must not choose the same.
    pub(crate) addresses: tokio::sync::Mutex<()>,
    /// Held while an object is revised.
    pub(crate) turns: Turns,
}

/// Why a commit did not happen.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The object is not as expected; `current` is the revision that it has, `None` when it is gone.
    Conflict { current: Option<Revision> },
    /// Anything else, as the client will see it.
    Failed(Status),
}

impl Api {
    /// Writes one operation. Once it returns, every read sees it.
    pub(crate) async fn commit(&self, op: Op) -> Result<Revision, Lost> {
        let committed = self.store.commit(vec![op]).await;
        let revision = committed.map_err(|error| match error {
            store::Error::Conflict { current, .. } => {
                Lost::Conflict { current: current.map(|entry| entry.modified) }
            }
            error => Lost::Failed(failed(&error)),
        })?;
        if self.cache.wait(revision).await { Ok(revision) } else { Err(Lost::Failed(closed())) }
    }

    /// After a conflict: waits until the cache has seen what the write collided with.
    pub(crate) async fn catch_up(&self, current: Option<Revision>) -> Result<(), Status> {
        let revision = current.unwrap_or_else(|| self.store.revision());
        if self.cache.wait(revision).await { Ok(()) } else { Err(closed()) }
    }
}

impl Lost {
    /// The answer to a write that is not tried again.
    pub(crate) fn into_status(self, target: &Target) -> Status {
        match self {
            Lost::Conflict { .. } => target.modified(),
            Lost::Failed(status) => status,
        }
    }
}

fn closed() -> Status {
    Status::unavailable("the API server is shutting down")
}

fn failed(error: &store::Error) -> Status {
    match error {
        store::Error::Closed => closed(),
        store::Error::TooLarge { .. } => Status::too_large(format!("the object is too large: {error}")),
        store::Error::Full { .. } => {
            Status::failure(507, "InsufficientStorage", format!("the object could not be stored: {error}"))
        }
        _ => Status::internal(format!("the object could not be stored: {error}")),
    }
}
