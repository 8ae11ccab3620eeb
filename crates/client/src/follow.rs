//! The changes of one resource without a copy of its objects: for who takes what it needs out of each object when it
//! changes, and for who only must hear of it. Of each object no more is kept than tells whether it changed; a cache keeps
//! it whole, which weighs some ten times its text.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use kube::api::{Api, ApiResource};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::cache::object::Object;
use crate::cache::{Cache, Selectors};
use crate::changes::{Change, Changes, Mailbox};
use crate::key::{Key, revision_of};

/// A stream that begins with every object as it is. `old` is given for what is gone or has been made anew, and then has the
/// name and the uid at least; an object that changed has `new` alone. The watch ends with it.
pub struct Follow {
    changes: Changes,
    synced: watch::Receiver<bool>,
    _source: Source,
}

enum Source {
    /// A cache that runs anyway.
    Cache(#[expect(dead_code, reason = "held so that it goes on")] Cache),
    Watch(AbortHandle),
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Source::Watch(task) = self {
            task.abort();
        }
    }
}

impl Follow {
    /// Starts watching. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(client: &kube::Client, resource: ApiResource, selectors: Selectors) -> Follow {
        let (api, config) = selectors.request(client, &resource);
        let (sender, synced) = watch::channel(false);
        let mailbox = Arc::new(Mailbox::default());
        let teller = Teller {
            resource,
            metadata_only: selectors.metadata_only,
            known: BTreeMap::new(),
            listed: None,
            mailbox: Arc::downgrade(&mailbox),
        };
        let task = tokio::spawn(teller.run(api, config, sender)).abort_handle();
        Follow { changes: Changes(mailbox), synced, _source: Source::Watch(task) }
    }

    /// The changes of a cache.
    #[must_use]
    pub fn of(cache: Cache) -> Follow {
        Follow { changes: cache.subscribe(), synced: cache.sync(), _source: Source::Cache(cache) }
    }

    /// Waits until the first list is complete, whether or not all of it has been taken.
    pub fn synced(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut synced = self.synced.clone();
        async move {
            // A sender that is gone will never tell: whoever waits is about to end as well.
            let _ = synced.wait_for(|synced| *synced).await;
        }
    }

    /// The next object of the first list; `None` when all of it has been given.
    pub async fn listed(&mut self) -> Option<Change> {
        let synced = self.synced();
        tokio::select! {
            biased;
            change = self.changes.next() => change,
            () = synced => futures::FutureExt::now_or_never(self.changes.next()).flatten(),
        }
    }
}

impl Stream for Follow {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        self.changes.poll_next_unpin(context)
    }
}

/// What tells whether an object changed, or is another one of the same name.
#[derive(PartialEq, Eq)]
struct Known {
    revision: u64,
    uid: Box<str>,
}

impl Known {
    fn of(object: &Value) -> Known {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().into();
        Known { revision: revision_of(object), uid }
    }

    /// What is left of an object whose end nobody saw.
    fn remains(&self, key: &Key) -> Arc<Value> {
        Arc::new(json!({ "metadata": { "namespace": key.namespace, "name": key.name, "uid": &*self.uid } }))
    }
}

struct Teller {
    resource: ApiResource,
    metadata_only: bool,
    known: BTreeMap<Key, Known>,
    /// While listing again: what has been in the list so far.
    listed: Option<BTreeSet<Key>>,
    mailbox: Weak<Mailbox>,
}

impl Teller {
    async fn run(mut self, api: Api<Object>, config: watcher::Config, synced: watch::Sender<bool>) {
        let mut events = watcher::watcher(api, config).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => self.listed = (!self.known.is_empty()).then(BTreeSet::new),
                Ok(Event::InitApply(object) | Event::Apply(object)) => self.put(object),
                Ok(Event::InitDone) => {
                    self.drop_unlisted();
                    synced.send_replace(true);
                }
                Ok(Event::Delete(object)) => self.remove(object),
                Err(error) => {
                    tracing::debug!(resource = %self.resource.plural, %error, "the watch failed and will be resumed")
                }
            }
        }
    }

    fn put(&mut self, object: Object) {
        let object = object.into_value(&self.resource, self.metadata_only);
        let (key, now) = (Key::of(&object), Known::of(&object));
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        let another = match self.known.get(&key) {
            Some(known) if *known == now => return,
            Some(known) if known.uid != now.uid => Some(known.remains(&key)),
            _ => None,
        };
        self.known.insert(key.clone(), now);
        self.tell(Change { key, old: another, new: Some(Arc::new(object)) });
    }

    fn remove(&mut self, last: Object) {
        let last = last.into_value(&self.resource, self.metadata_only);
        let key = Key::of(&last);
        if self.known.remove(&key).is_some() {
            self.tell(Change { key, old: Some(Arc::new(last)), new: None });
        }
    }

    fn drop_unlisted(&mut self) {
        let Some(listed) = self.listed.take() else { return };
        let gone: Vec<Key> = self.known.keys().filter(|key| !listed.contains(*key)).cloned().collect();
        for key in gone {
            let old = self.known.remove(&key).map(|known| known.remains(&key));
            self.tell(Change { key, old, new: None });
        }
    }

    fn tell(&self, change: Change) {
        if let Some(mailbox) = self.mailbox.upgrade() {
            mailbox.push(change);
        }
    }
}
