//! What an autoscaler recommended and did before: kept in memory, as upstream keeps it, so that after a restart it
//! begins with the size that it finds.

use std::time::Duration;

use object::time::Timestamp;

/// The longest window of the past that a behavior may look at (the API refuses longer ones).
const WINDOW_MAX: Duration = Duration::from_secs(3600);
/// One a second for the longest window; a turn takes place every 15 seconds and when the autoscaler is changed.
const ENTRIES_MAX: usize = 3600;

/// A number of pods at a time.
pub(super) type Entry = (Timestamp, i64);

/// The past of one autoscaler.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    recommendations: Vec<Entry>,
    /// How many pods were added.
    added: Vec<Entry>,
    /// How many pods were taken away.
    removed: Vec<Entry>,
}

impl History {
    /// What the metrics asked for, before any limit; the first size that is found counts as asked for too.
    pub(super) fn recommended(&mut self, replicas: i64, now: Timestamp) {
        keep(&mut self.recommendations, (now, replicas));
    }

    pub(super) fn scaled(&mut self, from: i64, to: i64, now: Timestamp) {
        let list = if to > from { &mut self.added } else { &mut self.removed };
        keep(list, (now, (to - from).abs()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.recommendations.is_empty()
    }

    /// The recommendations that are no older than this.
    pub(super) fn recommendations(&self, window: Duration, now: Timestamp) -> impl Iterator<Item = i64> {
        within(&self.recommendations, window, now)
    }

    /// How many pods there were at the beginning of the period, if there are `current` now.
    pub(super) fn replicas_before(&self, period: Duration, current: i64, now: Timestamp) -> i64 {
        let sum = |list| within(list, period, now).sum::<i64>();
        current - sum(&self.added) + sum(&self.removed)
    }
}

fn within(list: &[Entry], window: Duration, now: Timestamp) -> impl Iterator<Item = i64> {
    let is_recent = move |at: &Timestamp| now.duration_since(*at).unsigned_abs() < window;
    list.iter().filter(move |(at, _)| is_recent(at)).map(|(_, count)| *count)
}

fn keep(list: &mut Vec<Entry>, entry: Entry) {
    list.retain(|(at, _)| entry.0.duration_since(*at).unsigned_abs() < WINDOW_MAX);
    if list.len() == ENTRIES_MAX {
        list.remove(0);
    }
    list.push(entry);
}
