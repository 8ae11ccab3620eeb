//! The pods of the objects of one kind: which are theirs, and how they are made and deleted without counting twice what
//! the cache does not show yet. Which pods are wanted, each controller knows itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::k8s_openapi::api::core::v1::Pod;
use client::{Cache, Caches, Change, Deletion, Key, Objects, Recorder, kube, owner, revision_of};
use futures::future::join_all;
use object::selector::LabelSelector;
use reconcile::Error;
use serde_json::{Map, Value, json};

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

/// Why pods could not be made or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::new(failure.message)
    }
}

/// The pods of one controller.
pub(crate) struct OwnedPods {
    pods: Cache,
    objects: Objects,
    owners: Objects,
    events: Recorder,
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
        pods.add_index(BY_CONTROLLER, |pod| {
            owner::controller_uid(pod).map(str::to_owned).into_iter().collect()
        });
        pods.add_index(ORPHANS, |pod| match owner::controller_uid(pod) {
            Some(_) => Vec::new(),
            None => vec![Key::of(pod).namespace],
        });
        OwnedPods {
            pods,
            objects: Objects::of::<Pod>(caches.client()),
            owners: Objects::of::<K>(caches.client()),
            events: Recorder::start(caches.client(), component),
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
        &self.events
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

    /// The pods of a controller by its uid, whether they are claimed or not.
    pub(crate) fn controlled_by(&self, uid: &str) -> Vec<Arc<Value>> {
        self.pods.by_index(BY_CONTROLLER, uid)
    }

    /// The pods that belong to the owner, except those whose deletion is on its way.
    pub(crate) async fn claim(&self, key: &Key, owner: &Value) -> Result<Vec<Arc<Value>>, Error> {
        let selector = LabelSelector::from_json(&owner["spec"]["selector"]).map_err(Error::new)?;
        let mut candidates = self.controlled_by(owner["metadata"]["uid"].as_str().unwrap_or_default());
        let orphans = self.pods.by_index(ORPHANS, &key.namespace);
        candidates.extend(orphans.into_iter().filter(|pod| pod::is_active(pod)));
        let claims = plan_claims(owner, &selector, candidates);
        let owned = apply_claims(&self.objects, &self.owners, owner, claims).await?;
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
        let (mut left, mut batch) = (pods, FIRST_BATCH);
        while !left.is_empty() {
            let (now, rest) = left.split_at(left.len().min(batch));
            let answers = join_all(now.iter().map(|pod| self.objects.create(&key.namespace, pod))).await;
            let mut failure = None;
            for answer in answers {
                match answer {
                    Ok(made) => {
                        self.created.wrote(key, revision_of(&made));
                        let message = format!("Created pod: {}", Key::of(&made).name);
                        self.events.normal(owner, "SuccessfulCreate", message);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                return Err(self.failed(owner, "FailedCreate", "Error creating", &error));
            }
            (left, batch) = (rest, batch * 2);
        }
        Ok(())
    }

    /// Deletes these pods; those that are gone or were replaced meanwhile need it no more.
    pub(crate) async fn delete(&self, key: &Key, owner: &Value, pods: &[Arc<Value>]) -> Result<(), Failure> {
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if !pods.is_empty() {
            let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
            deleted.entry(key.clone()).or_default().extend(pods.iter().map(|pod| uid(pod)));
        }
        let answers = join_all(pods.iter().map(|pod| async move {
            let deletion = Deletion { uid: Some(uid(pod)), ..Deletion::default() };
            (pod, self.objects.delete(&Key::of(pod), &deletion).await)
        }))
        .await;
        let mut failure = None;
        for (pod, answer) in answers {
            let name = Key::of(pod).name;
            match answer {
                Ok(_) => self.events.normal(owner, "SuccessfulDelete", format!("Deleted pod: {name}")),
                Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => {}
                Err(error) => {
                    let mut deleted = self.deleted.lock().expect("nothing panics while holding it");
                    deleted.entry(key.clone()).or_default().remove(&uid(pod));
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) => Err(self.failed(owner, "FailedDelete", "Error deleting", &error)),
            None => Ok(()),
        }
    }

    /// Tells the owner's events what went wrong, unless everything is going away anyway.
    fn failed(&self, owner: &Value, reason: &'static str, what: &str, error: &kube::Error) -> Failure {
        let message = client::message(error);
        if !client::is_terminating(error) {
            self.events.warning(owner, reason, format!("{what}: {message}"));
        }
        Failure { reason, message }
    }
}

/// The owners of a kind that a change of a pod concerns: its controller before and after, or for an orphan all that
/// select it.
pub(crate) fn owners_of_pod(owners: &Cache, change: &Change) -> Vec<Key> {
    let mut keys = Vec::new();
    for pod in [&change.old, &change.new].into_iter().flatten() {
        match owner::controller(pod) {
            Some(reference) if reference["kind"] == owners.resource().kind.as_str() => {
                let name = reference["name"].as_str().unwrap_or_default();
                keys.push(Key::new(change.key.namespace.as_str(), name));
            }
            Some(_) => {}
            None => keys.extend(
                owners
                    .list_in(&change.key.namespace)
                    .iter()
                    .filter(|owner| selects(owner, pod))
                    .map(|owner| Key::of(owner)),
            ),
        }
    }
    keys.dedup();
    keys
}

fn selects(owner: &Value, pod: &Value) -> bool {
    LabelSelector::from_json(&owner["spec"]["selector"])
        .is_ok_and(|selector| !selector.is_empty() && selector.matches(&pod["metadata"]["labels"]))
}

/// A pod made from a template, owned by `owner`; its name is the API server's choice.
pub(crate) fn pod_from_template(template: &Value, prefix: &str, owner: Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("generateName".into(), format!("{prefix}-").into());
    for name in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(name) {
            metadata.insert(name.into(), value.clone());
        }
    }
    metadata.insert("ownerReferences".into(), json!([owner]));
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// The pods of `deleted` (by uid) that are still shown as if nothing had happened are left out.
fn without(pods: Vec<Arc<Value>>, deleted: &HashSet<String>) -> Vec<Arc<Value>> {
    let is_deleted = |pod: &Value| pod["metadata"]["uid"].as_str().is_some_and(|uid| deleted.contains(uid));
    pods.into_iter().filter(|pod| !is_deleted(pod)).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_pod_takes_all_of_its_template() {
        let template = json!({
            "metadata": { "labels": { "a": "b" }, "annotations": { "c": "d" }, "name": "not this" },
            "spec": { "containers": [], "somethingNew": { "kept": true } },
        });
        let pod = pod_from_template(&template, "web-1", json!({ "uid": "u" }));
        expect![[r#"{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"c":"d"},"generateName":"web-1-","labels":{"a":"b"},"ownerReferences":[{"uid":"u"}]},"spec":{"containers":[],"somethingNew":{"kept":true}}}"#]]
            .assert_eq(&pod.to_string());
    }
}
