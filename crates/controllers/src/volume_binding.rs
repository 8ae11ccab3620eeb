//! Which claim has which volume: binds them, says where each stands, and marks for whoever makes volumes which are wanted
//! and for whoever takes them away which are not. Called by the loop with the key of a claim, or of a volume (which has no
//! namespace). Never touches data: volumes are made and removed on nodes.

mod claim;
mod grow;
#[cfg(test)]
mod tests;
mod volume;

use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use client::k8s_openapi::api::storage::v1::StorageClass;
use client::{Cache, Caches, Change, Key, Objects, Patch, Recorder};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::storage;
use reconcile::{Error, Loop, Outcome, Queue, Reconciler};
use serde_json::{Value, json};

use self::claim::{Situation, plan_claim};
use self::volume::{Claimant, plan_volume};
use crate::pod;

/// Writes wait for the disk together. Two claims that take the same volume are told apart by its version: one begins again.
const WORKERS: usize = 8;
/// Pods by the claims that they use.
const BY_CLAIM: &str = "claim";
/// Claims that have no volume yet: all of them under "", and each under the volume that it names.
const WAITING: &str = "waiting";
/// Volumes by the claim that they are for; those that are for none under "".
const BY_CLAIMANT: &str = "claimant";

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    warning: bool,
    reason: &'static str,
    message: String,
}

impl Event {
    fn normal(reason: &'static str, message: impl Into<String>) -> Event {
        Event { warning: false, reason, message: message.into() }
    }

    fn warning(reason: &'static str, message: impl Into<String>) -> Event {
        Event { warning: true, reason, message: message.into() }
    }
}

/// Changes of one object, as merge patches.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Changes {
    /// Of metadata and spec.
    main: Option<Value>,
    status: Option<Value>,
    event: Option<Event>,
}

struct Controller {
    claims: Cache,
    volumes: Cache,
    classes: Cache,
    pods: Cache,
    claim_objects: Objects,
    volume_objects: Objects,
    events: Recorder,
    queue: Queue,
}

/// Keeps what [`users`] looks up.
pub(crate) fn index_users(pods: &Cache) {
    pods.add_index(BY_CLAIM, |pod| {
        let namespace = Key::of(pod).namespace;
        storage::claims(pod).into_iter().map(|(name, _)| format!("{namespace}/{name}")).collect()
    });
}

/// The pods that use a claim.
pub(crate) fn users(pods: &Cache, claim: &Key) -> Vec<Arc<Value>> {
    pods.by_index(BY_CLAIM, &claim.to_string())
}

/// The claims that a pod uses.
pub(crate) fn used_by(pod: &Value) -> Vec<Key> {
    let namespace = Key::of(pod).namespace;
    storage::claims(pod).into_iter().map(|(name, _)| Key::new(namespace.as_str(), name.as_str())).collect()
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (claims, volumes) = (caches.of::<PersistentVolumeClaim>(), caches.of::<PersistentVolume>());
    let (classes, pods) = (caches.of::<StorageClass>(), caches.of::<Pod>());
    index_users(&pods);
    claims.add_index(WAITING, |claim| match claim["spec"]["volumeName"].as_str() {
        _ if storage::is_bound(claim) => Vec::new(),
        Some(name) if !name.is_empty() => vec![String::new(), name.to_owned()],
        _ => vec![String::new()],
    });
    volumes.add_index(BY_CLAIMANT, |volume| {
        vec![claimant(volume).map(|claim| claim.to_string()).unwrap_or_default()]
    });
    let queue = Queue::default();
    let controller = Controller {
        claims: claims.clone(),
        volumes: volumes.clone(),
        classes: classes.clone(),
        pods: pods.clone(),
        claim_objects: Objects::of::<PersistentVolumeClaim>(caches.client()),
        volume_objects: Objects::of::<PersistentVolume>(caches.client()),
        events: Recorder::start(caches.client(), "persistentvolume-controller"),
        queue: queue.clone(),
    };
    let (of_volume, of_class, of_pod) = (claims.clone(), claims.clone(), claims.clone());
    Loop::new("persistentvolume", Arc::new(controller), WORKERS)
        .with_queue(queue)
        .watch(&claims, |change| {
            let volume = change.object()["spec"]["volumeName"].as_str().unwrap_or_default();
            let volume = (!volume.is_empty()).then(|| Key::cluster(volume));
            [change.key.clone()].into_iter().chain(volume).collect()
        })
        .watch(&volumes, move |change| {
            let mut keys = waiting(&of_volume, if became_free(change) { "" } else { &change.key.name });
            keys.extend(claimant(change.object()));
            keys.push(change.key.clone());
            keys
        })
        .watch(&classes, move |_| waiting(&of_class, ""))
        .watch(&pods, move |change| on_pod(&of_pod, change))
}

/// The claims that have no volume yet: all, or those that name this one.
fn waiting(claims: &Cache, volume: &str) -> Vec<Key> {
    claims.by_index(WAITING, volume).iter().map(|claim| Key::of(claim)).collect()
}

/// Whether a volume can be had now, and could not before.
fn became_free(change: &Change) -> bool {
    let free = |volume: &Arc<Value>| {
        volume["status"]["phase"] == "Available" && volume["spec"]["claimRef"].is_null()
    };
    change.new.as_ref().is_some_and(free) && change.old != change.new
}

/// The claim that a volume is for.
fn claimant(volume: &Value) -> Option<Key> {
    let claim = &volume["spec"]["claimRef"];
    Some(Key::new(claim["namespace"].as_str()?, claim["name"].as_str()?))
}

/// A pod that comes, or gets its node, is what its unbound claims tell of.
fn on_pod(claims: &Cache, change: &Change) -> Vec<Key> {
    let used = used_by(change.object());
    used.into_iter().filter(|key| claims.get(key).is_some_and(|claim| !storage::is_bound(&claim))).collect()
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        async move {
            match key.namespace.as_str() {
                "" => self.volume_turn(&key).await?,
                _ => self.claim_turn(&key).await?,
            }
            Ok(None)
        }
        .boxed()
    }
}

impl Controller {
    async fn claim_turn(&self, key: &Key) -> Result<(), Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        let mut volumes = self.volumes.by_index(BY_CLAIMANT, &key.to_string());
        volumes.extend(self.volumes.by_index(BY_CLAIMANT, ""));
        let named = self.named_volume(&claim).await?;
        let classes = self.classes.list();
        let unscheduled = users(&self.pods, key).into_iter().filter(|pod| pod::node(pod).is_none());
        let situation = Situation {
            volumes: &volumes,
            named: named.as_deref(),
            classes: &classes,
            waiting_pods: unscheduled.map(|pod| Key::of(&pod).name).collect(),
        };
        let plan = plan_claim(&claim, &situation);
        if let Some((volume, changes)) = &plan.volume {
            self.apply(&self.volume_objects, volume, changes).await?;
            self.queue.add(Key::of(volume));
        }
        self.apply(&self.claim_objects, &claim, &plan.claim).await
    }

    /// The volume that a claim names, as the API has it when the cache has not seen it: a claim must not be called lost
    /// because of a cache that is behind.
    async fn named_volume(&self, claim: &Value) -> Result<Option<Arc<Value>>, Error> {
        let name = claim["spec"]["volumeName"].as_str().unwrap_or_default();
        if name.is_empty() {
            return Ok(None);
        }
        let key = Key::cluster(name);
        if let Some(volume) = self.volumes.get(&key) {
            return Ok(Some(volume));
        }
        live(&self.volume_objects, &key).await
    }

    async fn volume_turn(&self, key: &Key) -> Result<(), Error> {
        let Some(volume) = self.volumes.get(key) else { return Ok(()) };
        let claim = match claimant(&volume) {
            None => Claimant::Missing,
            Some(key) => {
                let uid = &volume["spec"]["claimRef"]["uid"];
                let mut claim = self.claims.get(&key);
                // Before anything is given back, the API is asked itself.
                if claim.as_ref().is_none_or(|claim| claim["metadata"]["uid"] != *uid) && uid.is_string() {
                    claim = live(&self.claim_objects, &key).await?;
                }
                match claim.filter(|claim| claim["metadata"]["uid"] == *uid) {
                    Some(claim) if claim["spec"]["volumeName"].as_str().is_none_or(str::is_empty) => {
                        self.queue.add(key);
                        Claimant::Binding
                    }
                    Some(claim) if claim["spec"]["volumeName"] == volume["metadata"]["name"] => {
                        Claimant::Bound
                    }
                    Some(_) => Claimant::Elsewhere,
                    None => Claimant::Missing,
                }
            }
        };
        self.apply(&self.volume_objects, &volume, &plan_volume(&volume, claim)).await
    }

    /// Writes what changes, provided that nothing else changed since it was read.
    async fn apply(&self, objects: &Objects, object: &Value, changes: &Changes) -> Result<(), Error> {
        let key = Key::of(object);
        if let Some(event) = &changes.event {
            match event.warning {
                true => self.events.warning(object, event.reason, event.message.as_str()),
                false => self.events.normal(object, event.reason, event.message.as_str()),
            }
        }
        if let Some(main) = &changes.main {
            let mut patch = main.clone();
            patch["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
            gone_is_fine(objects.patch(&key, Patch::Merge(patch)).await)?;
        }
        if let Some(status) = &changes.status {
            let patch = json!({ "metadata": { "uid": object["metadata"]["uid"] }, "status": status });
            gone_is_fine(objects.patch_sub(&key, "status", Patch::Merge(patch)).await)?;
        }
        Ok(())
    }
}

async fn live(objects: &Objects, key: &Key) -> Result<Option<Arc<Value>>, Error> {
    match objects.get(key).await {
        Ok(object) => Ok(Some(Arc::new(object))),
        Err(error) if client::is_not_found(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn gone_is_fine(answer: Result<Value, client::kube::Error>) -> Result<(), Error> {
    match answer {
        Err(error) if !client::is_not_found(&error) => Err(error.into()),
        _ => Ok(()),
    }
}
