//! One queue: sending, receiving, and what a receiver may do with a message.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use store::{Expect, OPS_MAX, Op, Store};
use tokio::sync::Notify;

use super::book::{Book, Taken};
use super::{
    Counts, Depth, Draft, Ground, MESSAGE_BYTES_MAX, Message, QueueError, Receipt, SendError, deletion,
    record,
};

/// One queue. Several may receive from it at the same time.
pub struct Queue {
    pub(super) name: Arc<str>,
    pub(super) ground: Arc<Ground>,
    pub(super) book: Mutex<Book>,
    pub(super) changed: Notify,
}

/// A message on its way into the store.
struct Written {
    number: u64,
    bytes: usize,
    sent: record::Sent,
}

impl Queue {
    /// Accepts a message, to be visible after `delay`. When this returns it is durable. Goes on when it is dropped, so
    /// that what the store has accepted is never missing from the book.
    pub async fn send(
        self: &Arc<Self>,
        attributes: Bytes,
        body: Bytes,
        delay: Duration,
    ) -> Result<(), SendError> {
        let draft = Draft { attributes, body, group: Bytes::new(), delay };
        self.send_all(vec![draft], |_| Vec::new()).await.map(drop)
    }

    /// Accepts messages, all or none, with what the caller writes beside them, which is told their numbers. Gives the
    /// numbers, which grow.
    pub(crate) async fn send_all(
        self: &Arc<Self>,
        drafts: Vec<Draft>,
        beside: impl FnOnce(&[u64]) -> Vec<Op>,
    ) -> Result<Vec<u64>, SendError> {
        let ground = self.ground.clone();
        let now = ground.clock.now_ms();
        if let Some(size) = drafts.iter().map(size).find(|size| *size > MESSAGE_BYTES_MAX) {
            return Err(SendError::TooLarge(size));
        }
        let mut ops = Vec::new();
        let written: Vec<Written> =
            drafts.into_iter().map(|draft| self.write(draft, now, &mut ops)).collect();
        let (messages, bytes) = (written.len() as u64, written.iter().map(|one| one.bytes as u64).sum());
        let (held, all) = self.book().with(messages, bytes);
        let share = ground.room.limits.of_one(held, all);
        share.and_then(|()| ground.room.try_take(messages, bytes)).map_err(SendError::Full)?;
        let numbers: Vec<u64> = written.iter().map(|one| one.number).collect();
        ops.extend(beside(&numbers));
        let queue = self.clone();
        let kept = tokio::spawn(async move {
            match ground.store.commit(ops).await {
                Ok(_) => {
                    queue.take_in(written);
                    Ok(())
                }
                Err(error) => {
                    ground.room.give_back(messages, bytes);
                    Err(error)
                }
            }
        });
        kept.await.unwrap_or(Err(store::Error::Closed)).map_err(SendError::Store)?;
        Ok(numbers)
    }

    fn write(&self, draft: Draft, now_ms: u64, ops: &mut Vec<Op>) -> Written {
        let Draft { attributes, body, group, delay } = draft;
        let visible_ms = now_ms.saturating_add(millis(delay));
        self.write_sent(record::Sent { sent_ms: now_ms, visible_ms, group, attributes, body }, ops)
    }

    fn write_sent(&self, sent: record::Sent, ops: &mut Vec<Op>) -> Written {
        let value = sent.write();
        let (number, bytes) = (self.ground.next.fetch_add(1, Ordering::Relaxed), value.len());
        let key = record::key(record::BODIES, &self.name, number);
        ops.push(Op::Put { key, value, expect: Expect::Absent });
        Written { number, bytes, sent }
    }

    /// What the store holds now comes into the book.
    fn take_in(&self, written: Vec<Written>) {
        let mut book = self.book();
        for Written { number, bytes, sent } in written {
            book.restore(number, bytes, &sent, None);
        }
        drop(book);
        self.changed.notify_waiters();
    }

    /// Takes the message that has been visible longest, if there is one, and hides it for `hidden`.
    pub async fn receive(&self, hidden: Duration) -> Option<Message> {
        self.receive_some(hidden, 1).await.pop()
    }

    /// The same of up to `max` messages.
    pub async fn receive_some(&self, hidden: Duration, max: usize) -> Vec<Message> {
        let now = self.ground.clock.now_ms();
        let until = now.saturating_add(millis(hidden));
        let mut messages = Vec::new();
        while messages.len() < max {
            let taken = self.book().take(now, until, max - messages.len());
            if taken.is_empty() {
                break;
            }
            for one in taken {
                // Nothing is found of what was purged just now.
                messages.extend(self.read(one).await);
            }
            if until <= now {
                // They are as visible as before, and would be taken again.
                break;
            }
        }
        messages
    }

    async fn read(&self, taken: Taken) -> Option<Message> {
        let key = record::key(record::BODIES, &self.name, taken.receipt.number);
        let found = self.ground.store.get(&key).await.ok().flatten()?;
        let sent = record::Sent::read(&found.value)?;
        Some(Message {
            receipt: taken.receipt,
            attributes: sent.attributes,
            body: sent.body,
            group: sent.group,
            note: taken.note,
            sent_ms: sent.sent_ms,
            first_ms: taken.first_ms,
            receive_count: taken.receive_count,
        })
    }

    /// Waits until a message is visible. Cheap to call again and again; spends nothing while it waits.
    pub async fn due(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the look, so that no change falls between the two.
            changed.as_mut().enable();
            let now = self.ground.clock.now_ms();
            let next = self.book().next_ms();
            match next {
                Some(at) if at <= now => return,
                Some(at) => {
                    let wait = Duration::from_millis(at - now);
                    drop(tokio::time::timeout(wait, changed).await);
                }
                None => changed.await,
            }
        }
    }

    /// What time it goes by.
    pub(crate) fn now_ms(&self) -> u64 {
        self.ground.clock.now_ms()
    }

    /// Where it is kept, for what a room keeps beside it.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.ground.store
    }

    /// Waits until anything changes.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Lets everybody who waits look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Ends a message. When this returns it does not come back.
    pub async fn delete(self: &Arc<Self>, receipt: Receipt) -> Result<(), QueueError> {
        if !self.book().holds(receipt) {
            return Err(QueueError::Stale);
        }
        self.end(vec![receipt.number]).await.map(drop)
    }

    /// Ends those messages whose receipts count; says how many there were.
    pub(crate) async fn delete_all(self: &Arc<Self>, receipts: &[Receipt]) -> Result<u64, QueueError> {
        let numbers: Vec<u64> = {
            let book = self.book();
            receipts.iter().filter(|receipt| book.holds(**receipt)).map(|receipt| receipt.number).collect()
        };
        if numbers.is_empty() { Ok(0) } else { self.end(numbers).await }
    }

    async fn end(self: &Arc<Self>, numbers: Vec<u64>) -> Result<u64, QueueError> {
        let (queue, ground) = (self.clone(), self.ground.clone());
        let ended = tokio::spawn(async move { ground.end(&queue, numbers).await });
        Ok(ended.await.unwrap_or(Err(store::Error::Closed))?)
    }

    /// Makes a message visible again after `delay`. Not written down: after a crash it is visible at once.
    pub fn release(&self, receipt: Receipt, delay: Duration) -> Result<(), QueueError> {
        let at = self.ground.clock.now_ms().saturating_add(millis(delay));
        let held = self.book().show(receipt, at, None);
        self.changed.notify_waiters();
        if held { Ok(()) } else { Err(QueueError::Stale) }
    }

    /// Hides a message that was received for `time` from now on; its receipt still counts. Not written down.
    pub fn hide(&self, receipt: Receipt, time: Duration) -> Result<(), QueueError> {
        let now = self.ground.clock.now_ms();
        let held = self.book().hide(receipt, now, now.saturating_add(millis(time)));
        self.changed.notify_waiters();
        if held { Ok(()) } else { Err(QueueError::Stale) }
    }

    /// Whether the receipt still counts.
    pub fn holds(&self, receipt: Receipt) -> bool {
        self.book().holds(receipt)
    }

    /// Whether the message is there, whatever the receipt is worth.
    pub fn contains(&self, receipt: Receipt) -> bool {
        self.book().contains(receipt)
    }

    /// When the message was received, in milliseconds since 1970, if the receipt still counts and the message is hidden.
    pub fn in_flight(&self, receipt: Receipt) -> Option<u64> {
        self.book().in_flight(receipt, self.ground.clock.now_ms())
    }

    /// Makes a message visible again after `delay`, with a note for the next receiver. When this returns, both are
    /// durable. When it fails, the message stays hidden as long as it was going to be.
    pub async fn defer(
        self: &Arc<Self>,
        receipt: Receipt,
        delay: Duration,
        note: Bytes,
    ) -> Result<(), QueueError> {
        let ground = self.ground.clone();
        let Some(receive_count) = self.book().receive_count(receipt) else { return Err(QueueError::Stale) };
        let visible_ms = ground.clock.now_ms().saturating_add(millis(delay));
        let value = record::State { visible_ms, receive_count, note: note.clone() }.write();
        let key = record::key(record::STATES, &self.name, receipt.number);
        let queue = self.clone();
        let kept = tokio::spawn(async move {
            ground.store.commit(vec![Op::Put { key, value, expect: Expect::Any }]).await?;
            queue.book().show(receipt, visible_ms, Some(note));
            queue.changed.notify_waiters();
            Ok(())
        });
        kept.await.unwrap_or(Err(store::Error::Closed)).map_err(QueueError::Store)
    }

    /// Moves a message that was received to another queue of the same store, in one step, with other attributes. `sent_ms`
    /// is when it counts as sent. Takes room of neither: there is as much as before.
    pub(crate) async fn hand_over(
        self: &Arc<Self>,
        message: &Message,
        target: &Arc<Queue>,
        attributes: Bytes,
        sent_ms: u64,
    ) -> Result<(), QueueError> {
        let (receipt, key) =
            (message.receipt, record::key(record::BODIES, &self.name, message.receipt.number));
        let Some(found) = self.ground.store.get(&key).await?.filter(|_| self.holds(receipt)) else {
            return Err(QueueError::Stale);
        };
        let mut ops = deletion(&self.name, receipt.number).to_vec();
        // Nobody must have deleted it in between: it would come back to life.
        ops[0] = Op::Delete { key, expect: Expect::Modified(found.modified) };
        let visible_ms = self.ground.clock.now_ms();
        let (group, body) = (message.group.clone(), message.body.clone());
        let written =
            target.write_sent(record::Sent { sent_ms, visible_ms, group, attributes, body }, &mut ops);
        let (from, to, ground) = (self.clone(), target.clone(), self.ground.clone());
        let moved = tokio::spawn(async move {
            let revision = ground.store.commit(ops).await?;
            ground.room.take(1, written.bytes as u64);
            to.take_in(vec![written]);
            ground.forget(&from, vec![receipt.number]);
            ground.tidy(1, revision).await
        });
        match moved.await.unwrap_or(Err(store::Error::Closed)) {
            Err(store::Error::Conflict { .. }) => Err(QueueError::Stale),
            other => Ok(other?),
        }
    }

    /// Ends every message, received or not; says how many there were.
    pub async fn purge(self: &Arc<Self>) -> Result<u64, QueueError> {
        let mut purged = 0;
        loop {
            // Two keys for each message.
            let numbers = self.book().numbers(OPS_MAX / 2);
            if numbers.is_empty() {
                return Ok(purged);
            }
            purged += self.end(numbers).await?;
        }
    }

    /// Ends the messages that were sent before a time.
    pub(crate) async fn expire(self: &Arc<Self>, before_ms: u64) -> Result<(), QueueError> {
        loop {
            let numbers = self.book().sent_before(before_ms, OPS_MAX / 2);
            if numbers.is_empty() {
                return Ok(());
            }
            self.end(numbers).await?;
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much there is.
    pub fn depth(&self) -> Depth {
        self.book().depth()
    }

    /// How many messages there are, by what can be done with them.
    pub fn counts(&self) -> Counts {
        self.book().counts(self.ground.clock.now_ms())
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(draft: &Draft) -> usize {
    draft.attributes.len() + draft.group.len() + draft.body.len()
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
