//! One queue with its settings: how much is in it, what may be done with what was received, and its end. Sending is `send`,
//! receiving `receive`.

mod receive;
mod send;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use store::{Expect, OPS_MAX, Op, Range};

use super::delivered::{self, Delivered};
use super::recent::{REMEMBERED_MS, Recent};
use super::record::{self, Known, Record};
use super::{Broker, Settings};
use crate::{Counts, Queue, QueueError, Receipt};

pub use receive::{Ask, ReceiveError};

/// Messages of one queue that are received and not ended, as on AWS.
pub(super) const IN_FLIGHT_MAX: u64 = 120_000;

/// No message is hidden longer than this after it was received, however often its time is changed: 12 hours, as on AWS.
const HIDDEN_MAX: Duration = Duration::from_secs(43_200);

/// A queue is purged once in this time, as on AWS.
const PURGE_EVERY_MS: u64 = 60_000;

/// A queue that somebody made.
pub struct Declared {
    name: Arc<str>,
    /// Of this queue and no other of its name.
    uid: Arc<str>,
    broker: Weak<Broker>,
    queue: Arc<Queue>,
    record: Mutex<Record>,
    /// Held while a message of a FIFO queue is sent: they come in the order in which they are acknowledged.
    recent: tokio::sync::Mutex<Recent>,
    /// What receivers of a FIFO queue got, by the id of their attempt.
    attempts: Mutex<HashMap<String, (u64, Vec<Delivered>)>>,
    purged_ms: Mutex<Option<u64>>,
    gone: AtomicBool,
}

/// A receipt as its holder has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle<'a>(pub &'a str);

/// Why nothing was done with a receipt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HandleError {
    /// It is none of this queue's.
    #[error("the receipt handle is not valid")]
    Invalid,
    /// The message came back to a FIFO queue, whoever got it.
    #[error("the receipt handle has expired")]
    Expired,
    /// There is no such message any more.
    #[error("the message does not exist or is not available for a change of its visibility timeout")]
    NoMessage,
    /// The message is visible.
    #[error("the message is not in flight")]
    NotInFlight,
    /// It would be hidden too long.
    #[error("the message would be hidden longer than 12 hours after it was received")]
    TooLong,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<QueueError> for HandleError {
    fn from(error: QueueError) -> HandleError {
        match error {
            QueueError::Stale => HandleError::NoMessage,
            QueueError::Store(error) => HandleError::Store(error),
        }
    }
}

impl Declared {
    pub(super) fn new(broker: Weak<Broker>, name: &str, record: Record, queue: Arc<Queue>) -> Arc<Declared> {
        Arc::new(Declared {
            name: name.into(),
            uid: record.uid.as_str().into(),
            broker,
            queue,
            record: Mutex::new(record),
            recent: tokio::sync::Mutex::default(),
            attempts: Mutex::default(),
            purged_ms: Mutex::default(),
            gone: AtomicBool::new(false),
        })
    }

    /// Reads what was sent of late.
    pub(super) async fn restore(&self) -> Result<(), store::Error> {
        let prefix = format!("{}{}/", record::RECENT, self.uid);
        let entries = self.queue.store().list(Range::prefix(&prefix)).await?.entries;
        let mut recent = self.recent.lock().await;
        for entry in entries {
            let number = entry.key.strip_prefix(&prefix).and_then(|text| u64::from_str_radix(text, 16).ok());
            if let (Some(number), Ok(known)) = (number, serde_json::from_slice::<Known>(&entry.value)) {
                recent.remember(number, known);
            }
        }
        Ok(())
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it behaves.
    pub fn settings(&self) -> Settings {
        self.held().settings.clone()
    }

    /// When it was made and last changed, in milliseconds since 1970.
    pub fn times_ms(&self) -> (u64, u64) {
        let record = self.held();
        (record.created_ms, record.modified_ms)
    }

    /// Whether it was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn record(&self) -> Record {
        self.held().clone()
    }

    pub(super) fn replace(&self, record: Record) {
        *self.held() = record;
        self.queue.wake();
    }

    fn held(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is(&self, queue: &Arc<Queue>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    fn now_ms(&self) -> u64 {
        self.queue.now_ms()
    }

    /// How many messages there are, by what can be done with them.
    pub async fn counts(self: &Arc<Self>) -> Counts {
        self.expire().await;
        self.queue.counts()
    }

    /// Waits until a message is visible, or the queue is gone. Spends nothing while it waits.
    pub async fn due(&self) {
        let mut changed = std::pin::pin!(self.queue.changed());
        loop {
            changed.as_mut().enable();
            if self.is_gone() {
                return;
            }
            tokio::select! {
                () = self.queue.due() => return,
                () = &mut changed => changed.set(self.queue.changed()),
            }
        }
    }

    /// Removes messages that are older than they may be.
    pub(super) async fn expire(self: &Arc<Self>) {
        let kept_ms = u64::from(self.held().settings.retention_s) * 1000;
        // One that is exactly as old as it may be goes.
        let before = self.now_ms().saturating_sub(kept_ms).saturating_add(1);
        if let Err(error) = self.queue.expire(before).await {
            tracing::warn!(queue = %self.name, %error, "messages that are too old are not removed yet");
        }
    }

    fn receipt(&self, handle: Handle<'_>) -> Result<Receipt, HandleError> {
        let (uid, receipt) = delivered::parse(handle.0).ok_or(HandleError::Invalid)?;
        if uid != *self.uid { Err(HandleError::Invalid) } else { Ok(receipt) }
    }

    /// Ends a message. When this returns it does not come back. What has ended already has ended.
    pub async fn delete(self: &Arc<Self>, handle: Handle<'_>) -> Result<(), HandleError> {
        let receipt = self.deletable(handle)?;
        self.queue.delete_all(&[receipt]).await?;
        Ok(())
    }

    /// Ends messages, in one step; what fails of it fails for all whose receipts are right.
    pub async fn delete_all(self: &Arc<Self>, handles: &[Handle<'_>]) -> Vec<Result<(), HandleError>> {
        let checked: Vec<Result<Receipt, HandleError>> =
            handles.iter().map(|handle| self.deletable(*handle)).collect();
        let receipts: Vec<Receipt> = checked.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
        let ended = self.queue.delete_all(&receipts).await.map(drop).map_err(HandleError::from);
        checked.into_iter().map(|one| one.and_then(|_| ended.clone())).collect()
    }

    fn deletable(&self, handle: Handle<'_>) -> Result<Receipt, HandleError> {
        let receipt = self.receipt(handle)?;
        let lapsed = self.queue.contains(receipt) && self.queue.in_flight(receipt).is_none();
        if lapsed && self.held().settings.fifo {
            return Err(HandleError::Expired);
        }
        Ok(receipt)
    }

    /// Hides a message that was received for this time from now on.
    pub fn hide(&self, handle: Handle<'_>, time: Duration) -> Result<(), HandleError> {
        let receipt = self.receipt(handle)?;
        if !self.queue.contains(receipt) {
            return Err(HandleError::NoMessage);
        }
        let taken_ms = self.queue.in_flight(receipt).ok_or(HandleError::NotInFlight)?;
        let so_far = Duration::from_millis(self.now_ms().saturating_sub(taken_ms));
        if so_far + time > HIDDEN_MAX {
            return Err(HandleError::TooLong);
        }
        Ok(self.queue.hide(receipt, time)?)
    }

    /// Ends every message; `false` when that was done a short while ago.
    pub async fn purge(self: &Arc<Self>) -> Result<bool, store::Error> {
        let now_ms = self.now_ms();
        {
            let mut purged = self.purged_ms.lock().unwrap_or_else(PoisonError::into_inner);
            if purged.is_some_and(|at| now_ms < at + PURGE_EVERY_MS) {
                return Ok(false);
            }
            *purged = Some(now_ms);
        }
        match self.queue.purge().await {
            Err(QueueError::Store(error)) => Err(error),
            _ => Ok(true),
        }
    }

    /// It is deleted: nobody waits any more, and what is left goes.
    pub(super) async fn end(self: &Arc<Self>) -> Result<(), QueueError> {
        self.gone.store(true, Ordering::Release);
        self.queue.wake();
        self.queue.purge().await?;
        let numbers = self.recent.lock().await.numbers();
        for some in numbers.chunks(OPS_MAX) {
            self.queue.store().commit(forgotten(&self.uid, some)).await?;
        }
        Ok(())
    }
}

/// What takes deduplication ids out of the store.
fn forgotten(uid: &str, numbers: &[u64]) -> Vec<Op> {
    let deletion =
        |number: &u64| Op::Delete { key: record::recent_key(uid, *number).into(), expect: Expect::Any };
    numbers.iter().map(deletion).collect()
}
