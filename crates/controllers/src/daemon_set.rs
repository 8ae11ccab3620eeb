//! DaemonSet: a pod of a template on every node that takes it, and a new one when the template changes. Called by the
//! loop with the key of a DaemonSet.

mod plan;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::k8s_openapi::api::apps::v1::DaemonSet;
use client::k8s_openapi::api::core::v1::Node;
use client::{Cache, Caches, Change, Key, merge_patch};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::Timestamp;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::Value;

use self::plan::{Plan, World, plan_nodes, plan_update, template_for};
use self::status::plan_status;
use crate::owned_pods::{Failure, OwnedPods};
use crate::ownership;
use crate::pod;
use crate::replica_set::write_status;
use crate::revisions::{History, REVISION_HASH, Revisions, plan_forgotten, words};

const WORKERS: usize = 4;
/// The first and the longest pause before a pod that ended is deleted once more: a node that refuses a pod would refuse
/// the next one as well (the figures are upstream's).
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

struct Controller {
    sets: Cache,
    nodes: Cache,
    pods: OwnedPods,
    revisions: Revisions,
    /// By set and node, when a pod that ended was last deleted, and the pause after that.
    pauses: Mutex<HashMap<(Key, String), (Instant, Duration)>>,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (sets, nodes) = (caches.of::<DaemonSet>(), caches.of::<Node>());
    let pods = OwnedPods::of::<DaemonSet>(caches, "daemonset-controller");
    let revisions = Revisions::of::<DaemonSet>(caches, REVISION_HASH);
    let (all_pods, all_revisions) = (pods.cache().clone(), revisions.cache().clone());
    let controller =
        Controller { sets: sets.clone(), nodes: nodes.clone(), pods, revisions, pauses: Mutex::default() };
    let of_nodes = sets.clone();
    Loop::new("daemonset", Arc::new(controller), WORKERS)
        .watch_own(&sets)
        .watch(&all_pods, move |change| ownership::owners_of(&sets, change))
        .watch(&nodes, move |change| if is_news(change) { of_nodes.keys() } else { Vec::new() })
        .after(&all_revisions)
}

/// Whether a change of a node may change who runs there: not its conditions, which it reports all the time.
fn is_news(change: &Change) -> bool {
    let matters = |node: &Option<Arc<Value>>| {
        let node = node.as_ref()?;
        Some((node["metadata"]["labels"].clone(), node["spec"]["taints"].clone()))
    };
    matters(&change.old) != matters(&change.new)
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
            self.pauses.lock().expect("nothing panics while holding it").retain(|(set, _), _| *set != key);
            return Ok(None);
        };
        if pod::is_deleting(&set) {
            return Ok(None);
        }
        if !self.pods.are_shown(&key) {
            return Ok(Some(OwnedPods::patience()));
        }
        let History { current, old } = self.revisions.settle(&key, &set).await?;
        let hash = current["metadata"]["labels"][REVISION_HASH].as_str().unwrap_or_default();
        let owned = self.pods.claim(&key, &set).await?;
        let world = World::new(&set, hash, &self.nodes.list(), &owned, Timestamp::now());
        let mut plan = plan_nodes(&world);
        if plan.is_empty() {
            plan = plan_update(&world);
        }
        let (done, pause) = self.apply(&key, &world, plan).await;
        if done.is_ok() && !self.pods.are_shown(&key) {
            // The new pods bring this key back; their status is told then, in one write instead of two.
            return Ok(Some(OwnedPods::patience()));
        }
        let (status, again) = plan_status(&world);
        if let Some(patch) = merge_patch(&set["status"], &status) {
            write_status(self.pods.owners(), &key, patch).await?;
        }
        done?;
        let live = words(&owned, REVISION_HASH);
        let limit = set["spec"]["revisionHistoryLimit"].as_i64().unwrap_or_default();
        let is_live = |revision: &Value| {
            revision["metadata"]["labels"][REVISION_HASH].as_str().is_some_and(|hash| live.contains(hash))
        };
        self.revisions.forget(&plan_forgotten(&old, limit, is_live)).await?;
        Ok(pause.into_iter().chain(again).min())
    }

    /// Makes and deletes pods; answers also when a pod that ended may be deleted.
    async fn apply(
        &self,
        key: &Key,
        world: &World<'_>,
        mut plan: Plan,
    ) -> (Result<(), Failure>, Option<Duration>) {
        let mut pause = None;
        for (node, pod) in plan.failed {
            match self.may_delete(key, &node) {
                Ok(()) => {
                    self.tell_ended(world.set, &node, &pod);
                    plan.delete.push(pod);
                }
                Err(left) => pause = Some(pause.map_or(left, |sooner: Duration| sooner.min(left))),
            }
        }
        let pods = plan.create.iter().map(|node| {
            let template = template_for(world.set, node, world.hash);
            pod::from_template(&template, &format!("{}-", key.name), self.pods.reference(world.set))
        });
        let pods: Vec<Value> = pods.collect();
        let made = self.pods.create(key, world.set, &pods.iter().collect::<Vec<_>>()).await;
        let deleted = self.pods.delete(key, world.set, &plan.delete).await;
        (made.and(deleted), pause)
    }

    fn may_delete(&self, key: &Key, node: &str) -> Result<(), Duration> {
        let mut pauses = self.pauses.lock().expect("nothing panics while holding it");
        let place = (key.clone(), node.to_owned());
        let pause = match pauses.get(&place) {
            Some((at, pause)) if at.elapsed() < *pause => return Err(*pause - at.elapsed()),
            // It ran for long: what was before is forgotten.
            Some((at, pause)) if at.elapsed() < 2 * PAUSE_MAX => (2 * *pause).min(PAUSE_MAX),
            _ => PAUSE_FIRST,
        };
        pauses.insert(place, (Instant::now(), pause));
        Ok(())
    }

    fn tell_ended(&self, set: &Value, node: &str, pod: &Value) {
        let (name, events) = (Key::of(pod), self.pods.events());
        if pod["status"]["phase"] == "Failed" {
            let message = format!("Found failed daemon pod {name} on node {node}, will try to kill it");
            events.warning(set, "FailedDaemonPod", message);
        } else {
            let message = format!("Found succeeded daemon pod {name} on node {node}, will try to delete it");
            events.normal(set, "SucceededDaemonPod", message);
        }
    }
}
