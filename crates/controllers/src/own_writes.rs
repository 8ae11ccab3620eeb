//! What a controller wrote and its cache does not show yet. A controller that decides by counting waits
//! for its own writes, so that a cache that lags never leads to one object too many.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use client::{Cache, Key};

/// Longer than any cache lags; after it the world is looked at as it seems (the figure is upstream's).
const PATIENCE: Duration = Duration::from_secs(300);

/// Per key, the newest version that this controller wrote on its behalf.
#[derive(Default)]
pub(crate) struct OwnWrites(Mutex<HashMap<Key, (u64, Instant)>>);

impl OwnWrites {
    /// Remembers a write that the API answered with this version.
    pub(crate) fn wrote(&self, key: &Key, revision: u64) {
        let mut writes = self.0.lock().expect("nothing panics while holding it");
        let entry = writes.entry(key.clone()).or_insert((0, Instant::now()));
        *entry = (entry.0.max(revision), Instant::now());
    }

    /// Whether the cache shows everything that was written for this key.
    pub(crate) fn are_shown_by(&self, cache: &Cache, key: &Key) -> bool {
        let mut writes = self.0.lock().expect("nothing panics while holding it");
        match writes.get(key) {
            Some((revision, at)) if cache.revision() < *revision && at.elapsed() < PATIENCE => false,
            Some(_) => {
                writes.remove(key);
                true
            }
            None => true,
        }
    }

    /// How long to wait at most before looking again.
    pub(crate) fn patience() -> Duration {
        PATIENCE
    }
}
