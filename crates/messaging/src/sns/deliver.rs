//! What waits is delivered: one worker for each subscription for which something does, which ends with its queue. A message leaves
//! the queue when it was delivered, or given up and with the dead letters; a crash in between delivers it again.

use super::envelope::{self, Notice};
use super::{SERVICE, http};
use crate::Messaging;
use crate::sqs::message_attributes::ATTRIBUTES_MAX;
use crate::sqs::told;
use managed::{Letter, Message, Queue, QueueError, Subscription};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::{Source, Undelivered};

/// Deliveries of one subscription, and of all, that run at the same time.
const AT_ONCE: usize = 16;
const AT_ONCE_OF_ALL: usize = 128;

/// How long a message is out of sight while it is delivered: longer than anybody may take ([`http`]), and to wait for a turn.
const HIDDEN: Duration = Duration::from_secs(900);

/// http and https, unless a policy says otherwise: three retries, 20 seconds apart.
const HTTP_RETRIES: u32 = 3;
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Queues and functions: over 23 days.
const AGE_MAX: Duration = Duration::from_secs(23 * 24 * 3600);

/// Who delivers what waits.
pub(crate) struct Deliveries {
    /// By name of the queue.
    workers: Mutex<HashSet<String>>,
    turns: Semaphore,
    pub(super) outside: http::Outside,
}

impl Default for Deliveries {
    fn default() -> Deliveries {
        let turns = Semaphore::new(AT_ONCE_OF_ALL);
        Deliveries { workers: Mutex::default(), turns, outside: http::Outside::default() }
    }
}

impl Messaging {
    /// Goes on with what waited when the platform stopped.
    pub fn resume(&self) {
        self.config.topics.filled().iter().for_each(|queue| self.work_on(queue));
    }

    /// Makes sure that somebody delivers from this queue.
    pub(super) fn work_on(&self, queue: &Arc<Queue>) {
        let mut workers = self.deliveries.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.insert(queue.name().to_owned()) {
            tokio::spawn(work(self.this.clone(), queue.clone()));
        }
    }

    /// Ends the worker of an empty queue. Senders look for a worker after they have sent, under the same lock.
    fn leave(&self, queue: &Queue) -> bool {
        let mut workers = self.deliveries.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = queue.depth().messages == 0;
        if empty {
            workers.remove(queue.name());
        }
        empty
    }
}

async fn work(messaging: Weak<Messaging>, queue: Arc<Queue>) {
    let mut running = JoinSet::new();
    loop {
        // Nothing is held while waiting.
        match messaging.upgrade() {
            Some(here) if running.is_empty() && here.leave(&queue) => return,
            Some(_) => {}
            None => return,
        }
        tokio::select! {
            Some(_) = running.join_next(), if !running.is_empty() => {}
            () = queue.due(), if running.len() < AT_ONCE => {
                let Some(here) = messaging.upgrade() else { return };
                if let Some(message) = queue.receive(HIDDEN).await {
                    let queue = queue.clone();
                    running.spawn(async move { one(&here, &queue, &message).await });
                }
            }
            // A subscription that ends takes what waits with it.
            () = tokio::time::sleep(WAIT_MAX) => {}
        }
    }
}

async fn one(messaging: &Messaging, queue: &Arc<Queue>, message: &Message) {
    let _turn = messaging.deliveries.turns.acquire().await;
    let (found, notice) = (messaging.config.topics.subscriber(queue.name()), read(message));
    let (Some((topic, one)), Some((notice, text))) = (found, notice) else {
        return end(queue, message).await;
    };
    // Who has confirmed need not be asked again.
    if notice.token.is_some() && notice.token != one.token {
        return end(queue, message).await;
    }
    let runs = note(&message.note) + 1;
    let why = match attempt(messaging, &topic, &one, &notice, &text).await {
        Ok(()) => return end(queue, message).await,
        Err(Undelivered::Later(why)) => {
            let age_ms = messaging.config.topics.now_ms().saturating_sub(notice.published_ms);
            if let Some(wait) = plan(&one.protocol, runs, Duration::from_millis(age_ms)) {
                tracing::debug!(
                    topic,
                    endpoint = one.endpoint,
                    why,
                    "a message of a topic is not delivered yet"
                );
                return again(queue, message, wait, runs).await;
            }
            why
        }
        Err(Undelivered::Never(why)) => why,
    };
    match give_up(messaging, &topic, &one, &notice, &text, &why).await {
        Ok(()) => end(queue, message).await,
        Err(()) => again(queue, message, WAIT_MAX, runs).await,
    }
}

fn read(message: &Message) -> Option<(Notice, String)> {
    let notice = serde_json::from_slice(&message.attributes).ok()?;
    Some((notice, String::from_utf8(message.body.to_vec()).ok()?))
}

/// How often it was tried.
fn note(bytes: &[u8]) -> u32 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// How long to wait for the next try, if there is one.
fn plan(protocol: &str, runs: u32, age: Duration) -> Option<Duration> {
    if protocol.starts_with("http") {
        return (runs <= HTTP_RETRIES).then_some(WAIT_MAX);
    }
    (age < AGE_MAX).then(|| WAIT_MAX.min(Duration::from_secs(1 << (runs - 1).min(5))))
}

async fn end(queue: &Arc<Queue>, message: &Message) {
    if let Err(error @ QueueError::Store(_)) = queue.delete(message.receipt).await {
        tracing::warn!(%error, "a message of a topic may be delivered again");
    }
}

async fn again(queue: &Arc<Queue>, message: &Message, wait: Duration, runs: u32) {
    if let Err(error @ QueueError::Store(_)) =
        queue.defer(message.receipt, wait, runs.to_string().into()).await
    {
        tracing::warn!(%error, "a retry could not be written down");
        queue.release(message.receipt, wait).ok();
    }
}

/// Delivers a message once.
pub(super) async fn attempt(
    messaging: &Messaging,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    text: &str,
) -> Result<(), Undelivered> {
    match one.protocol.as_str() {
        "sqs" => put(messaging, &one.endpoint, topic, one, notice, text).await,
        "lambda" => {
            let body = envelope::event(messaging, topic, one, notice, text);
            let arn = messaging.topic_arn(topic);
            let source = Source { service: SERVICE, arn: &arn, trace: notice.trace.as_deref() };
            messaging.targets.send(&one.endpoint, source, body).await
        }
        _ => {
            http::post(messaging, topic, one, notice, envelope::body(messaging, topic, one, notice, text))
                .await
        }
    }
}

async fn put(
    messaging: &Messaging,
    arn: &str,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    text: &str,
) -> Result<(), Undelivered> {
    let name = messaging.config.functions.queue_name(arn);
    let name = name.ok_or_else(|| Undelivered::Never("there is no such queue".to_owned()))?;
    let attributes = if one.raw { notice.attributes.clone() } else { Default::default() };
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(Undelivered::Never(format!(
            "a queue takes {ATTRIBUTES_MAX} attributes without an envelope"
        )));
    }
    let letter = Letter {
        body: envelope::body(messaging, topic, one, notice, text).into(),
        attributes,
        sender: SERVICE.to_owned(),
        group: notice.group.clone(),
        trace: notice.trace.clone(),
        ..Letter::default()
    };
    told::put(messaging, name, letter).await
}

/// Puts what is not delivered any more with the dead letters, if the subscription has a place for them; an error when they cannot
/// take it now.
pub(super) async fn give_up(
    messaging: &Messaging,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    text: &str,
    why: &str,
) -> Result<(), ()> {
    let dead_letters = one.dead_letters.as_deref().filter(|_| notice.token.is_none());
    if let Some(arn) = dead_letters {
        match put(messaging, arn, topic, one, notice, text).await {
            Ok(()) => return Ok(()),
            Err(Undelivered::Later(_)) => return Err(()),
            Err(Undelivered::Never(error)) => {
                tracing::warn!(arn, error, "a dead letter of a topic was not kept")
            }
        }
    }
    tracing::warn!(
        topic,
        endpoint = one.endpoint,
        why,
        "a message of a topic was not delivered and is dropped"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_four_times_and_queues_for_weeks() {
        let minute = Duration::from_secs(60);
        let http: Vec<bool> = (1..=4).map(|runs| plan("http", runs, minute).is_some()).collect();
        assert_eq!(http, [true, true, true, false]);
        let waits = [1, 2, 4, 8, 16, 20, 20].map(|s| Some(Duration::from_secs(s)));
        assert_eq!((1..=7).map(|runs| plan("sqs", runs, minute)).collect::<Vec<_>>(), waits);
        assert!(plan("lambda", 100_000, AGE_MAX - minute).is_some() && plan("lambda", 1, AGE_MAX).is_none());
        assert_eq!((note(b""), note(b"3")), (0, 3));
    }
}
