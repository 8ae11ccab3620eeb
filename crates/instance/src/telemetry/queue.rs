//! What one listener still has to get: bounded, so that one that is slow costs itself records and nobody else anything.

use super::event::Event;
use super::subscription::Subscription;
use crate::logging::Format;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// How many batches wait for a slow listener before records are dropped. Lambda tells extensions to expect up to twice
/// `maxBytes`.
const BATCHES_MAX: usize = 2;

pub(super) struct Queue {
    pub(super) subscription: Subscription,
    state: Mutex<State>,
    /// Wakes the delivery.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    records: VecDeque<String>,
    bytes: usize,
    /// When the oldest came.
    since: Option<Instant>,
    dropped_records: u64,
    dropped_bytes: u64,
    flushing: bool,
}

/// What the delivery does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These records.
    Send(Vec<String>),
    /// Nothing before this, or before something changes.
    WaitUntil(Instant),
    /// Nothing before something changes.
    Wait,
}

impl Queue {
    pub(super) fn new(subscription: Subscription) -> Queue {
        Queue { subscription, state: Mutex::default(), changed: Notify::new() }
    }

    /// Takes in what this listener wants to hear.
    pub(super) fn push(&self, event: &Event, format: Format) {
        let Subscription { schema, categories, max_bytes, max_items, .. } = &self.subscription;
        if !categories.contains(&event.category()) {
            return;
        }
        let Some(record) = event.record(*schema, format) else { return };
        let mut state = self.lock();
        let full = state.records.len() >= BATCHES_MAX * max_items
            || state.bytes + record.len() > BATCHES_MAX * max_bytes;
        if full {
            state.dropped_records += 1;
            state.dropped_bytes += record.len() as u64;
            return;
        }
        state.bytes += record.len();
        let first = state.records.is_empty();
        state.since.get_or_insert_with(Instant::now);
        state.records.push_back(record);
        let due = state.flushing || state.records.len() >= *max_items || state.bytes >= *max_bytes;
        drop(state);
        if first || due {
            self.changed.notify_one();
        }
    }

    /// Nothing waits for more to come any more.
    pub(super) fn flush(&self) {
        self.lock().flushing = true;
        self.changed.notify_one();
    }

    /// These could not be delivered after all.
    pub(super) fn lost(&self, batch: &[String]) {
        let mut state = self.lock();
        state.dropped_records += batch.len() as u64;
        state.dropped_bytes += batch.iter().map(|record| record.len() as u64).sum::<u64>();
    }

    /// The next batch, when it is due.
    pub(super) fn next(&self, now: Instant) -> Next {
        let Subscription { max_bytes, max_items, timeout, schema, .. } = &self.subscription;
        let mut state = self.lock();
        let Some(since) = state.since else { return Next::Wait };
        let due = since + *timeout;
        let full = state.records.len() >= *max_items || state.bytes >= *max_bytes;
        if !full && !state.flushing && now < due {
            return Next::WaitUntil(due);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < *max_items
            && let Some(record) = state.records.front()
            && (batch.is_empty() || bytes + record.len() <= *max_bytes)
        {
            bytes += record.len();
            batch.extend(state.records.pop_front());
        }
        state.bytes -= bytes;
        state.since = (!state.records.is_empty()).then_some(now);
        if state.dropped_records > 0 {
            let (records, bytes) = (state.dropped_records, state.dropped_bytes);
            (state.dropped_records, state.dropped_bytes) = (0, 0);
            batch.extend(Event::dropped(records, bytes).record(*schema, Format::Text));
        }
        Next::Send(batch)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Category, Kind};
    use super::super::subscription::Api;
    use super::*;
    use jiff::Timestamp;

    fn queue() -> Queue {
        let document =
            br#"{"schemaVersion": "2022-07-01", "types": ["function"], "buffering": {"maxItems": 1000},
            "destination": {"protocol": "TCP", "port": 7000}}"#;
        Queue::new(Subscription::read(Api::Telemetry, document).expect("fit"))
    }

    fn line(category: Category, text: &str) -> Event {
        Event { time: Timestamp::now(), kind: Kind::Line(category, text.to_owned()) }
    }

    #[test]
    fn a_batch_is_due_after_its_time_or_when_it_is_full() {
        let queue = queue();
        assert_eq!(queue.next(Instant::now()), Next::Wait);
        queue.push(&line(Category::Extension, "not asked for"), Format::Text);
        queue.push(&line(Category::Function, "one"), Format::Text);
        assert!(matches!(queue.next(Instant::now()), Next::WaitUntil(_)));
        let later = Instant::now() + queue.subscription.timeout;
        let Next::Send(batch) = queue.next(later) else { panic!("not due") };
        assert!(batch.len() == 1 && batch[0].contains(r#""record":"one""#), "{batch:?}");
        for _ in 0..1500 {
            queue.push(&line(Category::Function, "many"), Format::Text);
        }
        assert!(matches!(queue.next(Instant::now()), Next::Send(batch) if batch.len() == 1000));
        queue.flush();
        assert!(matches!(queue.next(Instant::now()), Next::Send(batch) if batch.len() == 500));
    }

    #[test]
    fn who_falls_behind_is_told_what_was_lost() {
        let queue = queue();
        for _ in 0..2005 {
            queue.push(&line(Category::Function, "x"), Format::Text);
        }
        let Next::Send(batch) = queue.next(Instant::now()) else { panic!("not due") };
        let last = batch.last().expect("records");
        assert!(last.contains("platform.logsDropped") && last.contains(r#""droppedRecords":5"#), "{last}");
        assert_eq!(batch.len(), 1001);
    }
}
