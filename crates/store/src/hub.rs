//! Who watches. The writer publishes each durable revision here; a watch registers itself and leaves again.
//! Never blocks on a slow watcher: it closes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::mpsc;

use crate::index::{Changes, under};
use crate::{Error, Revision};

/// Revisions that wait for one watcher. Beyond it the watcher is closed: two seconds of the heaviest write load. There is no
/// bound of their bytes beside it: the values are the index's and history's own, the API server's one watch is read by a task
/// that only parses, and every write waits until that has seen it, so that no more wait than there are writes in flight.
pub(crate) const WATCH_QUEUE_LEN_MAX: usize = 1 << 14;

/// Open watches. Each costs a prefix comparison per change, so this also bounds the time that a write takes.
pub(crate) const WATCHES_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Hub {
    watchers: Mutex<Watchers>,
    published: AtomicU64,
}

#[derive(Default)]
struct Watchers {
    next: u64,
    open: BTreeMap<u64, Watcher>,
    closed: bool,
}

struct Watcher {
    prefix: Arc<str>,
    /// Revisions up to this one came from the index; they may still be on their way here.
    after: Revision,
    queue: mpsc::Sender<Changes>,
    end: Arc<OnceLock<Error>>,
}

/// The receiving end of a registration.
pub(crate) struct Seat {
    pub id: u64,
    pub queue: mpsc::Receiver<Changes>,
    /// Why the queue ended, set before it ends.
    pub end: Arc<OnceLock<Error>>,
}

impl Hub {
    /// `after`: the revision up to which the caller has read the index, and holds it still.
    pub(crate) fn register(&self, prefix: Arc<str>, after: Revision) -> Result<Seat, Error> {
        let mut watchers = self.lock();
        if watchers.closed {
            return Err(Error::Closed);
        }
        if watchers.open.len() >= WATCHES_MAX {
            return Err(Error::TooManyWatches { max: WATCHES_MAX });
        }
        let (sender, queue) = mpsc::channel(WATCH_QUEUE_LEN_MAX);
        let end = Arc::new(OnceLock::new());
        let id = watchers.next;
        watchers.next += 1;
        watchers.open.insert(id, Watcher { prefix, after, queue: sender, end: end.clone() });
        Ok(Seat { id, queue, end })
    }

    pub(crate) fn leave(&self, id: u64) {
        self.lock().open.remove(&id);
    }

    /// Hands revisions to whoever watches them. Only the writer calls this, in order.
    pub(crate) fn publish(&self, revisions: &[Changes]) {
        let Some(last) = revisions.last() else { return };
        let mut watchers = self.lock();
        watchers.open.retain(|_, watcher| revisions.iter().all(|changes| watcher.take(changes)));
        self.published.store(last[0].revision, Ordering::Release);
    }

    /// The last revision that every watcher has in its queue.
    pub(crate) fn published(&self) -> Revision {
        self.published.load(Ordering::Acquire)
    }

    pub(crate) fn start_at(&self, revision: Revision) {
        self.published.store(revision, Ordering::Release);
    }

    pub(crate) fn close(&self) {
        let mut watchers = self.lock();
        watchers.closed = true;
        for watcher in std::mem::take(&mut watchers.open).into_values() {
            let _ = watcher.end.set(Error::Closed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Whether the watcher stays.
    fn take(&self, changes: &Changes) -> bool {
        if changes[0].revision <= self.after {
            return true;
        }
        let Some(changes) = under(&self.prefix, changes) else { return true };
        match self.queue.try_send(changes) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                let _ = self.end.set(Error::Lagged);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}
