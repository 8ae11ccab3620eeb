//! Event sources: queues whose messages a function gets in batches. Each enabled mapping has a poller, which waits for its
//! queue and costs nothing while that is empty. Owns the rules of batches, filters and failures; the queues are `managed`'s,
//! the running is `Functions::invoke`'s.
//!
//! ```text
//!  EventSourceMapping (watched) ─▶ poller ─▶ collect ─▶ filter ─▶ invoke ─┬─ answered: deleted
//!                                    ▲  the queue has a message           └─ failed: visible again in its time
//! ```

mod batch;
mod collect;
mod mapping;
mod poller;
mod record;
mod report;

use crate::Functions;
use client::Key;
use mapping::Mapping;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The pollers of this machine.
#[derive(Default)]
pub(crate) struct Sources {
    running: Mutex<HashMap<Key, Running>>,
}

struct Running {
    mapping: Arc<Mapping>,
    /// Dropped to end the poller when its batches are done.
    _stop: Option<oneshot::Sender<()>>,
}

/// Whether events could be filtered by this pattern; says why not otherwise.
pub fn check_filter(pattern: &str) -> Result<(), String> {
    managed::Pattern::read(pattern).map(drop)
}

impl Sources {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No poller takes anything more.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    /// A mapping is gone.
    pub(crate) fn remove(&self, key: &Key) {
        self.lock().remove(key);
    }
}

impl Functions {
    /// Takes in a new or changed mapping. Batches under way end as they began.
    pub(crate) fn put_mapping(self: &Arc<Self>, key: &Key, mapping: Mapping) {
        let mut running = self.sources.lock();
        if running.get(key).is_some_and(|known| *known.mapping == mapping) {
            return;
        }
        let mapping = Arc::new(mapping);
        let stop = mapping.enabled.then(|| {
            let (stop, stopped) = oneshot::channel();
            tokio::spawn(poller::poll(Arc::downgrade(self), mapping.clone(), stopped));
            stop
        });
        running.insert(key.clone(), Running { mapping, _stop: stop });
    }
}

/// Reads an `EventSourceMapping` object.
pub(crate) fn read(object: &serde_json::Value) -> Result<Mapping, String> {
    Mapping::read(object)
}

#[cfg(test)]
mod tests;
