//! StatefulSet: numbered pods that keep their names, made, replaced and removed in order. Called by the loop with the key
//! of a StatefulSet.

mod plan;
mod pods;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::k8s_openapi::api::apps::v1::StatefulSet;
use client::{Cache, Caches, Key, merge_patch};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::Timestamp;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::Value;

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
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let sets = caches.of::<StatefulSet>();
    let pods = OwnedPods::of::<StatefulSet>(caches, "statefulset-controller");
    let revisions = Revisions::of::<StatefulSet>(caches, TEMPLATE_HASH);
    let (all_pods, all_revisions) = (pods.cache().clone(), revisions.cache().clone());
    Loop::new("statefulset", Arc::new(Controller { sets: sets.clone(), pods, revisions }), WORKERS)
        .watch_own(&sets)
        .watch(&all_pods, move |change| ownership::owners_of(&sets, change))
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
        let pods: Vec<Value> = pods.collect();
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
