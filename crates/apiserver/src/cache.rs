//! Everything the API server knows, in memory: one shelf per resource, fed by one watch on the store. Reads never
//! leave it; a write is answered when [`Cache::wait`] says that its revision has arrived.

pub(crate) mod encode;
pub(crate) mod item;
pub(crate) mod select;
pub(crate) mod shelf;

use futures::StreamExt;
use object::Kind;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use store::{Change, Range, Revision, Store};
use tokio::sync::{oneshot, watch};

pub(crate) use item::Item;
pub(crate) use select::Selector;
pub(crate) use shelf::{Event, Shelf};

/// What every key of the API server starts with.
const ROOT: &str = "/registry/";
/// Entries that one page of the first load asks for.
const LOAD_PAGE: usize = 1000;

#[derive(Debug)]
pub(crate) struct Cache {
    shelves: Vec<Arc<Shelf>>,
    /// Shelf by `<group or core>/<plural>`, as it stands in the keys.
    by_key: HashMap<String, usize>,
    /// Every change up to this revision is in the shelves.
    seen: AtomicU64,
    /// Tells about new revisions, for those who need not know each.
    notices: watch::Sender<Revision>,
    waiting: Mutex<BTreeMap<Revision, Vec<oneshot::Sender<()>>>>,
    /// Whether the feed runs: without it the cache would grow old in silence.
    fed: AtomicBool,
}

impl Cache {
    /// Reads the whole store, and follows it from there until the last handle is dropped.
    pub(crate) async fn start(store: &Arc<dyn Store>) -> Result<Arc<Cache>, store::Error> {
        let shelves: Vec<_> = object::kinds().iter().map(|kind| Arc::new(Shelf::new(kind))).collect();
        let name = |shelf: &Arc<Shelf>| shelf.prefix[ROOT.len()..shelf.prefix.len() - 1].to_owned();
        let by_key = shelves.iter().enumerate().map(|(index, shelf)| (name(shelf), index)).collect();
        let cache = Arc::new(Cache {
            shelves,
            by_key,
            seen: AtomicU64::new(0),
            notices: watch::Sender::new(0),
            waiting: Mutex::default(),
            fed: AtomicBool::new(true),
        });
        let revision = cache.load(store).await?;
        let watch = store.watch(ROOT, revision)?;
        tokio::spawn(feed(Arc::downgrade(&cache), store.clone(), watch));
        Ok(cache)
    }

    async fn load(&self, store: &Arc<dyn Store>) -> Result<Revision, store::Error> {
        let mut range = Range { limit: Some(LOAD_PAGE), ..Range::prefix(ROOT) };
        let mut items: Vec<Vec<Item>> = self.shelves.iter().map(|_| Vec::new()).collect();
        loop {
            let page = store.list(range.clone()).await?;
            for entry in &page.entries {
                let Some(index) = self.index(&entry.key) else { continue };
                match self.shelves[index].item(&entry.key, &entry.value, entry.modified) {
                    Ok(item) => items[index].push(item),
                    Err(error) => tracing::error!(key = %entry.key, %error, "an object cannot be read"),
                }
            }
            range.at = Some(page.revision);
            range.after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                for (shelf, items) in self.shelves.iter().zip(items) {
                    shelf.load(items, page.revision);
                }
                self.publish(page.revision);
                return Ok(page.revision);
            }
        }
    }

    fn index(&self, key: &str) -> Option<usize> {
        let rest = key.strip_prefix(ROOT)?;
        let group = rest.find('/')?;
        let plural = rest[group + 1..].find('/')? + group + 1;
        self.by_key.get(&rest[..plural]).copied()
    }

    /// The shelf of a resource.
    pub(crate) fn shelf(&self, kind: &Kind) -> &Arc<Shelf> {
        let found = self.shelves.iter().find(|shelf| std::ptr::eq(shelf.kind, kind));
        found.expect("every kind in the table has a shelf")
    }

    /// The shelf of a resource that the kinds table always has.
    pub(crate) fn resource(&self, group: &str, plural: &str) -> &Arc<Shelf> {
        let found =
            self.shelves.iter().find(|shelf| shelf.kind.group == group && shelf.kind.plural == plural);
        found.expect("this resource is in the kinds table")
    }

    /// All shelves, in the order of the kinds table.
    pub(crate) fn shelves(&self) -> &[Arc<Shelf>] {
        &self.shelves
    }

    /// The revision up to which the cache has seen everything.
    pub(crate) fn revision(&self) -> Revision {
        self.seen.load(Ordering::Acquire)
    }

    /// Tells about new revisions of anything.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.notices.subscribe()
    }

    /// Whether the cache still follows the store.
    pub(crate) fn is_fed(&self) -> bool {
        self.fed.load(Ordering::Acquire)
    }

    /// Returns once the cache has seen `revision`; `false` when it never will.
    pub(crate) async fn wait(&self, revision: Revision) -> bool {
        let receiver = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if self.revision() >= revision {
                return true;
            }
            if !self.is_fed() {
                return false;
            }
            let (sender, receiver) = oneshot::channel();
            waiting.entry(revision).or_default().push(sender);
            receiver
        };
        receiver.await.is_ok()
    }

    fn apply(&self, changes: &[Change]) {
        let mut touched: Vec<usize> = Vec::new();
        let Some(revision) = changes.last().map(|change| change.revision) else { return };
        for change in changes {
            let Some(index) = self.index(&change.key) else { continue };
            let shelf = &self.shelves[index];
            match shelf.apply(&change.key, change.value.as_ref(), change.revision) {
                Ok(()) if touched.contains(&index) => {}
                Ok(()) => touched.push(index),
                Err(error) => tracing::error!(key = %change.key, %error, "a change cannot be read"),
            }
        }
        self.publish(revision);
        self.notices.send_replace(revision);
        for index in touched {
            self.shelves[index].notify(revision);
        }
    }

    /// Forgets changes that are older than watches may ask for. New changes do the same; this is for when there are none.
    pub(crate) fn forget_old(&self) {
        self.shelves.iter().for_each(|shelf| shelf.forget_old());
    }

    fn publish(&self, revision: Revision) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.seen.store(revision, Ordering::Release);
        while let Some(entry) = waiting.first_entry() {
            if *entry.key() > revision {
                break;
            }
            for sender in entry.remove() {
                // A caller that went away has nobody to tell.
                let _gone = sender.send(());
            }
        }
    }

    fn starve(&self) {
        self.fed.store(false, Ordering::Release);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Moves changes from the store to the shelves. Ends when the cache is dropped or the store closes.
async fn feed(cache: std::sync::Weak<Cache>, store: Arc<dyn Store>, mut watch: store::Watch) {
    while let Some(batch) = watch.next().await {
        let Some(cache) = cache.upgrade() else { return };
        match batch {
            Ok(changes) => cache.apply(&changes),
            Err(store::Error::Lagged) => match store.watch(ROOT, cache.revision()) {
                Ok(again) => watch = again,
                Err(error) => {
                    tracing::error!(%error, "the cache lost the store");
                    return cache.starve();
                }
            },
            Err(error) => {
                tracing::info!(%error, "the store ended its watch");
                return cache.starve();
            }
        }
    }
    if let Some(cache) = cache.upgrade() {
        cache.starve();
    }
}
