//! The one thread that writes: takes what has queued up as a group, decides each transaction, makes the group
//! durable with one sync, then shows it to readers, watchers and callers, in this order. Nothing else changes the
//! index.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::hub::Hub;
use crate::index::{HISTORY_BYTES_MAX, Index};
use crate::log::{Log, Row, RowId};
use crate::{Entry, Error, Expect, Op, Revision};

/// Transactions in one group: enough that a sync is shared widely, few enough that a group takes milliseconds.
const GROUP_LEN_MAX: usize = 512;

/// Rows dropped together with a group, so that no compaction makes a writer wait for long.
const GARBAGE_STEP: usize = 512;

/// What the queue holds.
pub(crate) enum Request {
    Commit(Commit),
    Compact { before: Revision, reply: oneshot::Sender<Result<(), Error>> },
}

/// A transaction on its way.
pub(crate) struct Commit {
    pub ops: Vec<Op>,
    pub reply: oneshot::Sender<Result<Revision, Error>>,
    /// Its share of the queue, given back when it has been answered.
    pub room: OwnedSemaphorePermit,
}

pub(crate) struct Writer {
    pub log: Box<dyn Log>,
    pub index: Arc<RwLock<Index>>,
    pub hub: Arc<Hub>,
    pub queue: mpsc::Receiver<Request>,
    /// Rows that no reader can reach any more, not yet dropped from the log.
    pub garbage: Vec<RowId>,
    /// The last revision given to a transaction, durable or failed: none is given twice.
    pub issued: Revision,
}

impl Writer {
    /// Runs until every sender of the queue is gone.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.next() {
            let mut group = Vec::new();
            let mut request = Some(first);
            while let Some(next) = request.take() {
                match next {
                    Request::Commit(commit) => group.push(commit),
                    Request::Compact { before, reply } => {
                        self.commit(std::mem::take(&mut group));
                        let _ = reply.send(self.compact(before));
                    }
                }
                if group.len() < GROUP_LEN_MAX {
                    request = self.queue.try_recv().ok();
                }
            }
            self.commit(group);
            self.trim();
        }
    }

    /// The next request; garbage is carried out while there is none.
    fn next(&mut self) -> Option<Request> {
        while !self.garbage.is_empty() {
            match self.queue.try_recv() {
                Ok(request) => return Some(request),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => {
                    if self.append(&[]).is_err() {
                        break;
                    }
                }
            }
        }
        self.queue.blocking_recv()
    }

    fn commit(&mut self, group: Vec<Commit>) {
        if group.is_empty() {
            return;
        }
        let (rows, verdicts) = self.decide(&group);
        let outcome = if rows.is_empty() { Ok(()) } else { self.append(&rows) };
        if outcome.is_ok() {
            self.show(&rows);
        }
        for (Commit { reply, room, .. }, verdict) in group.into_iter().zip(verdicts) {
            drop(room);
            // A verdict rests on the transactions before it in the group, so it falls with them.
            let _ = reply.send(outcome.clone().and(verdict));
        }
    }

    fn decide(&mut self, group: &[Commit]) -> (Vec<Row>, Vec<Result<Revision, Error>>) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let mut view = View { index: &index, pending: HashMap::new() };
        let mut rows = Vec::new();
        let mut last = index.revision();
        let verdicts = group.iter().map(|transaction| {
            let planned = plan_transaction(&view, &transaction.ops, self.issued + 1)?;
            if !planned.is_empty() {
                self.issued += 1;
                last = self.issued;
            }
            for row in planned {
                view.pending.insert(row.key.clone(), entry(&row));
                rows.push(row);
            }
            Ok(last)
        });
        let verdicts = verdicts.collect();
        (rows, verdicts)
    }

    fn append(&mut self, rows: &[Row]) -> Result<(), Error> {
        let keep = self.garbage.len().saturating_sub(GARBAGE_STEP);
        let outcome = self.log.append(rows, &self.garbage[keep..]);
        match &outcome {
            Ok(()) => self.garbage.truncate(keep),
            Err(error) => tracing::warn!(error = %error, rows = rows.len(), "failed to write the log"),
        }
        outcome
    }

    fn show(&self, rows: &[Row]) {
        let mut revisions = Vec::new();
        {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            for transaction in rows.chunk_by(|a, b| a.id.revision == b.id.revision) {
                revisions.push(index.apply(transaction));
            }
        }
        self.hub.publish(&revisions);
    }

    fn compact(&mut self, before: Revision) -> Result<(), Error> {
        {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            if before > index.revision() {
                return Err(Error::Future { asked: before, current: index.revision() });
            }
            if before <= index.oldest() {
                return Ok(());
            }
        }
        self.log.compact(before)?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        self.garbage.extend(index.compact(before));
        Ok(())
    }

    /// Keeps history within its bounds when nobody compacts.
    fn trim(&mut self) {
        let overgrown =
            self.index.read().unwrap_or_else(PoisonError::into_inner).overgrown(HISTORY_BYTES_MAX);
        if let Some(before) = overgrown
            && let Err(error) = self.compact(before)
        {
            tracing::warn!(error = %error, before, "failed to compact");
        }
    }
}

impl Drop for Writer {
    /// Watches end with the thread, also if a bug ends it.
    fn drop(&mut self) {
        self.hub.close();
    }
}

/// The index as it will be once the group at hand is durable.
struct View<'a> {
    index: &'a Index,
    pending: HashMap<Arc<str>, Option<Entry>>,
}

impl View<'_> {
    fn get(&self, key: &str) -> Option<Entry> {
        match self.pending.get(key) {
            Some(entry) => entry.clone(),
            None => self.index.get(key),
        }
    }
}

fn entry(row: &Row) -> Option<Entry> {
    let value: Bytes = row.value.clone()?;
    Some(Entry { key: row.key.clone(), value, created: row.created, modified: row.id.revision })
}

/// What a transaction would write as `revision`; nothing, if it changes nothing.
fn plan_transaction(view: &View<'_>, ops: &[Op], revision: Revision) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::with_capacity(ops.len());
    for op in ops {
        let current = view.get(op.key());
        let holds = match op.expect() {
            Expect::Any => true,
            Expect::Absent => current.is_none(),
            Expect::Modified(modified) => current.as_ref().is_some_and(|entry| entry.modified == modified),
        };
        if !holds {
            return Err(Error::Conflict { key: op.key().clone(), current });
        }
        let value = match op {
            Op::Put { value, .. } => Some(value.clone()),
            Op::Delete { .. } if current.is_none() => continue,
            Op::Delete { .. } => None,
        };
        let place = u16::try_from(rows.len()).expect("a transaction has at most OPS_MAX operations");
        // The key that the index already holds is shared, not kept twice.
        let (key, created) = current.map_or_else(|| (op.key().clone(), revision), |e| (e.key, e.created));
        rows.push(Row { id: RowId { revision, place }, key, value, created });
    }
    Ok(rows)
}
