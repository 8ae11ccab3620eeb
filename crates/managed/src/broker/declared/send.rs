//! Sending: what a queue accepts, and what it has had before.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use store::{Expect, Op};

use super::super::envelope::{Accepted, Envelope, Letter, LetterError};
use super::{Declared, Known, Settings, forgotten, record};
use crate::{Draft, SendError};

/// A letter that keeps the rules of its queue.
struct Checked {
    envelope: Envelope,
    draft: Draft,
    /// What tells it apart in a FIFO queue.
    key: String,
}

impl From<SendError> for LetterError {
    fn from(error: SendError) -> LetterError {
        match error {
            SendError::TooLarge(size) => LetterError::TooLarge { size, max: crate::MESSAGE_BYTES_MAX },
            SendError::Full(why) => LetterError::Full(why),
            SendError::Store(error) => LetterError::Store(error),
        }
    }
}

impl Declared {
    /// Accepts a message. When this returns it is durable.
    pub async fn send(self: &Arc<Self>, letter: Letter) -> Result<Accepted, LetterError> {
        let mut results = self.send_all(vec![letter]).await;
        results.pop().unwrap_or(Err(LetterError::Gone))
    }

    /// Accepts messages in their order, each by itself; those that are accepted are written in one step.
    pub async fn send_all(self: &Arc<Self>, letters: Vec<Letter>) -> Vec<Result<Accepted, LetterError>> {
        let settings = self.settings();
        let checked: Vec<Result<Checked, LetterError>> =
            letters.into_iter().map(|letter| self.check(&settings, letter)).collect();
        match settings.fifo {
            true => self.send_in_order(checked).await,
            false => self.send_standard(checked).await,
        }
    }

    async fn send_standard(
        self: &Arc<Self>,
        checked: Vec<Result<Checked, LetterError>>,
    ) -> Vec<Result<Accepted, LetterError>> {
        let drafts: Vec<Draft> = checked.iter().flatten().map(|one| one.draft.clone()).collect();
        let sent =
            if drafts.is_empty() { Ok(()) } else { self.write(drafts, |_| Vec::new()).await.map(drop) };
        let accepted = |one: Checked| match &sent {
            Ok(()) => Ok(Accepted { message_id: one.envelope.id, sequence: None }),
            Err(error) => Err(error.clone()),
        };
        checked.into_iter().map(|one| one.and_then(accepted)).collect()
    }

    /// Writes messages; when there is no room, those that are too old to be delivered make some.
    async fn write(
        &self,
        drafts: Vec<Draft>,
        beside: impl Fn(&[u64]) -> Vec<Op>,
    ) -> Result<Vec<u64>, LetterError> {
        match self.queue.send_all(drafts.clone(), &beside).await {
            Err(SendError::Full(_)) => {
                if let Some(broker) = self.broker.upgrade() {
                    broker.expire().await;
                }
                Ok(self.queue.send_all(drafts, &beside).await?)
            }
            other => Ok(other?),
        }
    }

    async fn send_in_order(
        self: &Arc<Self>,
        checked: Vec<Result<Checked, LetterError>>,
    ) -> Vec<Result<Accepted, LetterError>> {
        let queue = self.clone();
        // Not given up half way: what is written must be remembered.
        let sent = tokio::spawn(async move {
            let mut results = Vec::new();
            let mut recent = queue.recent.lock().await;
            for one in checked {
                results.push(match one {
                    Ok(one) => queue.send_once(&mut recent, one).await,
                    Err(error) => Err(error),
                });
            }
            results
        });
        sent.await.unwrap_or_else(|_| vec![Err(LetterError::Store(store::Error::Closed))])
    }

    async fn send_once(&self, recent: &mut super::Recent, one: Checked) -> Result<Accepted, LetterError> {
        let now_ms = self.now_ms();
        if let Some((number, known)) = recent.find(&one.key, now_ms) {
            return Ok(Accepted { message_id: known.message_id.clone(), sequence: Some(*number) });
        }
        let uid = &self.uid;
        let stale = recent.forget(now_ms);
        if recent.is_full() {
            let why = format!("{} messages in five minutes", super::super::recent::KNOWN_MAX);
            return Err(LetterError::Full(why));
        }
        let known = Known { key: one.key, message_id: one.envelope.id.clone(), at_ms: now_ms };
        let value: Bytes = serde_json::to_vec(&known).expect("strings are JSON").into();
        let beside = |numbers: &[u64]| {
            let put = |number: &u64| {
                let key = record::recent_key(uid, *number).into();
                Op::Put { key, value: value.clone(), expect: Expect::Any }
            };
            let mut ops = forgotten(uid, &stale);
            ops.extend(numbers.iter().map(put));
            ops
        };
        let numbers = self.write(vec![one.draft], beside).await?;
        let number = numbers.first().copied().unwrap_or_default();
        recent.remember(number, known);
        Ok(Accepted { message_id: one.envelope.id, sequence: Some(number) })
    }

    fn check(&self, settings: &Settings, letter: Letter) -> Result<Checked, LetterError> {
        if self.is_gone() {
            return Err(LetterError::Gone);
        }
        let (size, max) = (letter.size(), settings.message_bytes_max as usize);
        if size > max {
            return Err(LetterError::TooLarge { size, max });
        }
        let group = letter.group.clone().filter(|_| settings.fifo);
        let (deduplication_id, delay) = match settings.fifo {
            true => (Some(deduplication_id(settings, &letter)?), queue_delay(settings, &letter)?),
            false if letter.deduplication_id.is_some() => return Err(LetterError::NotFifo),
            false => (None, letter.delay.unwrap_or(seconds(settings.delay_s))),
        };
        let mut key = deduplication_id.clone().unwrap_or_default();
        if settings.deduplication_per_group {
            // Neither may hold a line feed.
            key = format!("{}\n{key}", letter.group.as_deref().unwrap_or_default());
        }
        let envelope = Envelope {
            id: uuid::Uuid::new_v4().to_string(),
            sender: letter.sender,
            attributes: letter.attributes,
            trace: letter.trace,
            group: letter.group,
            deduplication_id,
            source: None,
            received: 0,
        };
        let attributes = envelope.write();
        let group = group.map(Bytes::from).unwrap_or_default();
        Ok(Checked { draft: Draft { attributes, body: letter.body, group, delay }, envelope, key })
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// What a FIFO queue tells the message apart by.
fn deduplication_id(settings: &Settings, letter: &Letter) -> Result<String, LetterError> {
    if letter.group.is_none() {
        return Err(LetterError::NoGroup);
    }
    match &letter.deduplication_id {
        Some(id) => Ok(id.clone()),
        None if settings.content_based_deduplication => {
            Ok(Sha256::digest(&letter.body).iter().map(|byte| format!("{byte:02x}")).collect())
        }
        None => Err(LetterError::NoDeduplicationId),
    }
}

/// Messages of a FIFO queue are delayed as the queue says; they would overtake each other otherwise.
fn queue_delay(settings: &Settings, letter: &Letter) -> Result<Duration, LetterError> {
    match letter.delay {
        Some(delay) if !delay.is_zero() => Err(LetterError::OwnDelay),
        _ => Ok(seconds(settings.delay_s)),
    }
}
