//! All objects of one resource: their current versions in key order, and a ring of the last changes from which
//! watches are fed and earlier revisions are rebuilt. Written by the feed alone, read by every request.

use super::encode;
use super::item::Item;
use super::select::Selector;
use bytes::Bytes;
use object::Kind;
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{
        Arc, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::Revision;
use tokio::sync::watch;

/// Changes that one resource remembers: a client that was away for less can resume its watch.
const RING_EVENTS_MAX: usize = 10_000;
/// Memory that the remembered changes of one resource may take; fewer changes are kept when they are big.
const RING_BYTES_MAX: usize = 8 << 20;
/// How long changes are remembered, as upstream does: whoever was away for longer lists again.
const RING_AGE_MAX: Duration = Duration::from_secs(300);
/// Changes that are kept however old they are, so that a quiet resource can be resumed after a long time, and if they are
/// big, up to [`RING_BYTES_BIG`].
const RING_EVENTS_MIN: usize = 128;
/// Memory that the [`RING_EVENTS_MIN`] last changes may take: some twenty of the biggest objects (1.5 MiB), so that a few
/// of them do not make every watch expire, and a hundred do not fill the memory.
const RING_BYTES_BIG: usize = 32 << 20;
/// Memory that changes older than [`RING_AGE_MAX`] may take.
const RING_BYTES_OLD: usize = 1 << 20;
/// What a change costs beside the bytes that it replaced: the event and its item, their key, uid and labels.
const EVENT_BYTES: usize = 512;

const _: () =
    assert!(RING_EVENTS_MAX * EVENT_BYTES < RING_BYTES_MAX, "small changes are bounded by their number");

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) revision: Revision,
    /// The version before, absent for a creation.
    pub(crate) previous: Option<Arc<Item>>,
    /// The version after; for a deletion the last version, with the revision of the deletion.
    pub(crate) item: Arc<Item>,
    pub(crate) deletion: bool,
}

/// The revision asked for is older than what the ring remembers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooOld;

#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) kind: &'static Kind,
    /// `/registry/<group or core>/<plural>/`
    pub(crate) prefix: String,
    state: RwLock<State>,
    changed: watch::Sender<Revision>,
    /// Its resource is another by now, or none: whoever watches must ask again.
    closed: AtomicBool,
    /// Its resource is going away: nothing new may come.
    terminating: AtomicBool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    items: BTreeMap<Arc<str>, Arc<Item>>,
    ring: VecDeque<Arc<Event>>,
    ring_bytes: usize,
    /// Every change with a revision greater than this is in the ring.
    oldest: Revision,
    /// The revision of the last change.
    revision: Revision,
}

impl Shelf {
    pub(crate) fn new(kind: &'static Kind) -> Self {
        let group = if kind.group.is_empty() { "core" } else { kind.group };
        Self {
            kind,
            prefix: format!("/registry/{group}/{}/", kind.plural),
            state: RwLock::default(),
            changed: watch::Sender::new(0),
            closed: AtomicBool::new(false),
            terminating: AtomicBool::new(false),
        }
    }

    /// Ends all watches, once they have seen what is there.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.send_modify(|_| {});
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets nothing new in.
    pub(crate) fn terminate(&self) {
        self.terminating.store(true, Ordering::Release);
    }

    /// Whether its resource is going away.
    pub(crate) fn is_terminating(&self) -> bool {
        self.terminating.load(Ordering::Acquire)
    }

    /// The store's key of an object.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> Arc<str> {
        if namespace.is_empty() {
            format!("{}{name}", self.prefix).into()
        } else {
            format!("{}{namespace}/{name}", self.prefix).into()
        }
    }

    /// What the keys of a namespace start with; of all namespaces when it is empty.
    pub(crate) fn range(&self, namespace: &str) -> String {
        if namespace.is_empty() { self.prefix.clone() } else { format!("{}{namespace}/", self.prefix) }
    }

    /// The current state, held for reading: keep it short, the feed waits for it.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The current version of one object.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<Item>> {
        self.read().items.get(&*self.key(namespace, name)).cloned()
    }

    /// Every object of a namespace (of all, when empty), in key order.
    pub(crate) fn all(&self, namespace: &str) -> Vec<Arc<Item>> {
        let range = self.range(namespace);
        self.read().under(&range, None).cloned().collect()
    }

    /// Tells about later changes; a lagging receiver misses notices, never changes, as those are in the ring.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    /// Puts what the store held at `revision`, before the feed begins.
    pub(crate) fn load(&self, items: Vec<Item>, revision: Revision) {
        let mut state = self.write();
        *state = State { oldest: revision, revision, ..State::default() };
        state.items = items.into_iter().map(|item| (item.key.clone(), Arc::new(item))).collect();
        self.changed.send_replace(revision);
    }

    /// The version of an object that the store put in `revision`.
    pub(crate) fn item(
        &self,
        key: &Arc<str>,
        stored: &Bytes,
        revision: Revision,
    ) -> serde_json::Result<Item> {
        if self.kind.is_custom() && !encode::is_of(stored, self.kind) {
            return self.settled(key, stored, revision);
        }
        Item::read(self.kind, self.prefix.len(), key.clone(), stored.clone(), revision)
    }

    /// The version of an object that was stored when its kind may have been another: in the version that is stored now, with
    /// the defaults of now.
    pub(crate) fn settled(
        &self,
        key: &Arc<str>,
        stored: &Bytes,
        revision: Revision,
    ) -> serde_json::Result<Item> {
        let mut stored = stored.clone();
        let before: serde_json::Value = serde_json::from_slice(&stored)?;
        let mut object = before.clone();
        self.kind.settle_stored(&mut object);
        if object != before {
            stored = encode::encode(&object);
        }
        Item::read(self.kind, self.prefix.len(), key.clone(), stored, revision)
    }

    /// Takes in one change. `stored` is the new version, or `None` when the key was deleted.
    pub(crate) fn apply(
        &self,
        key: &Arc<str>,
        stored: Option<&Bytes>,
        revision: Revision,
    ) -> serde_json::Result<()> {
        let item = stored.map(|bytes| self.item(key, bytes, revision)).transpose()?;
        let mut state = self.write();
        let event = match item {
            Some(item) => {
                let item = Arc::new(item);
                let previous = state.items.insert(item.key.clone(), item.clone());
                Event { revision, previous, item, deletion: false }
            }
            None => {
                let Some(previous) = state.items.remove(key) else { return Ok(()) };
                let item = Arc::new(previous.deleted(revision));
                Event { revision, previous: Some(previous), item, deletion: true }
            }
        };
        state.remember(event);
        Ok(())
    }

    /// Forgets changes that are older than watches may ask for.
    pub(crate) fn forget_old(&self) {
        let mut state = self.write();
        state.trim();
        let room = 2 * state.ring.len();
        state.ring.shrink_to(room);
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Wakes the watchers, after the feed has published the revision.
    pub(crate) fn notify(&self, revision: Revision) {
        self.changed.send_replace(revision);
    }
}

impl Event {
    /// What the ring alone keeps alive: the version that was replaced. The new one is the shelf's, or the next change's.
    fn weight(&self) -> usize {
        EVENT_BYTES + self.previous.as_ref().map_or(0, |previous| previous.stored.len())
    }
}

impl State {
    fn remember(&mut self, event: Event) {
        self.revision = event.revision;
        self.ring_bytes += event.weight();
        self.ring.push_back(Arc::new(event));
        self.trim();
    }

    fn trim(&mut self) {
        while self.is_overfull() {
            let Some(event) = self.ring.pop_front() else { break };
            self.ring_bytes -= event.weight();
            self.oldest = event.revision;
        }
    }

    fn is_overfull(&self) -> bool {
        let Some(first) = self.ring.front() else { return false };
        let old = first.item.since.elapsed() > RING_AGE_MAX;
        let bytes_max = match self.ring.len() > RING_EVENTS_MIN {
            true if old => return true,
            true => RING_BYTES_MAX,
            false if old => RING_BYTES_OLD,
            false => RING_BYTES_BIG,
        };
        self.ring.len() > RING_EVENTS_MAX || self.ring_bytes > bytes_max
    }

    /// The revision of the last change of this resource.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The current versions of the objects whose keys start with `prefix`, behind `after`.
    pub(crate) fn under<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Item>> {
        let start = match after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        self.items
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, item)| item)
    }

    /// The objects under `prefix` as they were at `revision`: the current ones with the later changes undone.
    pub(crate) fn at(
        &self,
        prefix: &str,
        after: Option<&str>,
        revision: Revision,
    ) -> Result<Vec<Arc<Item>>, TooOld> {
        if revision < self.oldest {
            return Err(TooOld);
        }
        let mut items: BTreeMap<&str, &Arc<Item>> =
            self.under(prefix, after).map(|item| (&*item.key, item)).collect();
        for event in self.ring.iter().rev().take_while(|event| event.revision > revision) {
            let key = &*event.item.key;
            if !key.starts_with(prefix) || after.is_some_and(|after| key <= after) {
                continue;
            }
            match &event.previous {
                Some(previous) => items.insert(key, previous),
                None => items.remove(key),
            };
        }
        Ok(items.into_values().cloned().collect())
    }

    /// Up to `max` changes after `revision`, and the revision up to which these are all that concern `selector`.
    pub(crate) fn since(
        &self,
        revision: Revision,
        prefix: &str,
        selector: &Selector,
        max: usize,
    ) -> Result<(Vec<Arc<Event>>, Revision), TooOld> {
        if revision < self.oldest {
            return Err(TooOld);
        }
        let start = self.ring.partition_point(|event| event.revision <= revision);
        let mut events: Vec<Arc<Event>> = Vec::new();
        let mut seen = revision;
        for event in self.ring.range(start..) {
            // A transaction's changes share a revision and must not be cut apart.
            if events.len() >= max && event.revision != seen {
                break;
            }
            seen = event.revision;
            let before = event.previous.as_deref();
            let concerns = selector.matches(&event.item) || before.is_some_and(|item| selector.matches(item));
            if event.item.key.starts_with(prefix) && concerns {
                events.push(event.clone());
            }
        }
        Ok((events, seen))
    }
}

#[cfg(test)]
mod tests;
