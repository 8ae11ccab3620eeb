//! The queue of keys: each key waits at most once and is worked on by at most one worker; a key that is
//! added while it is worked on comes again afterwards. Delays and failures are kept per key. It is
//! bounded by the number of distinct keys. Keys come in the order in which they were added, or by rank where the loop
//! gives them one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use client::Key;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The first retry comes quickly: most failures are conflicts (the figure is client-go's).
const RETRY_FIRST: Duration = Duration::from_millis(5);
/// The last step of the backoff (client-go's).
const RETRY_MAX: Duration = Duration::from_secs(1000);

/// The order of what is ready: highest rank first, then oldest.
type Place = (Reverse<i64>, u64);
/// How important a key is.
type Rank = dyn Fn(&Key) -> i64 + Send + Sync;

#[derive(Default)]
struct State {
    ready: BTreeMap<Place, Key>,
    added: u64,
    /// Waiting in `ready`, or to be put there when `working` is over.
    dirty: HashSet<Key>,
    working: HashSet<Key>,
    deadlines: HashMap<Key, Instant>,
    timetable: BTreeSet<(Instant, Key)>,
    failures: HashMap<Key, u32>,
    rank: Option<Arc<Rank>>,
}

impl State {
    fn add(&mut self, key: Key) {
        if self.dirty.insert(key.clone()) && !self.working.contains(&key) {
            self.line_up(key);
        }
    }

    fn line_up(&mut self, key: Key) {
        let rank = self.rank.as_ref().map_or(0, |rank| rank(&key));
        self.added += 1;
        self.ready.insert((Reverse(rank), self.added), key);
    }

    fn add_at(&mut self, key: Key, at: Instant) {
        if let Some(sooner) = self.deadlines.get(&key) {
            if *sooner <= at {
                return;
            }
            self.timetable.remove(&(*sooner, key.clone()));
        }
        self.deadlines.insert(key.clone(), at);
        self.timetable.insert((at, key));
    }

    /// Moves what is due into `ready`; answers when the next one is.
    fn wake_due(&mut self, now: Instant) -> Option<Instant> {
        while let Some((at, key)) = self.timetable.first().cloned() {
            if at > now {
                return Some(at);
            }
            self.timetable.pop_first();
            self.deadlines.remove(&key);
            self.add(key);
        }
        None
    }

    fn take(&mut self) -> Option<Key> {
        let (_, key) = self.ready.pop_first()?;
        self.dirty.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }
}

/// How long to wait after this many failures in a row.
fn backoff(failures: u32) -> Duration {
    // 2^18 × 5 ms is past the maximum already; the cap keeps the shift in range.
    RETRY_FIRST.saturating_mul(1 << failures.min(18)).min(RETRY_MAX)
}

/// A queue of keys, shared by clones.
#[derive(Clone, Default)]
pub struct Queue(Arc<(Mutex<State>, Notify)>);

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("no code panics while holding the queue")
    }

    /// Ready keys are taken by rank from now on, the highest first, and by age within a rank. The function must not
    /// touch the queue.
    pub fn rank_by(&self, rank: impl Fn(&Key) -> i64 + Send + Sync + 'static) {
        self.state().rank = Some(Arc::new(rank));
    }

    /// Adds a key, unless it waits already.
    pub fn add(&self, key: Key) {
        self.state().add(key);
        self.0.1.notify_one();
    }

    /// Adds a key later; of several times for one key the soonest counts.
    pub fn add_after(&self, key: Key, delay: Duration) {
        self.state().add_at(key, Instant::now() + delay);
        self.0.1.notify_one();
    }

    /// Adds a key after the backoff of its failures so far, and counts one more.
    pub fn retry(&self, key: Key) -> Duration {
        let delay = {
            let mut state = self.state();
            let failures = state.failures.entry(key.clone()).or_default();
            let delay = backoff(*failures);
            *failures = failures.saturating_add(1);
            delay
        };
        self.add_after(key, delay);
        delay
    }

    /// Forgets the failures of a key.
    pub fn forget(&self, key: &Key) {
        self.state().failures.remove(key);
    }

    /// How many keys are ready and wait for a worker.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().ready.len()
    }

    /// Whether no key is ready.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key; whoever takes it says [`Queue::done`] afterwards.
    pub async fn next(&self) -> Key {
        loop {
            let notified = self.0.1.notified();
            let next_due = {
                let mut state = self.state();
                let next_due = state.wake_due(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() || next_due.is_some() {
                        // Another worker looks after the rest and the clock.
                        self.0.1.notify_one();
                    }
                    return key;
                }
                next_due
            };
            match next_due {
                Some(at) => tokio::select! {
                    () = notified => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => notified.await,
            }
        }
    }

    /// The work on a key is over; when it was added meanwhile it is ready again.
    pub fn done(&self, key: &Key) {
        let mut state = self.state();
        state.working.remove(key);
        if state.dirty.contains(key) {
            state.line_up(key.clone());
            self.0.1.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[tokio::test]
    async fn a_key_waits_once_and_is_worked_on_once() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(queue.next().await, key("a"));
        assert!(queue.is_empty());
        queue.add(key("a"));
        assert!(queue.is_empty(), "a key in work is not handed out again");
        queue.done(&key("a"));
        assert_eq!(queue.next().await, key("a"));
        queue.done(&key("a"));
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn rank_comes_before_age() {
        let queue = Queue::default();
        queue.rank_by(|key| i64::from(key.name.starts_with("vip")));
        for name in ["a", "vip-1", "b", "vip-2"] {
            queue.add(key(name));
        }
        let mut order = Vec::new();
        while !queue.is_empty() {
            order.push(queue.next().await.name);
        }
        assert_eq!(order, ["vip-1", "vip-2", "a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_soonest_of_two_delays_counts() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_after(key("a"), Duration::from_secs(50));
        queue.add_after(key("a"), Duration::from_secs(3));
        queue.add_after(key("a"), Duration::from_secs(9));
        assert_eq!(queue.next().await, key("a"));
        assert_eq!(start.elapsed().as_secs(), 3);
        queue.done(&key("a"));
        let again = tokio::time::timeout(Duration::from_secs(100), queue.next()).await;
        assert!(again.is_err(), "one delay leads to one turn");
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiting_worker_gets_a_key() {
        let queue = Queue::default();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let queue = queue.clone();
                    async move { queue.next().await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        for name in ["a", "b", "c"] {
            queue.add_after(key(name), Duration::from_millis(5));
        }
        let mut seen = BTreeSet::new();
        for worker in workers {
            seen.insert(worker.await.expect("the worker ends").name);
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn backoff_doubles_from_5_ms_to_1000_s() {
        let steps: Vec<u128> = [0, 1, 2, 10, 17, 18, 400].map(|n| backoff(n).as_millis()).to_vec();
        assert_eq!(steps, [5, 10, 20, 5120, 655_360, 1_000_000, 1_000_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn success_forgets_failures() {
        let queue = Queue::default();
        assert_eq!(queue.retry(key("a")).as_millis(), 5);
        assert_eq!(queue.retry(key("a")).as_millis(), 10);
        queue.forget(&key("a"));
        assert_eq!(queue.retry(key("a")).as_millis(), 5);
    }
}
