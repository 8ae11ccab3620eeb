//! What dory knows of a pod's containers and commands, kept current by what the supervisor says.
use crate::wire::Message;
use crate::{ContainerRecord, ContainerState, Exit};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The code of a container whose end nobody saw, as of one that was killed.
const LOST_CODE: i32 = 137;

pub(super) struct State {
    /// A watch, not a queue: a slow reader sees the newest state of each container, and nothing piles up.
    records: watch::Sender<Arc<Vec<ContainerRecord>>>,
    /// The supervisor is gone: nothing follows.
    lost: CancellationToken,
    commands: Mutex<HashMap<u64, oneshot::Sender<Exit>>>,
}

impl State {
    pub(super) fn new(records: Vec<ContainerRecord>) -> Arc<State> {
        Arc::new(State {
            records: watch::Sender::new(Arc::new(records)),
            lost: CancellationToken::new(),
            commands: Mutex::default(),
        })
    }

    pub(super) fn records(&self) -> Vec<ContainerRecord> {
        self.records.borrow().to_vec()
    }

    /// Keeps a record, unless a newer one of the same container is known: the end of a short-lived container can
    /// overtake the answer to its start.
    pub(super) fn note(&self, record: ContainerRecord) {
        self.records.send_if_modified(|records| {
            let ended = |record: &ContainerRecord| matches!(record.state, ContainerState::Exited { .. });
            let place = |record: &ContainerRecord| (record.attempt, ended(record));
            let known = records.iter().find(|known| known.name == record.name);
            if known.is_some_and(|known| place(known) >= place(&record)) {
                return false;
            }
            let records = Arc::make_mut(records);
            records.retain(|known| known.name != record.name);
            records.push(record);
            true
        });
    }

    pub(super) fn replace(&self, records: Vec<ContainerRecord>) {
        self.records.send_replace(Arc::new(records));
    }

    /// The supervisor is gone, and with it everything that ran.
    pub(super) fn lose(&self) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let lost: Vec<_> = self.records().into_iter().map(as_lost).collect();
        self.records.send_if_modified(|records| {
            let changed = **records != lost;
            *records = Arc::new(lost);
            changed
        });
        self.lost.cancel();
    }

    pub(super) fn expect_command(&self, id: u64) -> oneshot::Receiver<Exit> {
        let (sender, receiver) = oneshot::channel();
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        receiver
    }

    pub(super) fn forget_command(&self, id: u64) -> Option<oneshot::Sender<Exit>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    pub(super) fn hear(&self, message: Message) {
        match message {
            Message::Record(record) => self.note(record),
            Message::ExecEnded { id, exit } => {
                if let Some(waiting) = self.forget_command(id) {
                    let _ = waiting.send(exit);
                }
            }
            _ => {}
        }
    }

    /// Every record that differs from what was seen before.
    pub(super) fn events(&self) -> BoxStream<'static, ContainerRecord> {
        let mut receiver = self.records.subscribe();
        let seen = receiver.borrow_and_update().clone();
        let lost = self.lost.clone();
        let changes =
            futures::stream::unfold((receiver, seen, lost), |(mut receiver, seen, lost)| async move {
                tokio::select! {
                    biased;
                    changed = receiver.changed() => changed.ok()?,
                    // What was noted before the end is said before it.
                    () = lost.cancelled() => if !receiver.has_changed().unwrap_or(false) {
                        return None;
                    },
                }
                let now = receiver.borrow_and_update().clone();
                let new: Vec<_> = now.iter().filter(|record| !seen.contains(record)).cloned().collect();
                Some((futures::stream::iter(new), (receiver, now, lost)))
            });
        changes.flatten().boxed()
    }
}

/// What is said of a running container whose supervisor is dead.
pub(super) fn as_lost(mut record: ContainerRecord) -> ContainerRecord {
    if let ContainerState::Running { started_at, .. } = record.state {
        let finished_at = SystemTime::now();
        record.state = ContainerState::Exited {
            code: LOST_CODE,
            signal: None,
            oom: false,
            lost: true,
            started_at,
            finished_at,
        };
    }
    record
}
