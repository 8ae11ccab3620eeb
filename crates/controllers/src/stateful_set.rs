//! StatefulSet: numbered pods that keep their names, made, replaced and removed in order. Called by the loop with the key
//! of a StatefulSet.

mod claims;
mod plan;
mod pods;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::k8s_openapi::api::apps::v1::StatefulSet;
use client::k8s_openapi::api::core::v1::PersistentVolumeClaim;
use client::{Cache, Caches, Key, Objects, Patch, Recorder, merge_patch};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::Timestamp;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use self::plan::plan;
use self::pods::World;
use self::status::plan_status;
use crate::owned_pods::OwnedPods;
use crate::ownership;
use crate::pod;
use crate::replica_set::write_status;
use crate::revisions::{History, REVISION_HASH, Revisions, plan_forgotten, words};

const WORKERS: usize = 4;
/// The label of a revision that has the hash of its template; pods have the revision's whole name.
const TEMPLATE_HASH: &str = "controller.kubernetes.io/hash";

struct Controller {
    sets: Cache,
    pods: OwnedPods,
    revisions: Revisions,
    claims: Cache,
    claim_objects: Objects,
    events: Recorder,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let sets = caches.of::<StatefulSet>();
    let pods = OwnedPods::of::<StatefulSet>(caches, "statefulset-controller");
    let revisions = Revisions::of::<StatefulSet>(caches, TEMPLATE_HASH);
    let (all_pods, all_revisions) = (pods.cache().clone(), revisions.cache().clone());
    let claims = caches.of::<PersistentVolumeClaim>();
    let controller = Controller {
        sets: sets.clone(),
        pods,
        revisions,
        claims: claims.clone(),
        claim_objects: Objects::of::<PersistentVolumeClaim>(caches.client()),
        events: Recorder::start(caches.client(), "statefulset-controller"),
    };
    let of_claim = sets.clone();
    Loop::new("statefulset", Arc::new(controller), WORKERS)
        .watch_own(&sets)
        .watch(&all_pods, move |change| ownership::owners_of(&sets, change))
        .watch(&claims, move |change| {
            // A pod may wait for an earlier claim of its name to be gone.
            let sets = of_claim.list_in(&change.key.namespace);
            let named = sets.iter().filter(|set| claims::is_named_by(set, &change.key.name));
            let gone = change.new.is_none();
            named.filter(|_| gone).map(|set| Key::of(set)).collect()
        })
        .after(&all_revisions)
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
        if pod::is_deleting(&set) {
            return Ok(None);
        }
        let owned = self.pods.claim(&key, &set).await?;
        if !self.pods.are_shown(&key) || !self.pods.deletions_are_shown(&key) {
            // Which number is free is known only when everything is shown that was done.
            return Ok(Some(OwnedPods::patience()));
        }
        let history = self.revisions.settle(&key, &set).await?;
        let world = World::new(&set, &history, &owned, Timestamp::now());
        let plan = plan(&world);
        let pods = plan.create.iter().map(|ordinal| world.new_pod(*ordinal, self.pods.reference(&set)));
        let mut pods: Vec<Value> = pods.collect();
        self.keep_owners(&world).await?;
        self.make_claims(&set, &mut pods).await?;
        let made = self.pods.create(&key, &set, &pods.iter().collect::<Vec<_>>()).await;
        let deleted = self.pods.delete(&key, &set, &plan.delete).await;
        let (status, again) = plan_status(&world, &plan);
        if let Some(patch) = merge_patch(&set["status"], &status) {
            write_status(self.pods.owners(), &key, patch).await?;
        }
        made?;
        deleted?;
        self.cut_history(&set, &owned, history).await?;
        Ok(again)
    }

    /// Makes the claims of pods that are to be made; a pod whose earlier claim is on its way out is left for later.
    async fn make_claims(&self, set: &Value, pods: &mut Vec<Value>) -> Result<(), reconcile::Error> {
        let mut ready = Vec::with_capacity(pods.len());
        for pod in std::mem::take(pods) {
            let name = Key::of(&pod).name;
            let needs = claims::plan_needs(set, &name, |claim| self.claims.get(&claims::key(set, claim)));
            if !needs.leaving.is_empty() {
                continue;
            }
            for claim in &needs.create {
                self.make_claim(set, &name, claim).await?;
            }
            ready.push(pod);
        }
        *pods = ready;
        Ok(())
    }

    async fn make_claim(&self, set: &Value, pod: &str, claim: &Value) -> Result<(), reconcile::Error> {
        let key = Key::of(claim);
        let what = format!("create Claim {} Pod {pod} in StatefulSet {}", key.name, Key::of(set).name);
        match self.claim_objects.create(&key.namespace, claim).await {
            Ok(_) => self.events.normal(set, "SuccessfulCreate", format!("{what} success")),
            Err(error) if client::is_already_exists(&error) => {}
            Err(error) => {
                if !client::is_terminating(&error) {
                    let message = format!("{what} failed error: {}", client::message(&error));
                    self.events.warning(set, "FailedCreate", message);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Ties claims to what they go with.
    async fn keep_owners(&self, world: &World<'_>) -> Result<(), reconcile::Error> {
        let find = |claim: &str| self.claims.get(&claims::key(world.set, claim));
        for (claim, owners) in claims::plan_owners(world, find) {
            let version = &claim["metadata"]["resourceVersion"];
            let patch = json!({ "metadata": { "resourceVersion": version, "ownerReferences": owners } });
            match self.claim_objects.patch(&Key::of(&claim), Patch::Merge(patch)).await {
                Err(error) if !client::is_not_found(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn cut_history(
        &self,
        set: &Value,
        owned: &[Arc<Value>],
        history: History,
    ) -> Result<(), reconcile::Error> {
        let live = words(owned, REVISION_HASH);
        let is_live = |revision: &Value| {
            let name = revision["metadata"]["name"].as_str().unwrap_or_default();
            live.contains(name) || set["status"]["currentRevision"] == name
        };
        let old: Vec<Arc<Value>> = history.old.into_iter().filter(|revision| !is_live(revision)).collect();
        let limit = set["spec"]["revisionHistoryLimit"].as_i64().unwrap_or_default();
        self.revisions.forget(&plan_forgotten(&old, limit, |_| false)).await
    }
}
