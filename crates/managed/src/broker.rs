//! Queues that somebody made and named, each with its settings: how long messages are kept and hidden, in which order they
//! come, and where those go that nobody can work off. The rules are those of Amazon SQS; no wire format is known here.
//! Everything that was acknowledged is durable, as in the queues below: see [`crate::Queue`].
//!
//! ```text
//!  Broker ─ all queues of one store, by name
//!    └─ Declared ─ one of them: Settings, and a Queue
//!         ├─ send ─▶ Recent (what was sent twice within five minutes counts once)
//!         ├─ receive ─▶ messages received too often go to the dead-letter queue
//!         └─ MoveTask ─ brings dead letters back
//! ```

mod attribute;
mod declared;
mod delivered;
mod envelope;
mod recent;
mod record;
mod settings;
mod task;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Expect, Op, Range, Store};
use tokio::sync::Notify;

use crate::{Clock, Limits, Queues};
use record::Record;

pub use attribute::{Attribute, AttributeValue, md5_of, md5_of_attributes};
pub use declared::{Ask, Declared, Handle, HandleError, ReceiveError};
pub use delivered::{Delivered, sequence};
pub use envelope::{Accepted, Letter, LetterError};
pub use settings::{QUEUE_DEFAULTS, Redrive, RedriveAllow, Settings};
pub use task::{MoveError, MoveState, MoveTask};

/// What all queues may hold together: so much that the limit of messages in flight comes first in a single one, and that
/// bodies never take more memory than a small machine has.
const LIMITS: Limits = Limits { messages: 400_000, bytes: 512 << 20, share: 2 };

/// Queues of one store. Each costs some kilobytes.
const QUEUES_MAX: usize = 10_000;

const _: () = assert!(LIMITS.messages / LIMITS.share > declared::IN_FLIGHT_MAX, "so many can be in flight");

/// Why a queue was not made or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeclareError {
    /// There is one of this name, with other settings.
    #[error("a queue already exists with the same name and a different value for {0}")]
    Exists(&'static str),
    /// There is none of this name.
    #[error("the queue does not exist")]
    Gone,
    /// There are as many as may be.
    #[error("there are {QUEUES_MAX} queues, which is as many as may be")]
    TooMany,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// All queues of one store.
pub struct Broker {
    queues: Arc<Queues>,
    declared: Mutex<BTreeMap<Arc<str>, Arc<Declared>>>,
    /// Held while settings are written, so that what is kept is what was written last.
    writing: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<Arc<MoveTask>>>,
    /// A queue was made.
    made: Notify,
}

impl Broker {
    /// Reads what the store holds. The store must be for this alone.
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Arc<Broker>, store::Error> {
        let queues = Queues::open_with(store.clone(), clock, LIMITS).await?;
        let records = store.list(Range::prefix(record::QUEUES)).await?.entries;
        let broker = Arc::new(Broker {
            queues,
            declared: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
            made: Notify::new(),
        });
        for entry in records {
            let name = entry.key.strip_prefix(record::QUEUES);
            let (Some(name), Some(record)) = (name, Record::read(&entry.value)) else {
                tracing::error!(key = %entry.key, "a queue in the store cannot be read and is left alone");
                continue;
            };
            let declared = broker.declare(name, record);
            declared.restore().await?;
            broker.lock().insert(name.into(), declared);
        }
        broker.sweep().await?;
        Ok(broker)
    }

    /// Queues that are gone when they are dropped, for tests.
    pub async fn in_memory(clock: Arc<dyn Clock>) -> Arc<Broker> {
        Broker::open(store::memory(), clock).await.expect("an empty store has nothing to fail on")
    }

    fn declare(self: &Arc<Self>, name: &str, record: Record) -> Arc<Declared> {
        let queue = self.queues.queue(&format!("{name}/{}", record.uid));
        Declared::new(Arc::downgrade(self), name, record, queue)
    }

    /// Messages of queues whose deletion a crash cut short.
    async fn sweep(&self) -> Result<(), store::Error> {
        for (name, queue) in self.queues.filled() {
            let known = self.lock().values().any(|declared| declared.is(&queue));
            if !known && let Err(crate::QueueError::Store(error)) = queue.purge().await {
                tracing::error!(%name, "messages of a deleted queue could not be removed");
                return Err(error);
            }
        }
        Ok(())
    }

    /// The queue of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Declared>> {
        self.lock().get(name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Declared>> {
        self.lock().values().cloned().collect()
    }

    /// What time the queues go by, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.queues.now_ms()
    }

    /// Makes a queue. `asked` is told of one that is there already, and says which setting differs from what was asked for.
    pub async fn create(
        self: &Arc<Self>,
        name: &str,
        settings: Settings,
        asked: impl FnOnce(&Settings) -> Option<&'static str>,
    ) -> Result<Arc<Declared>, DeclareError> {
        let _writing = self.writing.lock().await;
        if let Some(found) = self.get(name) {
            return match asked(&found.settings()) {
                None => Ok(found),
                Some(differs) => Err(DeclareError::Exists(differs)),
            };
        }
        if self.lock().len() >= QUEUES_MAX {
            return Err(DeclareError::TooMany);
        }
        let now_ms = self.now_ms();
        let uid = uuid::Uuid::new_v4().simple().to_string();
        let record = Record { uid, created_ms: now_ms, modified_ms: now_ms, settings };
        self.write(name, Some(&record)).await?;
        let declared = self.declare(name, record);
        self.lock().insert(name.into(), declared.clone());
        self.made.notify_waiters();
        Ok(declared)
    }

    /// The queue of this name, as soon as there is one. Spends nothing while it waits.
    pub async fn until_made(&self, name: &str) -> Arc<Declared> {
        loop {
            let mut made = std::pin::pin!(self.made.notified());
            // Registered before the look, so that none is missed between the two.
            made.as_mut().enable();
            match self.get(name) {
                Some(declared) => return declared,
                None => made.await,
            }
        }
    }

    /// Changes the settings of a queue; what fails to change them leaves them as they are.
    pub async fn change<E: From<DeclareError>>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Settings) -> Result<(), E>,
    ) -> Result<(), E> {
        let _writing = self.writing.lock().await;
        let declared = self.get(name).ok_or(DeclareError::Gone)?;
        let mut record = declared.record();
        change(&mut record.settings)?;
        record.modified_ms = self.now_ms();
        self.write(name, Some(&record)).await?;
        declared.replace(record);
        Ok(())
    }

    /// Deletes a queue with its messages. Who waits for one is told.
    pub async fn delete(&self, name: &str) -> Result<(), DeclareError> {
        let writing = self.writing.lock().await;
        let declared = self.get(name).ok_or(DeclareError::Gone)?;
        self.write(name, None).await?;
        self.lock().remove(name);
        drop(writing);
        // From here on it is gone; what cannot be removed now is when the store is opened again.
        if let Err(error) = declared.end().await {
            tracing::warn!(name, %error, "messages of a deleted queue are not removed yet");
        }
        Ok(())
    }

    async fn write(&self, name: &str, record: Option<&Record>) -> Result<(), DeclareError> {
        let (key, expect) = (format!("{}{name}", record::QUEUES).into(), Expect::Any);
        let op = match record {
            Some(record) => Op::Put { key, value: record.write(), expect },
            None => Op::Delete { key, expect },
        };
        self.queues.store().commit(vec![op]).await?;
        Ok(())
    }

    /// The queues that send their dead letters to this one.
    pub fn sources_of(&self, name: &str) -> Vec<Arc<Declared>> {
        let sends_here = |declared: &Arc<Declared>| {
            declared.settings().redrive.as_ref().is_some_and(|redrive| redrive.target == name)
        };
        self.all().into_iter().filter(sends_here).collect()
    }

    /// Makes room: messages that are too old to be delivered go, in all queues.
    async fn expire(&self) {
        for declared in self.all() {
            declared.expire().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Declared>>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
