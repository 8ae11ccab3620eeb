//! One watch: a stream of changes. First what history holds, then what the hub delivers; leaves the hub on drop.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use crate::hub::{Hub, Seat};
use crate::index::Changes;
use crate::{Change, Error, Revision};

/// Changes under a prefix, in order: one item per revision, so that a transaction is never split. Ends after an
/// error; there is always one before the end.
pub struct Watch {
    backlog: VecDeque<Changes>,
    seat: Seat,
    hub: Arc<Hub>,
    seen: Revision,
    ended: bool,
}

impl Watch {
    /// `after`: the watch begins behind this revision. `backlog`: what has happened since.
    pub(crate) fn new(hub: Arc<Hub>, seat: Seat, backlog: VecDeque<Changes>, after: Revision) -> Watch {
        Watch { backlog, seat, hub, seen: after, ended: false }
    }

    /// The revision up to which this watch has shown everything: where to resume, and what to put in a bookmark.
    /// On a quiet prefix it moves on with the store.
    pub fn progress(&self) -> Revision {
        // Read in this order: what is published after the load may be in the queue, what came before is.
        let published = self.hub.published();
        let idle = self.backlog.is_empty() && self.seat.queue.is_empty() && self.seat.end.get().is_none();
        if idle { self.seen.max(published) } else { self.seen }
    }
}

impl Stream for Watch {
    type Item = Result<Arc<Vec<Change>>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match self.backlog.pop_front() {
            Some(changes) => Some(changes),
            None => match self.seat.queue.poll_recv(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(next) => next,
            },
        };
        match next {
            Some(changes) => {
                self.seen = changes[0].revision;
                Poll::Ready(Some(Ok(changes)))
            }
            None => {
                self.ended = true;
                Poll::Ready(Some(Err(self.seat.end.get().cloned().unwrap_or(Error::Closed))))
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.leave(self.seat.id);
    }
}
