//! Deployment: rollouts over ReplicaSets. Called by the loop with the key of a Deployment.

mod plan;
mod set;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use client::k8s_openapi::api::core::v1::Pod;
use client::{
    Cache, Caches, Change, Deletion, Key, Objects, Patch, Recorder, kube, merge_patch, owner, revision_of,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::selector::LabelSelector;
use object::time::Timestamp;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::{Value, json};

pub(crate) use self::plan::portion;
use self::plan::{Plan, Step, is_recreate, plan};
use self::set::{REVISION, Set, size_annotations};
pub(crate) use self::set::{same_template, template_hash};
use self::status::plan_status;
use crate::conditions::{self, Condition};
use crate::own_writes::OwnWrites;
use crate::ownership::{apply_claims, plan_claims};
use crate::pod;
use crate::replica_set::write_status;

/// How many Deployments are worked on at once.
const WORKERS: usize = 8;
const BY_CONTROLLER: &str = "controller";

struct Controller {
    deployments: Cache,
    sets: Cache,
    pods: Cache,
    deployment_objects: Objects,
    set_objects: Objects,
    events: Recorder,
    written: OwnWrites,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (deployments, sets, pods) =
        (caches.of::<Deployment>(), caches.of::<ReplicaSet>(), caches.of::<Pod>());
    let controller = Controller {
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
        deployment_objects: Objects::of::<Deployment>(caches.client()),
        set_objects: Objects::of::<ReplicaSet>(caches.client()),
        events: Recorder::start(caches.client(), "deployment-controller"),
        written: OwnWrites::default(),
    };
    let (for_sets, for_pods) = (deployments.clone(), deployments.clone());
    Loop::new("deployment", Arc::new(controller), WORKERS)
        .watch_own(&deployments)
        .watch(&sets.clone(), move |change| deployments_of_set(&for_sets, change))
        .watch(&pods, move |change| recreating_deployments_of_pod(&for_pods, &sets, change))
}

fn deployment_name(set: &Value) -> Option<&str> {
    let reference = owner::controller(set)?;
    (reference["kind"] == "Deployment").then(|| reference["name"].as_str()).flatten()
}

fn deployments_of_set(deployments: &Cache, change: &Change) -> Vec<Key> {
    let namespace = change.key.namespace.as_str();
    let mut keys = Vec::new();
    for set in [&change.old, &change.new].into_iter().flatten() {
        if owner::controller(set).is_some() {
            keys.extend(deployment_name(set).map(|name| Key::new(namespace, name)));
        } else {
            let all = deployments.list_in(namespace);
            let selecting = all.iter().filter(|deployment| {
                LabelSelector::from_json(&deployment["spec"]["selector"]).is_ok_and(|selector| {
                    !selector.is_empty() && selector.matches(&set["metadata"]["labels"])
                })
            });
            keys.extend(selecting.map(|deployment| Key::of(deployment)));
        }
    }
    keys.dedup();
    keys
}

/// Only a Deployment that recreates waits for pods to end.
fn recreating_deployments_of_pod(deployments: &Cache, sets: &Cache, change: &Change) -> Vec<Key> {
    let ended = change.new.as_ref().is_none_or(|pod| pod::is_terminal(pod));
    let Some(reference) = owner::controller(change.object()).filter(|_| ended) else { return Vec::new() };
    let namespace = change.key.namespace.as_str();
    let set = sets.get(&Key::new(namespace, reference["name"].as_str().unwrap_or_default()));
    let key = set.as_deref().and_then(deployment_name).map(|name| Key::new(namespace, name));
    let recreating = |key: &Key| deployments.get(key).is_some_and(|deployment| is_recreate(&deployment));
    key.into_iter().filter(recreating).collect()
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(deployment) = self.deployments.get(&key) else { return Ok(None) };
        if !self.written.are_shown_by(&self.sets, &key) {
            return Ok(Some(OwnWrites::patience()));
        }
        let sets = self.claim(&key, &deployment).await?;
        if pod::is_deleting(&deployment) {
            return Ok(None);
        }
        let old_pods = is_recreate(&deployment) && self.old_pods_run(&deployment, &sets);
        let sets = sets.into_iter().map(Set::of).collect();
        let plan = plan(&deployment, self.deployment_objects.resource(), sets, old_pods);
        let made = self.apply(&key, &deployment, &plan).await?;
        let (status, again) = plan_status(&deployment, &plan, made, Timestamp::now());
        if let Some(patch) = merge_patch(&deployment["status"], &status) {
            write_status(&self.deployment_objects, &key, patch).await?;
        }
        Ok(again)
    }

    async fn claim(&self, key: &Key, deployment: &Value) -> Result<Vec<Arc<Value>>, Error> {
        let selector = LabelSelector::from_json(&deployment["spec"]["selector"]).map_err(Error::new)?;
        let claims = plan_claims(deployment, &selector, self.sets.list_in(&key.namespace));
        Ok(apply_claims(&self.set_objects, &self.deployment_objects, deployment, claims).await?)
    }

    /// Whether pods of templates other than the current one have not ended yet.
    fn old_pods_run(&self, deployment: &Value, sets: &[Arc<Value>]) -> bool {
        let template = &deployment["spec"]["template"];
        let old = sets.iter().filter(|set| !same_template(&set["spec"]["template"], template));
        let pods = old.flat_map(|set| {
            self.pods.by_index(BY_CONTROLLER, set["metadata"]["uid"].as_str().unwrap_or_default())
        });
        pods.into_iter().any(|pod| !pod::is_terminal(&pod))
    }

    /// Carries the steps out in order; answers whether a ReplicaSet was made.
    async fn apply(&self, key: &Key, deployment: &Value, plan: &Plan) -> Result<bool, Error> {
        let mut made = false;
        for step in &plan.steps {
            match step {
                Step::Create { object, replicas } => {
                    made = self.create(key, deployment, object, *replicas).await?;
                }
                Step::Follow { name, patch } => {
                    let set = Key::new(key.namespace.as_str(), name.as_str());
                    let answer = self.set_objects.patch(&set, Patch::Merge(patch.clone())).await?;
                    self.written.wrote(key, revision_of(&answer));
                }
                Step::Scale { object, from, to, desired, max } => {
                    let patch = scale_patch(object, *from, *to, *desired, *max);
                    let answer = self.set_objects.patch(&Key::of(object), Patch::Json(patch)).await?;
                    self.written.wrote(key, revision_of(&answer));
                    self.tell_scaled(deployment, &Key::of(object).name, *from, *to);
                }
                Step::Forget { object } => self.forget(object).await?,
                Step::Revision { revision } => {
                    let patch = json!({ "metadata": { "annotations": { REVISION: revision.to_string() } } });
                    // By way of the status, as upstream: the user's own generation does not move.
                    self.deployment_objects.patch_sub(key, "status", Patch::Merge(patch)).await?;
                }
            }
        }
        Ok(made)
    }

    fn tell_scaled(&self, deployment: &Value, set: &str, from: i64, to: i64) {
        if from != to {
            let direction = if from < to { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
            self.events.normal(deployment, "ScalingReplicaSet", message);
        }
    }

    async fn create(
        &self,
        key: &Key,
        deployment: &Value,
        object: &Value,
        replicas: i64,
    ) -> Result<bool, Error> {
        match self.set_objects.create(&key.namespace, object).await {
            Ok(set) => {
                self.written.wrote(key, revision_of(&set));
                self.tell_scaled(deployment, &Key::of(&set).name, 0, replicas);
                Ok(true)
            }
            Err(error) if client::is_already_exists(&error) => {
                self.meet(key, deployment, object, error).await?;
                Ok(false)
            }
            Err(error) if client::is_terminating(&error) => Err(error.into()),
            Err(error) => {
                let name = Key::of(object).name;
                let message =
                    format!("Failed to create new replica set \"{name}\": {}", client::message(&error));
                self.events.warning(deployment, "ReplicaSetCreateError", message.as_str());
                let mut list = conditions::of(deployment);
                let condition = Condition::new("Progressing", "False", "ReplicaSetCreateError", message);
                conditions::set_updated(&mut list, &condition, Timestamp::now(), false);
                write_status(&self.deployment_objects, key, json!({ "conditions": list })).await?;
                Err(error.into())
            }
        }
    }

    /// The name is taken: by our own set, which the cache did not show yet, or by another with the same
    /// hash, and then the next turn uses another hash.
    async fn meet(
        &self,
        key: &Key,
        deployment: &Value,
        object: &Value,
        taken: kube::Error,
    ) -> Result<(), Error> {
        let live = self.set_objects.get(&Key::of(object)).await?;
        let ours = owner::controller_uid(&live) == deployment["metadata"]["uid"].as_str();
        if ours && same_template(&live["spec"]["template"], &deployment["spec"]["template"]) {
            self.written.wrote(key, revision_of(&live));
            return Ok(());
        }
        let collisions = deployment["status"]["collisionCount"].as_i64().unwrap_or_default() + 1;
        write_status(&self.deployment_objects, key, json!({ "collisionCount": collisions })).await?;
        Err(taken.into())
    }

    async fn forget(&self, set: &Value) -> Result<(), Error> {
        let uid = set["metadata"]["uid"].as_str().map(str::to_owned);
        let deletion = Deletion { uid, ..Deletion::default() };
        match self.set_objects.delete(&Key::of(set), &deletion).await {
            Err(error) if !client::is_not_found(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Sizes a set only if it still has the size the plan saw; its status may have changed meanwhile.
fn scale_patch(set: &Value, from: i64, to: i64, desired: i64, max: i64) -> Value {
    let mut operations = vec![
        json!({ "op": "test", "path": "/spec/replicas", "value": from }),
        json!({ "op": "replace", "path": "/spec/replicas", "value": to }),
    ];
    if set["metadata"]["annotations"].is_null() {
        operations.push(json!({ "op": "add", "path": "/metadata/annotations", "value": {} }));
    }
    for (name, value) in size_annotations(desired, max) {
        let path = format!("/metadata/annotations/{}", name.replace('/', "~1"));
        operations.push(json!({ "op": "add", "path": path, "value": value }));
    }
    operations.into()
}
