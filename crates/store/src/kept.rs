//! A store that keeps its data itself: an index to read, a writer thread over some log. Owns start and shutdown.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::hub::Hub;
use crate::index::Index;
use crate::log::Log;
use crate::transaction::{TRANSACTION_BYTES_MAX, check};
use crate::writer::{Commit, Request, Writer};
use crate::{Entry, Error, Op, OpenError, Page, Range, Revision, Store, Watch};

/// Requests that wait for the writer; callers beyond it wait to be queued.
const QUEUE_LEN_MAX: usize = 1024;

/// Bytes of the transactions that wait for the writer or are being written.
const QUEUE_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(TRANSACTION_BYTES_MAX <= QUEUE_BYTES_MAX, "the biggest transaction must fit the queue");

pub(crate) struct Kept {
    index: Arc<RwLock<Index>>,
    hub: Arc<Hub>,
    room: Arc<Semaphore>,
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl Kept {
    pub(crate) fn open(mut log: impl Log) -> Result<Kept, OpenError> {
        let loaded = log.load()?;
        let mut index = Index::default();
        for transaction in loaded.rows.chunk_by(|a, b| a.id.revision == b.id.revision) {
            index.apply(transaction);
        }
        drop(loaded.rows);
        let garbage = index.compact(loaded.oldest);
        let hub = Arc::new(Hub::default());
        hub.start_at(index.revision());
        let (sender, queue) = mpsc::channel(QUEUE_LEN_MAX);
        let issued = index.revision();
        let index = Arc::new(RwLock::new(index));
        let writer =
            Writer { log: Box::new(log), index: index.clone(), hub: hub.clone(), queue, garbage, issued };
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::Thread(Arc::new(error)))?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Ok(Kept { index, hub, room, queue: Some(sender), writer: Some(thread) })
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, request: Request) -> Result<(), Error> {
        let queue = self.queue.as_ref().ok_or(Error::Closed)?;
        queue.send(request).await.map_err(|_| Error::Closed)
    }
}

impl Store for Kept {
    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, Error>> {
        ready(Ok(self.index().get(key))).boxed()
    }

    fn list(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        ready(self.index().list(&range)).boxed()
    }

    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Revision, Error>> {
        async move {
            let bytes = u32::try_from(check(&ops)?).expect("bounded by TRANSACTION_BYTES_MAX");
            let room = self.room.clone().acquire_many_owned(bytes).await.map_err(|_| Error::Closed)?;
            let (reply, answer) = oneshot::channel();
            self.send(Request::Commit(Commit { ops, reply, room })).await?;
            answer.await.map_err(|_| Error::Closed)?
        }
        .boxed()
    }

    fn watch(&self, prefix: &str, from: Revision) -> Result<Watch, Error> {
        // The lock is held until the watch is registered, so that no revision falls between the two.
        let index = self.index();
        let backlog = index.changes(prefix, from)?;
        let seat = self.hub.register(prefix.into(), index.revision())?;
        Ok(Watch::new(self.hub.clone(), seat, backlog, from))
    }

    fn compact(&self, before: Revision) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let (reply, answer) = oneshot::channel();
            self.send(Request::Compact { before, reply }).await?;
            answer.await.map_err(|_| Error::Closed)?
        }
        .boxed()
    }

    fn revision(&self) -> Revision {
        self.index().revision()
    }
}

impl Drop for Kept {
    /// Waits for the writer, so that whoever opens the same file next finds it free.
    fn drop(&mut self) {
        self.queue.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}
