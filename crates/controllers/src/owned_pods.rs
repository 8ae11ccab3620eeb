//! The pods of the objects of one kind: which are theirs, and how they are made and deleted without counting twice what
//! the cache does not show yet. Which pods are wanted, each controller knows itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::k8s_openapi::api::core::v1::Pod;
use client::{Cache, Caches, Key, Objects, Recorder, kube, owner};
use object::selector::LabelSelector;
use reconcile::Error;
use serde_json::Value;

use crate::own_writes::OwnWrites;
use crate::ownership::{self, apply_claims, plan_claims};
use crate::pod;
use crate::pod_control::PodControl;

/// Why pods could not be made or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Failure {
    fn new(reason: &'static str, error: &kube::Error) -> Failure {
        Failure { reason, message: client::message(error) }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::new(failure.message)
    }
}

/// The pods of one controller.
pub(crate) struct OwnedPods {
    pods: Cache,
    control: PodControl,
    owners: Objects,
    created: OwnWrites,
    /// Per owner, the uids of pods whose deletion the cache does not show yet.
    deleted: Mutex<HashMap<Key, HashSet<String>>>,
}

impl OwnedPods {
    /// The pods of the objects of `K`; events come from `component`.
    pub(crate) fn of<K: kube::Resource<DynamicType = ()>>(
        caches: &Caches,
        component: &'static str,
    ) -> OwnedPods {
        let pods = caches.of::<Pod>();
        ownership::index(&pods);
        OwnedPods {
            pods,
            control: PodControl {
                objects: Objects::of::<Pod>(caches.client()),
                events: Recorder::start(caches.client(), component),
            },
            owners: Objects::of::<K>(caches.client()),
            created: OwnWrites::default(),
            deleted: Mutex::default(),
        }
    }

    /// The cache of all pods.
    pub(crate) fn cache(&self) -> &Cache {
        &self.pods
    }

    /// The owners as the API has them.
    pub(crate) fn owners(&self) -> &Objects {
        &self.owners
    }

    /// Where events about the owners go.
    pub(crate) fn events(&self) -> &Recorder {
        &self.control.events
    }

    /// The reference by which a pod is the owner's.
    pub(crate) fn reference(&self, owner: &Value) -> Value {
        owner::controller_reference(owner, self.owners.resource())
    }

    /// An owner that is gone needs no memory.
    pub(crate) fn forget(&self, key: &Key) {
        self.deleted.lock().expect("nothing panics while holding it").remove(key);
    }

    /// Whether the cache shows all pods that were made for an owner. Those that are missing bring its key back when they
    /// show up.
    pub(crate) fn are_shown(&self, key: &Key) -> bool {
        self.created.are_shown_by(&self.pods, key)
    }

    /// Whether the cache shows that the pods are going that were deleted for an owner; asked after [`OwnedPods::claim`],
    /// which leaves the others out.
    pub(crate) fn deletions_are_shown(&self, key: &Key) -> bool {
        !self.deleted.lock().expect("nothing panics while holding it").contains_key(key)
    }

    /// How long to wait at most for what is not shown.
    pub(crate) fn patience() -> Duration {
        OwnWrites::patience()
    }

    /// The pods that name an owner as their controller, whether they are claimed or not.
    pub(crate) fn controlled_by(&self, owner: &Value) -> Vec<Arc<Value>> {
        ownership::controlled(&self.pods, owner)
    }

    /// The pods that belong to the owner, except those whose deletion is on its way.
    pub(crate) async fn claim(&self, key: &Key, owner: &Value) -> Result<Vec<Arc<Value>>, Error> {
        let selector = LabelSelector::from_json(&owner["spec"]["selector"]).map_err(Error::new)?;
        let is_own_or_active = |pod: &Arc<Value>| owner::controller_uid(pod).is_some() || pod::is_active(pod);
        let mut candidates = ownership::candidates(&self.pods, owner);
        candidates.retain(is_own_or_active);
        let claims = plan_claims(owner, &selector, candidates);
        let owned = apply_claims(&self.control.objects, &self.owners, owner, claims).await?;
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

    /// Makes these pods; a refusal is a failure to report, and the rest is left for another turn.
    pub(crate) async fn create(&self, key: &Key, owner: &Value, pods: &[&Value]) -> Result<(), Failure> {
        let created = self.control.create(owner, pods.len(), |at| pods[at].clone()).await;
        for revision in created.revisions {
            self.created.wrote(key, revision);
        }
        created.failure.map_or(Ok(()), |error| Err(Failure::new("FailedCreate", &error)))
    }

    /// Deletes these pods; those that are gone or were replaced meanwhile need it no more.
    pub(crate) async fn delete(&self, key: &Key, owner: &Value, pods: &[Arc<Value>]) -> Result<(), Failure> {
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if !pods.is_empty() {
            let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
            deleted.entry(key.clone()).or_default().extend(pods.iter().map(|pod| uid(pod)));
        }
        let mut failure = None;
        for (pod, outcome) in self.control.delete(owner, pods).await {
            if let Err(error) = outcome {
                let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
                deleted.entry(key.clone()).or_default().remove(&uid(&pod));
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), |error| Err(Failure::new("FailedDelete", &error)))
    }
}

/// The pods of `deleted` (by uid) that are still shown as if nothing had happened are left out.
fn without(pods: Vec<Arc<Value>>, deleted: &HashSet<String>) -> Vec<Arc<Value>> {
    let is_deleted = |pod: &Value| pod["metadata"]["uid"].as_str().is_some_and(|uid| deleted.contains(uid));
    pods.into_iter().filter(|pod| !is_deleted(pod)).collect()
}
