//! Everything the API server knows, in memory: one shelf per resource, fed by one watch on the store. Reads never
//! leave it; a write is answered when [`Cache::wait`] says that its revision has arrived.

pub(crate) mod customs;
pub(crate) mod encode;
pub(crate) mod item;
pub(crate) mod select;
pub(crate) mod shelf;

use futures::StreamExt;
use object::{
    Kind,
    custom::{Registry, Resource},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use store::{Change, Range, Revision, Store};
use tokio::sync::{oneshot, watch};

pub(crate) use customs::{Customs, Found};
pub(crate) use item::Item;
pub(crate) use select::Selector;
pub(crate) use shelf::{Event, Shelf};

/// What every key of the API server starts with.
const ROOT: &str = "/registry/";
/// The resource whose objects make resources.
const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");
/// Entries that one page of the first load asks for.
const LOAD_PAGE: usize = 1000;

#[derive(Debug)]
pub(crate) struct Cache {
    shelves: Vec<Arc<Shelf>>,
    /// Shelf by `<group or core>/<plural>`, as it stands in the keys.
    by_key: HashMap<String, usize>,
    /// The resources that were made at run time.
    customs: RwLock<Arc<Customs>>,
    registry: Registry,
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
        let shelves: Vec<_> = kinds::kinds().iter().map(|kind| Arc::new(Shelf::new(kind))).collect();
        let name = |shelf: &Arc<Shelf>| resource_part(&shelf.prefix).to_owned();
        let by_key = shelves.iter().enumerate().map(|(index, shelf)| (name(shelf), index)).collect();
        let cache = Arc::new(Cache {
            shelves,
            by_key,
            customs: RwLock::default(),
            registry: Registry::default(),
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

    /// Custom kinds are known only when their definitions are, so these are read first, at the same revision.
    async fn load(&self, store: &Arc<dyn Store>) -> Result<Revision, store::Error> {
        let definitions = self.resource(DEFINITIONS.0, DEFINITIONS.1);
        let mut range = Range { limit: Some(LOAD_PAGE), ..Range::prefix(&definitions.prefix) };
        let mut customs = Customs::default();
        loop {
            let page = store.list(range.clone()).await?;
            for entry in &page.entries {
                let resource = self.resource_of(&entry.value);
                let name = &entry.key[definitions.prefix.len()..];
                customs = customs.with(&self.registry, name, resource, page.revision).unwrap_or(customs);
            }
            range.at = Some(page.revision);
            range.after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                break;
            }
        }
        self.replace(customs);
        self.load_all(store, range.at).await
    }

    async fn load_all(&self, store: &Arc<dyn Store>, at: Option<Revision>) -> Result<Revision, store::Error> {
        let mut range = Range { limit: Some(LOAD_PAGE), at, ..Range::prefix(ROOT) };
        let customs = self.customs();
        let shelves: Vec<&Arc<Shelf>> =
            self.shelves.iter().chain(customs.all().map(|served| &served.shelf)).collect();
        let index: HashMap<&str, usize> =
            shelves.iter().enumerate().map(|(index, shelf)| (resource_part(&shelf.prefix), index)).collect();
        let mut items: Vec<Vec<Item>> = shelves.iter().map(|_| Vec::new()).collect();
        loop {
            let page = store.list(range.clone()).await?;
            for entry in &page.entries {
                let Some(index) = index.get(resource_part(&entry.key)).copied() else { continue };
                let shelf = shelves[index];
                let item = match shelf.kind.is_custom() {
                    true => shelf.settled(&entry.key, &entry.value, entry.modified),
                    false => shelf.item(&entry.key, &entry.value, entry.modified),
                };
                match item {
                    Ok(item) => items[index].push(item),
                    Err(error) => tracing::error!(key = %entry.key, %error, "an object cannot be read"),
                }
            }
            range.at = Some(page.revision);
            range.after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                for (shelf, items) in shelves.iter().zip(items) {
                    shelf.load(items, page.revision);
                }
                self.publish(page.revision);
                return Ok(page.revision);
            }
        }
    }

    fn shelf_of(&self, key: &str) -> Option<Arc<Shelf>> {
        let resource = resource_part(key);
        if let Some(index) = self.by_key.get(resource) {
            return Some(self.shelves[*index].clone());
        }
        let (group, plural) = resource.split_once('/')?;
        self.customs().shelf_of_key(group, plural).cloned()
    }

    /// The resources that were made at run time, as they are now.
    pub(crate) fn customs(&self) -> Arc<Customs> {
        self.customs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, customs: Customs) {
        *self.customs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(customs);
    }

    /// What a stored definition makes.
    fn resource_of(&self, stored: &[u8]) -> Option<Resource> {
        let definition: serde_json::Value = serde_json::from_slice(stored).ok()?;
        self.registry.resource(&definition)
    }

    /// Makes the resource of a definition what the definition says now.
    fn redefine(&self, name: &str, stored: Option<&bytes::Bytes>, revision: Revision) {
        let resource = stored.and_then(|stored| self.resource_of(stored));
        if let Some(customs) = self.customs().with(&self.registry, name, resource, revision) {
            self.replace(customs);
        }
    }

    /// The shelf of a kind, in the version in which it is stored; `None` when it is one that was made at run time and is
    /// gone.
    pub(crate) fn shelf(&self, kind: &Kind) -> Option<Arc<Shelf>> {
        if kind.is_custom() {
            return self.customs().shelf(kind).cloned();
        }
        self.shelves.iter().find(|shelf| std::ptr::eq(shelf.kind, kind)).cloned()
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
        let mut touched: Vec<Arc<Shelf>> = Vec::new();
        let Some(revision) = changes.last().map(|change| change.revision) else { return };
        for change in changes {
            let Some(shelf) = self.shelf_of(&change.key) else { continue };
            match shelf.apply(&change.key, change.value.as_ref(), change.revision) {
                Ok(()) if touched.iter().any(|own| Arc::ptr_eq(own, &shelf)) => {}
                Ok(()) => touched.push(shelf.clone()),
                Err(error) => tracing::error!(key = %change.key, %error, "a change cannot be read"),
            }
            if (shelf.kind.group, shelf.kind.plural) == DEFINITIONS {
                self.redefine(&change.key[shelf.prefix.len()..], change.value.as_ref(), change.revision);
            }
        }
        self.publish(revision);
        self.notices.send_replace(revision);
        for shelf in touched {
            shelf.notify(revision);
        }
    }

    /// Forgets changes that are older than watches may ask for. New changes do the same; this is for when there are none.
    pub(crate) fn forget_old(&self) {
        self.shelves.iter().for_each(|shelf| shelf.forget_old());
        self.customs().all().for_each(|served| served.shelf.forget_old());
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

/// The part of a key that names the resource: `apps/deployments`.
fn resource_part(key: &str) -> &str {
    let rest = key.strip_prefix(ROOT).unwrap_or_default();
    let end = rest.match_indices('/').nth(1).map_or(rest.len(), |(at, _)| at);
    &rest[..end]
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
