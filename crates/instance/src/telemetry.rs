//! What extensions hear of their instance: the Telemetry API (2022-07-01) and the older Logs API (2020-08-15). Owns who
//! listens and what each still has to get; nothing here waits, and an instance to which nobody listens pays one look at a
//! flag. The records are `telemetry::event`, subscriptions `telemetry::subscription`, the way out `telemetry::deliver`.

mod deliver;
mod event;
mod queue;
mod subscription;

pub(crate) use event::{Category, Event, InvocationDone, Kind};
pub(crate) use subscription::{Api, Unfit};

use crate::logging::Format;
use crate::sandboxes::Sandbox;
use deliver::Delivery;
use jiff::Timestamp;
use queue::Queue;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subscription::Subscription;
use tokio::task::JoinHandle;

/// Events from before the first subscription that are kept for it: a start has some ten, and what is printed meanwhile.
const EARLY_MAX: usize = 1000;

/// Why an extension cannot subscribe.
pub(crate) enum Refused {
    /// The start is over.
    Closed,
    /// The document is wrong; what about it.
    Unfit(Unfit),
    /// The instance listens to the other API already.
    OtherApi,
}

pub(crate) struct Telemetry {
    /// Somebody listens, or may come to.
    heard: AtomicBool,
    format: Format,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    closed: bool,
    api: Option<Api>,
    /// What happened before anybody listened, where an extension may come to.
    early: Vec<Event>,
    listeners: HashMap<String, Listener>,
}

struct Listener {
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Telemetry {
    /// With `expected`, extensions are about to start that may want to hear what happened before.
    pub(crate) fn new(format: Format, expected: bool) -> Telemetry {
        Telemetry { heard: AtomicBool::new(expected), format, inner: Mutex::default() }
    }

    /// Whether what happens is worth being told.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    /// Something has happened.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.is_heard() {
            self.pass_on(vec![event()]);
        }
    }

    /// Lines were printed.
    pub(crate) fn lines(&self, category: Category, lines: &[&[u8]]) {
        if !self.is_heard() || lines.is_empty() {
            return;
        }
        let time = Timestamp::now();
        let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        self.pass_on(
            lines.iter().map(|line| Event { time, kind: Kind::Line(category, text(line)) }).collect(),
        );
    }

    fn pass_on(&self, events: Vec<Event>) {
        let mut inner = self.lock();
        for listener in inner.listeners.values() {
            events.iter().for_each(|event| listener.queue.push(event, self.format));
        }
        // Whoever subscribes second hears the beginning too.
        if !inner.closed && inner.early.len() < EARLY_MAX {
            inner.early.extend(events);
        }
    }

    /// An extension subscribes, or changes its subscription. What it is told first is what has happened already.
    pub(crate) fn subscribe(
        &self,
        api: Api,
        extension: &str,
        document: &[u8],
        sandbox: &Arc<dyn Sandbox>,
    ) -> Result<Vec<Category>, Refused> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refused::Closed);
        }
        if inner.api.is_some_and(|other| other != api) {
            return Err(Refused::OtherApi);
        }
        let subscription = Subscription::read(api, document).map_err(Refused::Unfit)?;
        let categories = subscription.categories.clone();
        inner.api = Some(api);
        self.heard.store(true, Ordering::Release);
        let known =
            inner.listeners.get(extension).is_some_and(|known| known.queue.subscription == subscription);
        if !known {
            let queue = Arc::new(Queue::new(subscription));
            inner.early.iter().for_each(|event| queue.push(event, self.format));
            let task = tokio::spawn(Delivery::new(queue.clone(), sandbox.clone()).run());
            if let Some(old) = inner.listeners.insert(extension.to_owned(), Listener { queue, task }) {
                old.task.abort();
            }
        }
        Ok(categories)
    }

    /// The start is over: nobody subscribes any more.
    pub(crate) fn close(&self) {
        if !self.is_heard() {
            return;
        }
        let mut inner = self.lock();
        inner.closed = true;
        inner.early = Vec::new();
        if inner.listeners.is_empty() {
            self.heard.store(false, Ordering::Release);
        }
    }

    /// Everything is delivered as soon as it can be from now on: the instance ends.
    pub(crate) fn flush(&self) {
        self.lock().listeners.values().for_each(|listener| listener.queue.flush());
    }

    /// Nothing is delivered any more.
    pub(crate) fn end(&self) {
        let listeners = std::mem::take(&mut self.lock().listeners);
        listeners.into_values().for_each(|listener| listener.task.abort());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
