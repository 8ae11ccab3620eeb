//! One try of one event: whether it is tried, the run, and what is written down about it afterwards. An event leaves its
//! queue only when all of that is done, so a crash in between means that some of it happens again.

use super::callee::namespace_of;
use super::destination::{DeliveryError, Parcel, dead_letter, record};
use super::event::{Event, Progress};
use super::plan::{Condition, Step, Try, backoff, plan_next, plan_try};
use crate::Functions;
use crate::catalog::EventRules;
use crate::definition::EventInvoke;
use crate::invocation::{Invocation, InvocationKind, InvokeError, Outcome};
use crate::trace::{lineage, pass_on};
use managed::{Message, Queue, QueueError};
use std::sync::Arc;
use std::time::Duration;

/// What the worker is to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The function had no room, or the machine could not start it.
    Refused,
    /// Anything else.
    Settled,
}

/// An event that is being worked on.
struct Delivery {
    functions: Arc<Functions>,
    queue: Arc<Queue>,
    message: Message,
    event: Event,
    /// How often the function has run, this time included.
    runs: u32,
}

pub(super) async fn deliver(functions: Arc<Functions>, queue: Arc<Queue>, message: Message) -> Delivered {
    let Some(event) = Event::read(&message.attributes) else {
        tracing::error!("an event cannot be read and is dropped");
        delete(&functions, &queue, &message).await;
        return Delivered::Settled;
    };
    let runs = Progress::read(&message.note).runs;
    Delivery { functions, queue, message, event, runs }.run().await
}

impl Delivery {
    async fn run(mut self) -> Delivered {
        let Some(rules) = self.functions.rules(&self.event, &self.queue) else { return self.lost().await };
        self.functions.event_age(&self.event.name, self.age());
        if let Some(condition) = plan_try(&rules.event_invoke, rules.reserved_concurrency, self.age()) {
            self.end(&rules, condition, None).await;
            return Delivered::Settled;
        }
        let answer = self.functions.invoke_as(self.invocation(), false).await;
        let refusals = self.message.receive_count.saturating_sub(self.runs + 1);
        let tried = match &answer {
            Ok(outcome) if outcome.error.is_none() => Try::Answered,
            Ok(_) => Try::Failed,
            Err(InvokeError::Recursive) => Try::Loop,
            Err(InvokeError::NotFound(_)) => return self.lost().await,
            Err(error) => {
                tracing::debug!(function = self.event.name, %error, "an event waits");
                Try::Refused
            }
        };
        self.runs += u32::from(answer.is_ok());
        let retries = self.functions.events.config.retries.clone();
        match plan_next(tried, self.runs, refusals, self.age(), &rules.event_invoke, &retries) {
            Step::End(condition) => {
                self.end(&rules, condition, answer.as_ref().ok()).await;
                Delivered::Settled
            }
            Step::Again(wait) => {
                self.again(wait).await;
                Delivered::Settled
            }
            Step::Wait(wait) => {
                // Only a lapsed receipt can fail, and then somebody else has the event.
                self.queue.release(self.message.receipt, wait).ok();
                Delivered::Refused
            }
        }
    }

    /// What the event was sent to is gone.
    async fn lost(&self) -> Delivered {
        tracing::info!(
            function = self.event.name,
            "an event for a function or version that is gone was dropped"
        );
        self.functions.events_dropped(&self.event.name, 1);
        delete(&self.functions, &self.queue, &self.message).await;
        Delivered::Settled
    }

    fn invocation(&self) -> Invocation {
        Invocation {
            request_id: self.event.request_id.as_str().into(),
            // Queues are named by the functions that they belong to.
            namespace: namespace_of(&self.queue).to_owned(),
            name: self.event.name.clone(),
            qualifier: self.event.qualifier.clone(),
            kind: InvocationKind::RequestResponse,
            payload: self.message.body.clone(),
            client_context: None,
            trace_id: self.event.trace_id.clone(),
            log_tail: false,
        }
    }

    fn age(&self) -> Duration {
        let now = self.functions.events.config.queues.now_ms();
        Duration::from_millis(now.saturating_sub(self.message.sent_ms))
    }

    /// Writes down that the function has failed; until that is durable the event stays where it is.
    async fn again(&self, wait: Duration) {
        let note = Progress { runs: self.runs }.write();
        let retries = &self.functions.events.config.retries;
        for tries in 0.. {
            match self.queue.defer(self.message.receipt, wait, note.clone()).await {
                Ok(()) | Err(QueueError::Stale) => return,
                Err(error) => tracing::warn!(%error, "a retry could not be written down yet"),
            }
            tokio::time::sleep(backoff(tries, retries)).await;
        }
    }

    /// Tells the destinations, then forgets the event.
    async fn end(&self, rules: &EventRules, why: Condition, outcome: Option<&Outcome>) {
        let settings = &rules.event_invoke;
        let target = match why {
            Condition::Success => &settings.on_success,
            _ => {
                self.functions.events_dropped(&self.event.name, 1);
                if let Some(arn) = &rules.dead_letter_arn {
                    let letter = dead_letter(&self.event, why, &self.message.body, outcome);
                    if !self.send(settings, arn, letter).await {
                        self.functions.dead_letter_failed(&self.event.name);
                    }
                }
                &settings.on_failure
            }
        };
        if let Some(arn) = target {
            let own = self.functions.machine.qualified_arn(&self.event.name, self.event.qualifier.as_deref());
            let body = record(&self.event, &own, why, self.runs, &self.message.body, outcome);
            // With this run counted, so that destinations that lead back to the function are a loop like any other.
            let of_all = lineage(&self.functions.machine.function_arn(&self.event.name));
            let trace_id = pass_on(self.event.trace_id.as_deref(), &of_all, false, false).ok();
            let parcel = Parcel { body, attributes: Vec::new(), trace_id };
            if !self.send(settings, arn, parcel).await {
                self.functions.destination_failed(&self.event.name);
            }
        }
        delete(&self.functions, &self.queue, &self.message).await;
    }

    /// Tries until the event is too old; false when the destination does not get it.
    async fn send(&self, settings: &EventInvoke, arn: &str, parcel: Parcel) -> bool {
        let name = &self.event.name;
        for tries in 0.. {
            match self.functions.deliver_to(namespace_of(&self.queue), arn, parcel.clone()).await {
                Ok(()) => return true,
                Err(DeliveryError::Later(why)) if self.age() <= settings.max_age => {
                    tracing::warn!(function = name, arn, why, "a destination cannot take a record yet");
                    tokio::time::sleep(backoff(tries, &self.functions.events.config.retries)).await;
                }
                Err(DeliveryError::Later(why) | DeliveryError::Refused(why)) => {
                    tracing::warn!(function = name, arn, why, "a destination did not take a record");
                    return false;
                }
            }
        }
        false
    }
}

/// Until the store takes it, for instance because the disk is full, the event stays, and is not run again meanwhile.
async fn delete(functions: &Functions, queue: &Arc<Queue>, message: &Message) {
    for tries in 0.. {
        match queue.delete(message.receipt).await {
            Ok(()) | Err(QueueError::Stale) => return,
            Err(error) => tracing::warn!(%error, "the end of an event could not be written down yet"),
        }
        tokio::time::sleep(backoff(tries, &functions.events.config.retries)).await;
    }
}
