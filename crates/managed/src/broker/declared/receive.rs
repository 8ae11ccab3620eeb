//! Receiving: what is visible, waiting for it, and what becomes of messages that were received too often.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::envelope::Envelope;
use super::{Declared, Delivered, IN_FLIGHT_MAX, REMEMBERED_MS, Settings};
use crate::{Message, QueueError};

/// Attempts that a queue remembers; more than this in five minutes, and the oldest are forgotten early.
const ATTEMPTS_MAX: usize = 10_000;

/// How long a receiver waits for room in a queue of which all that may be in flight is: messages whose time is over make some
/// without a sign.
const FULL_WAIT: Duration = Duration::from_secs(1);

/// What a receiver wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// Messages at most.
    pub max: usize,
    /// How long they are hidden; as the queue says, when nothing is said.
    pub hidden: Option<Duration>,
    /// How long to wait for the first; as the queue says, when nothing is said.
    pub wait: Option<Duration>,
    /// Which attempt this is: the same one again gets the same messages again, within five minutes.
    pub attempt: Option<String>,
}

/// Why nothing was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// So many are received and not ended.
    #[error("{IN_FLIGHT_MAX} messages are in flight")]
    OverLimit,
    /// The queue was deleted.
    #[error("the queue does not exist")]
    Gone,
}

impl Declared {
    /// Takes the messages that have been visible longest; waits for one when there is none. None is no error.
    pub async fn receive(self: &Arc<Self>, ask: &Ask) -> Result<Vec<Delivered>, ReceiveError> {
        let settings = self.settings();
        if let Some(again) = ask.attempt.as_ref().and_then(|attempt| self.again(attempt, ask, &settings)) {
            return Ok(again);
        }
        let wait = ask.wait.unwrap_or(Duration::from_secs(settings.wait_s.into()));
        let until = Instant::now() + wait;
        loop {
            if self.is_gone() {
                return Err(ReceiveError::Gone);
            }
            let max = self.free(ask.max, wait.is_zero() && !settings.fifo)?;
            let received = self.take(ask, max).await;
            if !received.is_empty() || Instant::now() >= until {
                self.note(ask, &received);
                return Ok(received);
            }
            // One that is waited for and then taken by somebody else is waited for again.
            if max > 0 {
                drop(tokio::time::timeout_at(until, self.due()).await);
            } else {
                let look = until.min(Instant::now() + FULL_WAIT);
                drop(tokio::time::timeout_at(look, self.queue.changed()).await);
            }
        }
    }

    /// How many messages more may be in flight. Only who asks for what is there now is told that there is no room.
    fn free(&self, max: usize, told: bool) -> Result<usize, ReceiveError> {
        // Counting them is some work, and there are not more of them than there are messages.
        if self.queue.depth().messages <= IN_FLIGHT_MAX {
            return Ok(max);
        }
        let free = IN_FLIGHT_MAX.saturating_sub(self.queue.counts().in_flight);
        match free {
            0 if told => Err(ReceiveError::OverLimit),
            free => Ok(max.min(usize::try_from(free).unwrap_or(max))),
        }
    }

    async fn take(self: &Arc<Self>, ask: &Ask, max: usize) -> Vec<Delivered> {
        let settings = self.settings();
        self.expire().await;
        let hidden = ask.hidden.unwrap_or(Duration::from_secs(settings.visibility_s.into()));
        let mut received: Vec<Delivered> = Vec::new();
        while received.len() < max {
            let messages = self.queue.receive_some(hidden, max - received.len()).await;
            let all = messages.len();
            let before = received.len();
            for message in messages {
                let envelope = Envelope::read(&message.attributes);
                if let Some(message) = self.dead(&settings, message, &envelope).await {
                    received.push(Delivered {
                        message,
                        envelope,
                        uid: self.uid.clone(),
                        fifo: settings.fifo,
                    });
                }
            }
            // Where dead letters made way, others may come.
            if received.len() - before == all {
                break;
            }
        }
        received
    }

    /// Moves a message that was received too often to the dead-letter queue; gives it back if it was not.
    async fn dead(
        self: &Arc<Self>,
        settings: &Settings,
        message: Message,
        envelope: &Envelope,
    ) -> Option<Message> {
        let redrive =
            settings.redrive.as_ref().filter(|redrive| message.receive_count > redrive.receives_max);
        let target = redrive.and_then(|redrive| self.broker.upgrade()?.get(&redrive.target));
        // Without a queue to move it to, it is delivered on.
        let Some(target) = target else { return Some(message) };
        let received = envelope.received.saturating_add(message.receive_count - 1);
        let source = Some(self.name.to_string());
        let attributes = Envelope { source, received, ..envelope.clone() }.write();
        // A message of a standard queue stays as old as it is; one of a FIFO queue counts as sent now, as on AWS.
        let sent_ms = if settings.fifo { self.now_ms() } else { message.sent_ms };
        match self.queue.hand_over(&message, target.queue(), attributes, sent_ms).await {
            Ok(()) | Err(QueueError::Stale) => None,
            Err(error) => {
                tracing::warn!(queue = %self.name, %error, "a dead letter could not be moved and is delivered once more");
                Some(message)
            }
        }
    }

    /// What an attempt got, as far as it is still out; hidden anew.
    fn again(&self, attempt: &str, ask: &Ask, settings: &Settings) -> Option<Vec<Delivered>> {
        let now_ms = self.now_ms();
        let hidden = ask.hidden.unwrap_or(Duration::from_secs(settings.visibility_s.into()));
        let found = {
            let attempts = self.attempts();
            let (at_ms, received) = attempts.get(attempt)?;
            (at_ms + REMEMBERED_MS > now_ms).then(|| received.clone())?
        };
        let out = |one: &Delivered| {
            let receipt = one.message.receipt;
            self.queue.in_flight(receipt).is_some() && self.queue.hide(receipt, hidden).is_ok()
        };
        let again: Vec<Delivered> = found.into_iter().filter(out).collect();
        (!again.is_empty()).then_some(again)
    }

    fn note(&self, ask: &Ask, received: &[Delivered]) {
        let Some(attempt) = ask.attempt.as_ref().filter(|_| !received.is_empty()) else { return };
        let now_ms = self.now_ms();
        let mut attempts = self.attempts();
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.clear();
        }
        attempts.retain(|_, (at_ms, _)| *at_ms + REMEMBERED_MS > now_ms);
        attempts.insert(attempt.clone(), (now_ms, received.to_vec()));
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<String, (u64, Vec<Delivered>)>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
