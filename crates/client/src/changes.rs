//! What a subscriber of a cache is told. A slow subscriber never holds more than one change per
//! object: changes to the same key are merged into the oldest `old` and the newest `new`.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::Stream;
use futures::task::AtomicWaker;
use serde_json::Value;

use crate::Key;

/// One object went from `old` to `new`. When a subscriber was slow these are not neighbours: the
/// object may even have been deleted and made again in between, which its `uid` tells.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which object.
    pub key: Key,
    /// Before; `None` when it is new.
    pub old: Option<Arc<Value>>,
    /// Now; `None` when it is deleted.
    pub new: Option<Arc<Value>>,
}

impl Change {
    /// The object, as it is or as it was last seen.
    #[must_use]
    pub fn object(&self) -> &Arc<Value> {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has a before or an after")
    }
}

#[derive(Default)]
struct Pending {
    order: VecDeque<Key>,
    changes: HashMap<Key, Change>,
    closed: bool,
}

/// The cache's end of a subscription.
#[derive(Default)]
pub(crate) struct Mailbox {
    pending: Mutex<Pending>,
    waker: AtomicWaker,
}

impl Mailbox {
    pub(crate) fn push(&self, change: Change) {
        {
            let mut pending = self.pending.lock().expect("no code panics while holding the mailbox");
            let Pending { order, changes, .. } = &mut *pending;
            match changes.get_mut(&change.key) {
                // What came and went unseen is still told as a deletion: whoever counts must hear of it.
                Some(waiting) if change.new.is_none() && waiting.old.is_none() => {
                    waiting.old = waiting.new.take().or(change.old);
                }
                Some(waiting) => waiting.new = change.new,
                None => {
                    order.push_back(change.key.clone());
                    changes.insert(change.key.clone(), change);
                }
            }
        }
        self.waker.wake();
    }

    pub(crate) fn close(&self) {
        self.pending.lock().expect("no code panics while holding the mailbox").closed = true;
        self.waker.wake();
    }
}

/// The subscriber's end: a stream that begins with every object as it is (`old` is `None`) and ends
/// when the cache is gone.
pub struct Changes(pub(crate) Arc<Mailbox>);

impl Stream for Changes {
    type Item = Change;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        self.0.waker.register(context.waker());
        let mut pending = self.0.pending.lock().expect("no code panics while holding the mailbox");
        if let Some(key) = pending.order.pop_front() {
            return Poll::Ready(pending.changes.remove(&key));
        }
        if pending.closed { Poll::Ready(None) } else { Poll::Pending }
    }
}
