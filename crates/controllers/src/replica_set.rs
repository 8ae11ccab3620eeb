//! ReplicaSet: so many pods of one template. Called by the loop with the key of a ReplicaSet.

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::k8s_openapi::api::apps::v1::ReplicaSet;
use client::{Cache, Caches, Key, Objects, merge_patch, owner};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::Timestamp;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::Value;

use self::plan::{plan_replicas, plan_status};
use crate::owned_pods::{Failure, OwnedPods};
use crate::ownership;
use crate::pod;

/// How many ReplicaSets are worked on at once.
const WORKERS: usize = 8;

struct Controller {
    sets: Cache,
    pods: OwnedPods,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let sets = caches.of::<ReplicaSet>();
    let pods = OwnedPods::of::<ReplicaSet>(caches, "replicaset-controller");
    let all_pods = pods.cache().clone();
    Loop::new("replicaset", Arc::new(Controller { sets: sets.clone(), pods }), WORKERS)
        .watch_own(&sets)
        .watch(&all_pods, move |change| ownership::owners_of(&sets, change))
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(set) = self.sets.get(&key) else {
            self.pods.forget(&key);
            return Ok(None);
        };
        if !self.pods.are_shown(&key) {
            return Ok(Some(OwnedPods::patience()));
        }
        let owned = self.pods.claim(&key, &set).await?;
        let done = if pod::is_deleting(&set) { Ok(()) } else { self.scale(&key, &set, &owned).await };
        if done.is_ok() && !self.pods.are_shown(&key) {
            // The new pods bring this key back; their status is told then, in one write instead of two.
            return Ok(Some(OwnedPods::patience()));
        }
        self.report(&key, &set, &owned, done.err()).await
    }

    /// Makes or deletes pods; a refusal is a failure to report, and what remains is tried again.
    async fn scale(&self, key: &Key, set: &Value, owned: &[Arc<Value>]) -> Result<(), Failure> {
        let desired = set["spec"]["replicas"].as_u64().unwrap_or(1);
        let active: Vec<_> = owned.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
        let plan = plan_replicas(
            usize::try_from(desired).unwrap_or(usize::MAX),
            &active,
            &self.related(set, &active),
        );
        if plan.create > 0 {
            let pod = pod::from_template(
                &set["spec"]["template"],
                &format!("{}-", key.name),
                self.pods.reference(set),
            );
            return self.pods.create(key, set, &vec![&pod; plan.create]).await;
        }
        self.pods.delete(key, set, &plan.delete).await
    }

    /// The pods of all ReplicaSets with the same owner.
    fn related(&self, set: &Value, active: &[Arc<Value>]) -> Vec<Arc<Value>> {
        let Some(owner) = owner::controller_uid(set) else { return active.to_vec() };
        let sets = self.sets.list_in(&Key::of(set).namespace).into_iter();
        let siblings = sets.filter(|sibling| owner::controller_uid(sibling) == Some(owner));
        siblings.flat_map(|sibling| self.pods.controlled_by(&sibling)).collect()
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
            write_status(self.pods.owners(), key, patch).await?;
        }
        match failure {
            Some(failure) => Err(failure.into()),
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
