//! ReplicaSet: so many pods of one template. Called by the loop with the key of a ReplicaSet.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use client::k8s_openapi::api::apps::v1::ReplicaSet;
use client::k8s_openapi::api::core::v1::Pod;
use client::{Cache, Caches, Key, Objects, Recorder, merge_patch, owner};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::selector::LabelSelector;
use object::time::Timestamp;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::Value;

use self::plan::{Failure, plan_replicas, plan_status, without};
use crate::own_writes::OwnWrites;
use crate::ownership::{self, apply_claims, plan_claims};
use crate::pod;
use crate::pod_control::PodControl;

/// How many ReplicaSets are worked on at once.
const WORKERS: usize = 8;

struct Controller {
    sets: Cache,
    pods: Cache,
    set_objects: Objects,
    pod_control: PodControl,
    created: OwnWrites,
    /// Per ReplicaSet, the uids of pods whose deletion the cache does not show yet.
    deleted: Mutex<HashMap<Key, HashSet<String>>>,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (sets, pods) = (caches.of::<ReplicaSet>(), caches.of::<Pod>());
    ownership::index(&pods);
    let controller = Controller {
        sets: sets.clone(),
        pods: pods.clone(),
        set_objects: Objects::of::<ReplicaSet>(caches.client()),
        pod_control: PodControl {
            objects: Objects::of::<Pod>(caches.client()),
            events: Recorder::start(caches.client(), "replicaset-controller"),
        },
        created: OwnWrites::default(),
        deleted: Mutex::default(),
    };
    Loop::new("replicaset", Arc::new(controller), WORKERS)
        .watch_own(&sets)
        .watch(&pods, move |change| ownership::owners_of(&sets, change))
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(set) = self.sets.get(&key) else {
            self.deleted.lock().expect("nothing panics while holding it").remove(&key);
            return Ok(None);
        };
        if !self.created.are_shown_by(&self.pods, &key) {
            // The pods that are missing in the cache bring this key back when they show up.
            return Ok(Some(OwnWrites::patience()));
        }
        let owned = self.claim(&key, &set).await?;
        let failure = if pod::is_deleting(&set) { None } else { self.scale(&key, &set, &owned).await? };
        if failure.is_none() && !self.created.are_shown_by(&self.pods, &key) {
            // The new pods bring this key back; their status is told then, in one write instead of two.
            return Ok(Some(OwnWrites::patience()));
        }
        self.report(&key, &set, &owned, failure).await
    }

    /// The pods that belong to the set, except those whose deletion is on its way.
    async fn claim(&self, key: &Key, set: &Value) -> Result<Vec<Arc<Value>>, Error> {
        let selector = LabelSelector::from_json(&set["spec"]["selector"]).map_err(Error::new)?;
        let mut candidates = ownership::candidates(&self.pods, set);
        candidates.retain(|pod| owner::controller(pod).is_some() || pod::is_active(pod));
        let claims = plan_claims(set, &selector, candidates);
        let owned = apply_claims(&self.pod_control.objects, &self.set_objects, set, claims).await?;
        let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
        let Some(waiting) = deleted.get_mut(key) else { return Ok(owned) };
        let shown = |uid: &String| {
            owned.iter().any(|pod| pod["metadata"]["uid"] == uid.as_str() && !pod::is_deleting(pod))
        };
        waiting.retain(shown);
        if waiting.is_empty() {
            deleted.remove(key);
            return Ok(owned);
        }
        Ok(without(owned, waiting))
    }

    /// Makes or deletes pods; a refusal is a failure to report, and what remains is tried again.
    async fn scale(&self, key: &Key, set: &Value, owned: &[Arc<Value>]) -> Result<Option<Failure>, Error> {
        let desired = set["spec"]["replicas"].as_u64().unwrap_or(1);
        let active: Vec<_> = owned.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
        let plan = plan_replicas(
            usize::try_from(desired).unwrap_or(usize::MAX),
            &active,
            &self.related(set, &active),
        );
        if plan.create > 0 {
            return Ok(self.create(key, set, plan.create).await);
        }
        Ok(self.delete(key, set, plan.delete).await)
    }

    /// The pods of all ReplicaSets with the same owner.
    fn related(&self, set: &Value, active: &[Arc<Value>]) -> Vec<Arc<Value>> {
        let Some(owner) = owner::controller_uid(set) else { return active.to_vec() };
        let sets = self.sets.list_in(&Key::of(set).namespace).into_iter();
        let siblings = sets.filter(|sibling| owner::controller_uid(sibling) == Some(owner));
        siblings.flat_map(|sibling| ownership::controlled(&self.pods, &sibling)).collect()
    }

    async fn create(&self, key: &Key, set: &Value, count: usize) -> Option<Failure> {
        let reference = owner::controller_reference(set, self.set_objects.resource());
        let pod = pod::from_template(&set["spec"]["template"], &format!("{}-", key.name), reference);
        let created = self.pod_control.create(set, count, |_| pod.clone()).await;
        created.revisions.iter().for_each(|revision| self.created.wrote(key, *revision));
        let message = client::message(&created.failure?);
        Some(Failure { reason: "FailedCreate", message })
    }

    async fn delete(&self, key: &Key, set: &Value, pods: Vec<Arc<Value>>) -> Option<Failure> {
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if !pods.is_empty() {
            let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
            deleted.entry(key.clone()).or_default().extend(pods.iter().map(|pod| uid(pod)));
        }
        let mut failure = None;
        for (pod, outcome) in self.pod_control.delete(set, &pods).await {
            let Err(error) = outcome else { continue };
            let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
            deleted.entry(key.clone()).or_default().remove(&uid(&pod));
            failure = Some(Failure { reason: "FailedDelete", message: client::message(&error) });
        }
        failure
    }

    async fn report(
        &self,
        key: &Key,
        set: &Value,
        owned: &[Arc<Value>],
        failure: Option<Failure>,
    ) -> Outcome {
        let (status, again) = plan_status(set, owned, failure.as_ref(), Timestamp::now());
        if let Some(patch) = merge_patch(&set["status"], &status) {
            write_status(&self.set_objects, key, patch).await?;
        }
        match failure {
            Some(failure) => Err(Error::new(failure.message)),
            None => Ok(again),
        }
    }
}

/// Writes a status; an object that is gone needs none.
pub(crate) async fn write_status(objects: &Objects, key: &Key, patch: Value) -> Result<(), Error> {
    match objects.patch_status(key, patch).await {
        Err(error) if !client::is_not_found(&error) => Err(error.into()),
        _ => Ok(()),
    }
}
