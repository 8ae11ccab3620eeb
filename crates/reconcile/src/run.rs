//! The loop itself: changes of caches become keys, workers take keys to a reconciler, and what fails,
//! panics included, is counted and tried again later.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::{Cache, Change, Follow, Key};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::queue::Queue;

/// Why a reconcile failed; the loop tries again.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<dyn std::error::Error + Send + Sync>);

impl Error {
    /// An error of any kind.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error(error.into())
    }
}

impl From<client::kube::Error> for Error {
    fn from(error: client::kube::Error) -> Error {
        Error(Box::new(error))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        Error(Box::new(error))
    }
}

/// `Some(delay)` asks for another turn after that time.
pub type Outcome = Result<Option<Duration>, Error>;

/// Brings the world of one key to its desired state.
pub trait Reconciler: Send + Sync + 'static {
    /// Compares and acts. It is called for one key at most once at a time.
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome>;
}

/// What a loop did so far.
#[derive(Debug, Default)]
pub struct Stats {
    /// Turns taken.
    pub turns: AtomicU64,
    /// Turns that ended in an error.
    pub errors: AtomicU64,
    /// Turns that panicked.
    pub panics: AtomicU64,
}

type MapFn = Box<dyn Fn(&Change) -> Vec<Key> + Send + Sync>;

/// A reconciler with its queue, its workers and the caches that feed it.
pub struct Loop {
    name: &'static str,
    reconciler: Arc<dyn Reconciler>,
    concurrency: usize,
    queue: Queue,
    stats: Arc<Stats>,
    sources: Vec<(Cache, MapFn)>,
    follows: Vec<(Follow, MapFn)>,
    needed: Vec<Cache>,
    resync: Option<Duration>,
}

impl Loop {
    /// A loop with so many workers; nothing runs before [`Loop::run`].
    #[must_use]
    pub fn new(name: &'static str, reconciler: Arc<dyn Reconciler>, concurrency: usize) -> Loop {
        Loop {
            name,
            reconciler,
            concurrency: concurrency.max(1),
            queue: Queue::default(),
            stats: Arc::default(),
            sources: Vec::new(),
            follows: Vec::new(),
            needed: Vec::new(),
            resync: None,
        }
    }

    /// Uses this queue, so that the reconciler can hold a clone of it.
    #[must_use]
    pub fn with_queue(mut self, queue: Queue) -> Loop {
        self.queue = queue;
        self
    }

    /// Turns every change of a cache into the keys that it concerns.
    #[must_use]
    pub fn watch(mut self, cache: &Cache, map: impl Fn(&Change) -> Vec<Key> + Send + Sync + 'static) -> Loop {
        self.sources.push((cache.clone(), Box::new(map)));
        self
    }

    /// Turns every change of a resource into the keys that it concerns. They are mapped from the first on, also before the
    /// first turn, so that the objects of the first list need not wait in memory.
    #[must_use]
    pub fn follow(
        mut self,
        follow: Follow,
        map: impl Fn(&Change) -> Vec<Key> + Send + Sync + 'static,
    ) -> Loop {
        self.follows.push((follow, Box::new(map)));
        self
    }

    /// Turns every change of a cache into the key of the changed object.
    #[must_use]
    pub fn watch_own(self, cache: &Cache) -> Loop {
        self.watch(cache, |change| vec![change.key.clone()])
    }

    /// Waits for this cache too before the first turn.
    #[must_use]
    pub fn after(mut self, cache: &Cache) -> Loop {
        self.needed.push(cache.clone());
        self
    }

    /// Gives every key of the first watched cache a turn at this interval. Off unless asked for: an idle
    /// platform does nothing.
    #[must_use]
    pub fn resync(mut self, every: Duration) -> Loop {
        self.resync = Some(every);
        self
    }

    /// The queue, to add keys from elsewhere.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// The counters, which stay readable while the loop runs.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }

    /// Runs until `shutdown`; turns that have begun are finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut listed = Vec::new();
        for (follow, map) in self.follows {
            listed.push(follow.synced());
            tasks.spawn(feed(follow, map, self.queue.clone(), shutdown.clone()));
        }
        let caches = self.sources.iter().map(|(cache, _)| cache).chain(&self.needed);
        let synced = futures::future::join_all(caches.map(Cache::synced));
        tokio::select! {
            _ = futures::future::join(synced, futures::future::join_all(listed)) => {}
            () = shutdown.cancelled() => return,
        }
        if let (Some(every), Some((cache, _))) = (self.resync, self.sources.first()) {
            tasks.spawn(resync(cache.clone(), self.queue.clone(), every, shutdown.clone()));
        }
        for (cache, map) in self.sources {
            let changes = Follow::of(cache);
            tasks.spawn(feed(changes, map, self.queue.clone(), shutdown.clone()));
        }
        for _ in 0..self.concurrency {
            let worker = Worker {
                name: self.name,
                reconciler: self.reconciler.clone(),
                queue: self.queue.clone(),
                stats: self.stats.clone(),
            };
            tasks.spawn(worker.run(shutdown.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

async fn feed(mut changes: Follow, map: MapFn, queue: Queue, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(change) => map(&change).into_iter().for_each(|key| queue.add(key)),
                None => return,
            },
            () = shutdown.cancelled() => return,
        }
    }
}

async fn resync(cache: Cache, queue: Queue, every: Duration, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => cache.keys().into_iter().for_each(|key| queue.add(key)),
            () = shutdown.cancelled() => return,
        }
    }
}

struct Worker {
    name: &'static str,
    reconciler: Arc<dyn Reconciler>,
    queue: Queue,
    stats: Arc<Stats>,
}

impl Worker {
    async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                key = self.queue.next() => self.turn(key).await,
            }
        }
    }

    async fn turn(&self, key: Key) {
        self.stats.turns.fetch_add(1, Ordering::Relaxed);
        // The call itself may panic too, before there is a future.
        let turn = async { self.reconciler.reconcile(key.clone()).await };
        match AssertUnwindSafe(turn).catch_unwind().await {
            Ok(Ok(again)) => {
                self.queue.forget(&key);
                if let Some(delay) = again {
                    self.queue.add_after(key.clone(), delay);
                }
            }
            Ok(Err(error)) => {
                self.stats.errors.fetch_add(1, Ordering::Relaxed);
                let delay = self.queue.retry(key.clone());
                tracing::debug!(loop_name = self.name, %key, %error, ?delay, "failed and will be tried again");
            }
            Err(_panic) => {
                self.stats.panics.fetch_add(1, Ordering::Relaxed);
                let delay = self.queue.retry(key.clone());
                tracing::error!(loop_name = self.name, %key, ?delay, "panicked and will be tried again");
            }
        }
        self.queue.done(&key);
    }
}

#[cfg(test)]
mod tests;
