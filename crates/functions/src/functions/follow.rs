//! Following functions, their versions, aliases and event sources: what the watch brings goes into the catalog; code that no object names any more is
//! removed after a while.

use super::Functions;
use crate::alias::Alias;
use crate::definition::Definition;
use crate::sources;
use client::{ApiResource, Change, Follow, Key, Selectors, own_resource};
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long an uploaded archive is kept although no object names it, and how long after a change the store is swept:
/// longer than the longest invocation (15 minutes), which may still read the code of a revision that is gone.
const UPLOAD_KEPT: Duration = Duration::from_secs(20 * 60);

/// How long a caller waits for its own write to come by; the watch of an embedded API server takes microseconds.
const SEEN_LIMIT: Duration = Duration::from_secs(5);

/// Where layer objects are found.
pub fn layer_resource() -> ApiResource {
    own_resource("LayerVersion", "layerversions")
}

/// A kind of object that the room follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Watched {
    /// `Function`
    Function,
    /// `FunctionVersion`
    Version,
    /// `FunctionAlias`
    Alias,
    /// `EventSourceMapping`
    Mapping,
}

impl Watched {
    /// Mappings last: what they lead to is known when they are.
    const ALL: [Watched; 4] = [Watched::Function, Watched::Version, Watched::Alias, Watched::Mapping];

    /// Where these objects are found.
    pub fn resource(self) -> ApiResource {
        match self {
            Watched::Function => own_resource("Function", "functions"),
            Watched::Version => own_resource("FunctionVersion", "functionversions"),
            Watched::Alias => own_resource("FunctionAlias", "functionaliases"),
            Watched::Mapping => own_resource("EventSourceMapping", "eventsourcemappings"),
        }
    }
}

/// Where function objects are found.
pub fn resource() -> ApiResource {
    Watched::Function.resource()
}

impl Functions {
    /// Waits until an object that the caller has just written is what invocations see; with `None`, until it is gone.
    pub async fn seen(&self, watched: Watched, key: &Key, resource_version: Option<u64>) {
        let mut seen = self.seen.subscribe();
        let at = (watched, key.clone());
        let current = seen.wait_for(|seen| match (seen.get(&at), resource_version) {
            (Some(version), Some(written)) => *version >= written,
            (found, None) => found.is_none(),
            (None, Some(_)) => false,
        });
        // A watch that lags only means that the next invocation may see the function as it was.
        if tokio::time::timeout(SEEN_LIMIT, current).await.is_err() {
            tracing::warn!(?key, "the watch of functions lags behind");
        }
    }

    /// Says when any of the objects that the room follows has changed.
    pub(crate) fn watch_objects(&self) -> tokio::sync::watch::Receiver<HashMap<(Watched, Key), u64>> {
        self.seen.subscribe()
    }

    pub(super) async fn follow(self: &Arc<Self>, client: &client::kube::Client) {
        for watched in Watched::ALL {
            self.follow_one(client, watched).await;
        }
        let known = self.catalog.pools();
        let known =
            known.iter().map(|pool| (pool.definition.namespace.clone(), pool.definition.name.clone()));
        self.meter().functions_are(&known.collect(), Timestamp::now());
        self.sweep().await;
    }

    async fn follow_one(self: &Arc<Self>, client: &client::kube::Client, watched: Watched) {
        let mut changes = Follow::start(client, watched.resource(), Selectors::default());
        while let Some(change) = changes.listed().await {
            self.see(watched, &change);
        }
        let functions = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                let Some(functions) = functions.upgrade() else { return };
                functions.see(watched, &change);
                functions.sweep_later();
            }
        });
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
    }

    fn see(self: &Arc<Self>, watched: Watched, change: &Change) {
        match &change.new {
            Some(object) => self.take_in(watched, object),
            None => self.forget(watched, &change.key),
        }
    }

    fn take_in(self: &Arc<Self>, watched: Watched, object: &Value) {
        let key = Key::of(object);
        let taken = match watched {
            Watched::Function => Definition::read(object).map(|definition| {
                self.keep_image(&definition);
                self.meter().exists(&definition.namespace, &definition.name);
                self.catalog.put(definition);
            }),
            Watched::Version => Definition::read(object).map(|definition| {
                self.keep_image(&definition);
                self.catalog.put_version(&key, definition);
            }),
            Watched::Alias => Alias::read(object).map(|alias| self.catalog.put_alias(&key, alias)),
            Watched::Mapping => sources::read(object).map(|mapping| self.put_mapping(&key, mapping)),
        };
        if let Err(error) = taken {
            tracing::warn!(?key, error, "an object of a function makes no sense and is not served");
            self.drop_out(watched, &key);
        }
        let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
        self.seen.send_modify(|seen| {
            seen.insert((watched, key), version.unwrap_or(0));
        });
    }

    fn forget(self: &Arc<Self>, watched: Watched, key: &Key) {
        if let (Watched::Function, Some(function)) = (watched, self.catalog.get(key)) {
            self.drop_events(&key.namespace, &key.name, &function.definition.uid);
        }
        self.drop_out(watched, key);
        self.seen.send_modify(|seen| {
            seen.remove(&(watched, key.clone()));
        });
    }

    fn drop_out(&self, watched: Watched, key: &Key) {
        match watched {
            Watched::Function => {
                if let Some(removed) = self.catalog.remove(key) {
                    self.meter().deleted(&removed.namespace, &removed.name, Timestamp::now());
                }
            }
            Watched::Version => {
                if let Some(removed) = self.catalog.remove_version(key) {
                    self.meter().version_deleted(&removed.namespace, &removed.name, &removed.version);
                }
            }
            Watched::Alias => self.catalog.remove_alias(key),
            Watched::Mapping => self.sources.remove(key),
        }
    }

    /// One sweep for all changes of the next while.
    fn sweep_later(self: &Arc<Self>) {
        if self.sweeping.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return;
        }
        let functions = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            tokio::time::sleep(UPLOAD_KEPT).await;
            if let Some(functions) = functions.upgrade() {
                functions.sweeping.store(false, std::sync::atomic::Ordering::Release);
                functions.sweep().await;
            }
        });
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.abort_handle());
    }

    /// Removes code that no function, no layer, no running instance and no recent upload needs.
    async fn sweep(&self) {
        let mut keep = self.catalog.code();
        match self.layers.list("").await {
            Ok(layers) => {
                let code = layers.iter().filter_map(|layer| layer["spec"]["code"]["sha256"].as_str());
                keep.extend(code.map(str::to_owned));
            }
            Err(error) => {
                return tracing::warn!(%error, "layers could not be listed: the code store is not swept");
            }
        }
        let recent: Vec<String> = {
            let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
            uploads.retain(|_, at| at.elapsed() < UPLOAD_KEPT);
            uploads.keys().cloned().collect()
        };
        self.sweep_images(recent.iter().cloned()).await;
        keep.extend(recent);
        let machine = self.machine.clone();
        match tokio::task::spawn_blocking(move || machine.codes.sweep(&keep)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::info!(removed, "code that no function names was removed"),
            Ok(Err(error)) => tracing::warn!(%error, "the code store could not be swept"),
            Err(error) => tracing::error!(%error, "sweeping the code store failed"),
        }
    }
}
