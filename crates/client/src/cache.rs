//! A read cache of one resource, kept current by list and watch (kube-runtime's watcher: resume,
//! relist on 410, backoff). Shared by whoever holds a clone; the watch ends with the last clone.
//! It knows no kinds and never writes.

pub(crate) mod object;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use futures::StreamExt;
use kube::api::{Api, ApiResource};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::object::Object;
use self::state::State;
use crate::changes::{Changes, Mailbox};
use crate::follow::Follow;
use crate::key::Key;

/// Which words an object is found under in an index.
pub type IndexFn = fn(&Value) -> Vec<String>;

/// Which objects of a resource are wanted; everything by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selectors {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// A label selector, as in `kubectl -l`.
    pub labels: Option<String>,
    /// A field selector, as in `kubectl --field-selector`.
    pub fields: Option<String>,
    /// Take the metadata of the objects and nothing else.
    pub metadata_only: bool,
}

impl Selectors {
    /// What a watcher asks the API for.
    pub(crate) fn request(
        &self,
        client: &kube::Client,
        resource: &ApiResource,
    ) -> (Api<Object>, watcher::Config) {
        let api = match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
            None => Api::all_with(client.clone(), resource),
        };
        let (label_selector, field_selector) = (self.labels.clone(), self.fields.clone());
        (api, watcher::Config { label_selector, field_selector, ..watcher::Config::default() })
    }
}

struct Inner {
    resource: ApiResource,
    metadata_only: bool,
    state: Mutex<State>,
    synced: watch::Sender<bool>,
    task: Mutex<Option<AbortHandle>>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding the cache")
    }

    fn trim(&self, object: Object) -> Value {
        object.into_value(&self.resource, self.metadata_only)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().expect("nothing panics while holding it").take() {
            task.abort();
        }
        self.state().close();
    }
}

/// A shared read cache of one resource.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

impl Cache {
    /// Starts watching. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(client: &kube::Client, resource: ApiResource, selectors: Selectors) -> Cache {
        let (api, config) = selectors.request(client, &resource);
        let inner = Arc::new(Inner {
            resource,
            metadata_only: selectors.metadata_only,
            state: Mutex::new(State::default()),
            synced: watch::Sender::new(false),
            task: Mutex::new(None),
        });
        let task = tokio::spawn(follow(Arc::downgrade(&inner), api, config)).abort_handle();
        *inner.task.lock().expect("nothing panics while holding it") = Some(task);
        Cache(inner)
    }

    /// What this is a cache of.
    #[must_use]
    pub fn resource(&self) -> &ApiResource {
        &self.0.resource
    }

    /// Waits until the first list is complete.
    pub async fn synced(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.0.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Tells when the first list is complete.
    pub(crate) fn sync(&self) -> watch::Receiver<bool> {
        self.0.synced.subscribe()
    }

    /// Whether the first list is complete.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.0.synced.borrow()
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.0.state().objects.get(key).cloned()
    }

    /// A typed view of one object; `None` also when the object does not fit the type.
    #[must_use]
    pub fn get_as<K: DeserializeOwned>(&self, key: &Key) -> Option<K> {
        self.get(key).and_then(|object| crate::parse(&object).ok())
    }

    /// Every object, in the order of namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Value>> {
        self.0.state().objects.values().cloned().collect()
    }

    /// The objects of one namespace, in the order of name.
    #[must_use]
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<Value>> {
        let state = self.0.state();
        let from = Key::new(namespace, "");
        state
            .objects
            .range(from..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// The newest resource version that this cache has seen. Versions are integers that grow (KEP-5504), so
    /// whoever wrote at a version knows from this whether the cache shows it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.state().revision
    }

    /// The keys of every object.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.0.state().objects.keys().cloned().collect()
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state().objects.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps an index from now on; the same name twice is one index.
    pub fn add_index(&self, name: &'static str, words: IndexFn) {
        self.0.state().add_index(name, words);
    }

    /// The objects found under `word` in an index that was added; none when it was not.
    #[must_use]
    pub fn by_index(&self, name: &'static str, word: &str) -> Vec<Arc<Value>> {
        self.0.state().by_index(name, word)
    }

    /// Every object now, then every change.
    #[must_use]
    pub fn subscribe(&self) -> Changes {
        let mailbox = Arc::new(Mailbox::default());
        self.0.state().subscribe(&mailbox);
        Changes(mailbox)
    }
}

/// Carries what the watcher says into the cache, until the cache is gone.
async fn follow(inner: Weak<Inner>, api: Api<Object>, config: watcher::Config) {
    let mut events = watcher::watcher(api, config).default_backoff().boxed();
    // A relist is shown only when it is complete, so that readers never see half a list.
    let mut relist = BTreeMap::new();
    while let Some(event) = events.next().await {
        let Some(inner) = inner.upgrade() else { return };
        match event {
            Ok(Event::Init) => relist.clear(),
            Ok(Event::InitApply(object)) => {
                let value = inner.trim(object);
                relist.insert(Key::of(&value), Arc::new(value));
            }
            Ok(Event::InitDone) => {
                inner.state().replace(std::mem::take(&mut relist));
                inner.synced.send_replace(true);
            }
            Ok(Event::Apply(object)) => inner.state().put(Arc::new(inner.trim(object))),
            Ok(Event::Delete(object)) => inner.state().remove(inner.trim(object)),
            Err(error) => {
                tracing::debug!(resource = %inner.resource.plural, %error, "the watch failed and will be resumed")
            }
        }
    }
}

/// `apiVersion`, plural and selection.
type Name = (String, String, Selectors);

/// One cache per resource and selection, made when first asked for, shared by all who ask.
#[derive(Clone)]
pub struct Caches {
    client: kube::Client,
    running: Arc<Mutex<BTreeMap<Name, Weak<Inner>>>>,
}

impl Caches {
    /// No caches yet, over this client.
    #[must_use]
    pub fn new(client: kube::Client) -> Caches {
        Caches { client, running: Arc::default() }
    }

    /// The client below.
    #[must_use]
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The cache of a whole resource.
    #[must_use]
    pub fn of<K: kube::Resource<DynamicType = ()>>(&self) -> Cache {
        self.get(crate::resource::<K>(), Selectors::default())
    }

    /// The changes of the metadata of a whole resource; those of its cache when it runs already.
    #[must_use]
    pub fn follow_metadata(&self, resource: ApiResource) -> Follow {
        let full = (resource.api_version.clone(), resource.plural.clone(), Selectors::default());
        let running =
            self.running.lock().expect("nothing panics while holding it").get(&full).and_then(Weak::upgrade);
        match running {
            Some(inner) => Follow::of(Cache(inner)),
            None => {
                let selectors = Selectors { metadata_only: true, ..Selectors::default() };
                Follow::start(&self.client, resource, selectors)
            }
        }
    }

    /// The cache of a selection of a resource.
    #[must_use]
    pub fn get(&self, resource: ApiResource, selectors: Selectors) -> Cache {
        let mut running = self.running.lock().expect("nothing panics while holding it");
        running.retain(|_, cache| cache.strong_count() > 0);
        let name = (resource.api_version.clone(), resource.plural.clone(), selectors.clone());
        if let Some(inner) = running.get(&name).and_then(Weak::upgrade) {
            return Cache(inner);
        }
        let cache = Cache::start(&self.client, resource, selectors);
        running.insert(name, Arc::downgrade(&cache.0));
        cache
    }
}
