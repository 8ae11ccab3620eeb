//! ReplicaSet: so many pods of one template. Called by the loop with the key of a ReplicaSet.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use client::k8s_openapi::api::apps::v1::ReplicaSet;
use client::k8s_openapi::api::core::v1::Pod;
use client::{
    Cache, Caches, Change, Deletion, Key, Objects, Recorder, kube, merge_patch, owner, revision_of,
};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use object::selector::LabelSelector;
use object::time::Timestamp;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::Value;

use self::plan::{Failure, plan_replicas, plan_status, pod_from_template, without};
use crate::own_writes::OwnWrites;
use crate::ownership::{apply_claims, plan_claims};
use crate::pod;

/// Pods by the uid of their controller.
const BY_CONTROLLER: &str = "controller";
/// Pods without a controller by namespace.
const ORPHANS: &str = "orphans";
/// So many creations go out at once; when all succeed, twice as many next. It bounds what is wasted when
/// every creation is refused, and lets a common Deployment start in one step.
const FIRST_BATCH: usize = 16;
/// How many ReplicaSets are worked on at once.
const WORKERS: usize = 8;

struct Controller {
    sets: Cache,
    pods: Cache,
    set_objects: Objects,
    pod_objects: Objects,
    events: Recorder,
    created: OwnWrites,
    /// Per ReplicaSet, the uids of pods whose deletion the cache does not show yet.
    deleted: Mutex<HashMap<Key, HashSet<String>>>,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (sets, pods) = (caches.of::<ReplicaSet>(), caches.of::<Pod>());
    pods.add_index(BY_CONTROLLER, |pod| owner::controller_uid(pod).map(str::to_owned).into_iter().collect());
    pods.add_index(ORPHANS, |pod| match owner::controller_uid(pod) {
        Some(_) => Vec::new(),
        None => vec![Key::of(pod).namespace],
    });
    let controller = Controller {
        sets: sets.clone(),
        pods: pods.clone(),
        set_objects: Objects::of::<ReplicaSet>(caches.client()),
        pod_objects: Objects::of::<Pod>(caches.client()),
        events: Recorder::start(caches.client(), "replicaset-controller"),
        created: OwnWrites::default(),
        deleted: Mutex::default(),
    };
    Loop::new("replicaset", Arc::new(controller), WORKERS)
        .watch_own(&sets)
        .watch(&pods, move |change| sets_of_pod(&sets, change))
}

/// The ReplicaSets that a change of a pod concerns: its controller before and after, or for an orphan all
/// that select it.
fn sets_of_pod(sets: &Cache, change: &Change) -> Vec<Key> {
    let mut keys = Vec::new();
    for pod in [&change.old, &change.new].into_iter().flatten() {
        match owner::controller(pod) {
            Some(reference) if reference["kind"] == "ReplicaSet" => {
                let name = reference["name"].as_str().unwrap_or_default();
                keys.push(Key::new(change.key.namespace.as_str(), name));
            }
            Some(_) => {}
            None => keys.extend(
                sets.list_in(&change.key.namespace)
                    .iter()
                    .filter(|set| selects(set, pod))
                    .map(|set| Key::of(set)),
            ),
        }
    }
    keys.dedup();
    keys
}

fn selects(set: &Value, pod: &Value) -> bool {
    LabelSelector::from_json(&set["spec"]["selector"])
        .is_ok_and(|selector| !selector.is_empty() && selector.matches(&pod["metadata"]["labels"]))
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
        let uid = set["metadata"]["uid"].as_str().unwrap_or_default();
        let mut candidates = self.pods.by_index(BY_CONTROLLER, uid);
        let orphans = self.pods.by_index(ORPHANS, &key.namespace);
        candidates.extend(orphans.into_iter().filter(|pod| pod::is_active(pod)));
        let claims = plan_claims(set, &selector, candidates);
        let owned = apply_claims(&self.pod_objects, &self.set_objects, set, claims).await?;
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
        siblings
            .flat_map(|sibling| {
                self.pods.by_index(BY_CONTROLLER, sibling["metadata"]["uid"].as_str().unwrap_or_default())
            })
            .collect()
    }

    async fn create(&self, key: &Key, set: &Value, count: usize) -> Option<Failure> {
        let reference = owner::controller_reference(set, self.set_objects.resource());
        let pod = pod_from_template(&set["spec"]["template"], &key.name, reference);
        let (mut left, mut batch) = (count, FIRST_BATCH);
        while left > 0 {
            let now = left.min(batch);
            let answers = join_all((0..now).map(|_| self.pod_objects.create(&key.namespace, &pod))).await;
            let mut failure = None;
            for answer in answers {
                match answer {
                    Ok(made) => {
                        self.created.wrote(key, revision_of(&made));
                        self.events.normal(
                            set,
                            "SuccessfulCreate",
                            format!("Created pod: {}", Key::of(&made).name),
                        );
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                return self.failed(set, "FailedCreate", "Error creating", &error);
            }
            (left, batch) = (left - now, batch * 2);
        }
        None
    }

    async fn delete(&self, key: &Key, set: &Value, pods: Vec<Arc<Value>>) -> Option<Failure> {
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if !pods.is_empty() {
            let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
            deleted.entry(key.clone()).or_default().extend(pods.iter().map(|pod| uid(pod)));
        }
        let answers = join_all(pods.iter().map(|pod| async move {
            let deletion = Deletion { uid: Some(uid(pod)), ..Deletion::default() };
            (pod, self.pod_objects.delete(&Key::of(pod), &deletion).await)
        }))
        .await;
        let mut failure = None;
        for (pod, answer) in answers {
            let name = Key::of(pod).name;
            match answer {
                Ok(_) => self.events.normal(set, "SuccessfulDelete", format!("Deleted pod: {name}")),
                Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => {}
                Err(error) => {
                    let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
                    deleted.entry(key.clone()).or_default().remove(&uid(pod));
                    failure = Some(error);
                }
            }
        }
        failure.and_then(|error| self.failed(set, "FailedDelete", "Error deleting", &error))
    }

    /// Tells the owner's events what went wrong, unless everything is going away anyway.
    fn failed(&self, set: &Value, reason: &'static str, what: &str, error: &kube::Error) -> Option<Failure> {
        let message = client::message(error);
        if !client::is_terminating(error) {
            self.events.warning(set, reason, format!("{what}: {message}"));
        }
        Some(Failure { reason, message })
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
