//! Asynchronous invocations: accepted when they are durable, run later, at least once. Each function has a queue of its
//! own (and so does not wait behind another), and while that holds something, a worker that delivers from it. Owns the
//! rules of retries, age and destinations; the queues are `managed`'s, the running is `Functions::invoke`'s.
//!
//! ```text
//!  accept ─▶ queue ─▶ worker ─▶ invoke ─┬─ answered ────────────▶ OnSuccess
//!              ▲                        ├─ failed, retries left ─┐
//!              └────────────────────────┼─ throttled, not begun ─┘
//!                                       └─ no more retries, too old ─▶ dead letters, OnFailure
//! ```

mod callee;
mod counts;
mod deliver;
mod destination;
mod event;
mod plan;
mod worker;

use destination::QueueDestination;
pub use destination::{DeliveryError, Destination, Parcel};
pub use plan::Retries;

use crate::Functions;
use crate::catalog::Function;
use crate::invocation::{Invocation, InvokeError, Outcome};
use crate::machine::Machine;
use callee::{function_of, queue_name};
use event::Event;
use managed::{Broker, Queues, SendError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The largest event of an asynchronous invocation: 1 MiB, as on AWS since 2025.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(EVENT_BYTES_MAX + event::ATTRIBUTES_BYTES_MAX <= managed::MESSAGE_BYTES_MAX);

/// How asynchronous invocations are set up.
pub struct EventConfig {
    /// Where events wait.
    pub queues: Arc<Queues>,
    /// When they are tried again.
    pub retries: Retries,
    /// What can take their results, beside functions and queues: the services that have topics, and buses and buckets one day.
    pub destinations: Vec<Arc<dyn Destination>>,
    /// The queues of SQS, which take results too.
    pub broker: Arc<Broker>,
}

impl EventConfig {
    /// For platforms that are gone with their process: nothing is written.
    pub async fn in_memory() -> EventConfig {
        let queues = Queues::in_memory(Arc::new(managed::Wall)).await;
        let broker = Broker::in_memory(Arc::new(managed::Wall)).await;
        EventConfig { queues, retries: Retries::default(), destinations: Vec::new(), broker }
    }
}

/// The part of [`Functions`] that events need.
pub(crate) struct Events {
    config: EventConfig,
    queues: QueueDestination,
    /// By name of the queue; each ends when its queue is empty.
    workers: Mutex<HashMap<Arc<str>, AbortHandle>>,
    totals: Mutex<counts::Totals>,
}

/// What waits for one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The namespace of its object.
    pub namespace: String,
    /// The name of its object.
    pub object: String,
    /// Events that wait or are being worked on.
    pub events: u64,
    /// How long the oldest of them has been there.
    pub oldest_age: Duration,
}

impl Events {
    pub(crate) fn new(config: EventConfig, machine: Arc<Machine>) -> Events {
        let queues = QueueDestination::new(config.broker.clone(), machine);
        Events { config, queues, workers: Mutex::default(), totals: Mutex::default() }
    }

    /// What takes results for this ARN.
    fn destination(&self, arn: &str) -> Option<&dyn Destination> {
        let others = self.config.destinations.iter().map(|other| &**other);
        others.chain([&self.queues as &dyn Destination]).find(|one| one.takes(arn))
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.config.broker
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, AbortHandle>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops delivering. What is being run is run again after the next start.
    pub(crate) fn close(&self) {
        self.lock().drain().for_each(|(_, worker)| worker.abort());
    }
}

impl Functions {
    /// Makes an event durable, to be run soon. The function and its version were found before.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        function: &Function,
        invocation: Invocation,
    ) -> Result<Outcome, InvokeError> {
        let definition = &function.definition;
        let name: Arc<str> = queue_name(&definition.namespace, &definition.object, &definition.uid).into();
        let queue = self.events.config.queues.queue(&name);
        let event = Event {
            request_id: invocation.request_id.to_string(),
            name: invocation.name,
            qualifier: invocation.qualifier,
            trace_id: invocation.trace_id.filter(|trace| trace.len() <= event::TRACE_BYTES_MAX),
        };
        let sent = queue.send(event.write(), invocation.payload, Duration::ZERO).await;
        sent.map_err(|error| match error {
            SendError::TooLarge(size) => InvokeError::EventTooLarge { size },
            SendError::Full(why) => InvokeError::QueueFull(why),
            SendError::Store(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an event was not accepted");
                InvokeError::NotQueued(error.to_string())
            }
        })?;
        self.events_received(&function.definition.name);
        self.work_on(&name);
        Ok(Outcome::accepted(invocation.request_id, &function.definition.version))
    }

    /// Goes on with what was queued when the platform stopped. All functions are known by now.
    pub(crate) fn resume_events(self: &Arc<Self>) {
        for (name, _) in self.events.config.queues.filled() {
            match function_of(&name) {
                Some((namespace, object, uid)) if !self.knows(namespace, object, uid) => {
                    self.drop_events(namespace, object, uid);
                }
                Some(_) => self.work_on(&name),
                None => {}
            }
        }
    }

    /// A function is gone, and with it what it was still to be called with.
    pub(crate) fn drop_events(self: &Arc<Self>, namespace: &str, object: &str, uid: &str) {
        let name = queue_name(namespace, object, uid);
        let queue = self.events.config.queues.queue(&name);
        if queue.depth().messages == 0 {
            return;
        }
        let (functions, object) = (self.clone(), object.to_owned());
        tokio::spawn(async move {
            match queue.purge().await {
                Ok(count) => {
                    tracing::info!(
                        function = object,
                        count,
                        "events of a function that is gone were dropped"
                    );
                    functions.events_dropped(&object, count);
                }
                // They are found again, and dropped, when the platform starts the next time.
                Err(error) => tracing::warn!(function = object, %error, "events could not be dropped"),
            }
        });
    }

    /// What waits, by function; only those for which something does.
    pub fn backlogs(&self) -> Vec<Backlog> {
        let queues = &self.events.config.queues;
        let now = queues.now_ms();
        let backlog = |(name, queue): (Arc<str>, Arc<managed::Queue>)| {
            let (namespace, object, _) = function_of(&name)?;
            let depth = queue.depth();
            Some(Backlog {
                namespace: namespace.to_owned(),
                object: object.to_owned(),
                events: depth.messages,
                oldest_age: Duration::from_millis(now.saturating_sub(depth.oldest_sent_ms?)),
            })
        };
        queues.filled().into_iter().filter_map(backlog).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
