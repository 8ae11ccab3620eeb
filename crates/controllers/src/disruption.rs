//! PodDisruptionBudget: how many of its pods may go now. Called by the loop with the key of a budget. It grants nothing
//! itself: the API server does, when a pod is to be evicted.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use client::k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use client::k8s_openapi::api::core::v1::Pod;
use client::k8s_openapi::api::policy::v1::PodDisruptionBudget;
use client::{Cache, Caches, Change, Key, Objects, Patch, Recorder, kube, merge_patch, owner};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::selector::LabelSelector;
use object::time::Timestamp;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use self::plan::{needs_scale, plan_failure, plan_status};
use crate::discovery::{by_kind, discover};

const WORKERS: usize = 2;

struct Controller {
    budgets: Cache,
    pods: Cache,
    sets: Cache,
    deployments: Cache,
    budget_objects: Objects,
    client: kube::Client,
    events: Recorder,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (budgets, pods) = (caches.of::<PodDisruptionBudget>(), caches.of::<Pod>());
    let controller = Controller {
        budgets: budgets.clone(),
        pods: pods.clone(),
        sets: caches.of::<ReplicaSet>(),
        deployments: caches.of::<Deployment>(),
        budget_objects: Objects::of::<PodDisruptionBudget>(caches.client()),
        client: caches.client().clone(),
        events: Recorder::start(caches.client(), "controllermanager"),
    };
    let (sets, deployments) = (controller.sets.clone(), controller.deployments.clone());
    Loop::new("disruption", Arc::new(controller), WORKERS)
        .watch_own(&budgets)
        .watch(&pods, move |change| budgets_of(&budgets, change))
        .after(&sets)
        .after(&deployments)
}

fn selects(budget: &Value, pod: &Value) -> bool {
    LabelSelector::from_json(&budget["spec"]["selector"])
        .is_ok_and(|selector| selector.matches(&pod["metadata"]["labels"]))
}

fn budgets_of(budgets: &Cache, change: &Change) -> Vec<Key> {
    let all = budgets.list_in(&change.key.namespace);
    let pods = [&change.old, &change.new];
    let concerned = all
        .iter()
        .filter(|budget| pods.iter().any(|pod| pod.as_ref().is_some_and(|pod| selects(budget, pod))));
    concerned.map(|budget| Key::of(budget)).collect()
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(budget) = self.budgets.get(&key) else { return Ok(None) };
        let mut pods = self.pods.list_in(&key.namespace);
        pods.retain(|pod| selects(&budget, pod));
        if pods.is_empty() {
            self.events.normal(&budget, "NoPods", "No matching pods found");
        }
        let scale = match self.scale(&budget, &pods).await? {
            Ok(scale) => scale,
            Err(why) => {
                let text = format!("Failed to calculate the number of expected pods: {why}");
                self.events.warning(&budget, "CalculateExpectedPodCountFailed", text);
                let status = plan_failure(&budget, &why, Timestamp::now());
                self.write(&key, &budget, &status).await?;
                return Ok(None);
            }
        };
        let (status, again) = plan_status(&budget, &pods, scale, Timestamp::now());
        self.write(&key, &budget, &status).await?;
        Ok(again)
    }

    async fn write(&self, key: &Key, budget: &Value, status: &Value) -> Result<(), Error> {
        let Some(status) = merge_patch(&budget["status"], status) else { return Ok(()) };
        // An eviction that came between has taken from what this was counted from.
        let version = &budget["metadata"]["resourceVersion"];
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
        match self.budget_objects.patch_sub(key, "status", Patch::Merge(patch)).await {
            Err(error) if !client::is_not_found(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// How many pods there are to be, as those say who made them; 0 when the budget does not ask. The inner error is the
    /// budget's.
    async fn scale(&self, budget: &Value, pods: &[Arc<Value>]) -> Result<Result<i64, String>, Error> {
        if !needs_scale(budget) {
            return Ok(Ok(0));
        }
        let mut scales = BTreeMap::new();
        let mut alone = false;
        for pod in pods {
            let Some(reference) = owner::controller(pod) else {
                alone = true;
                continue;
            };
            let uid = reference["uid"].as_str().unwrap_or_default().to_owned();
            if scales.contains_key(&uid) {
                continue;
            }
            match self.scale_of(pod, reference).await? {
                Ok((top, scale)) => _ = scales.insert(top, scale),
                Err(why) => return Ok(Err(why)),
            }
        }
        if alone {
            let text = "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of \
                        the PDB cannot be calculated correctly, which may result in undefined behavior. To account for \
                        these pods please set \".spec.minAvailable\" field of the PDB to an integer value.";
            self.events.warning(budget, "UnmanagedPods", text);
        }
        Ok(Ok(scales.values().sum()))
    }

    /// The uid and the size of what makes the pod: its Deployment, else its controller, if that has a size.
    async fn scale_of(&self, pod: &Value, reference: &Value) -> Result<Result<(String, i64), String>, Error> {
        let namespace = Key::of(pod).namespace;
        let key =
            |reference: &Value| Key::new(namespace.as_str(), reference["name"].as_str().unwrap_or_default());
        let same = |found: &Value, reference: &Value| found["metadata"]["uid"] == reference["uid"];
        let sized = |found: &Value| {
            let uid = found["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            found["spec"]["replicas"].as_i64().map(|replicas| (uid, replicas))
        };
        let set = self.sets.get(&key(reference)).filter(|set| same(set, reference));
        if let Some(set) = set {
            let above = owner::controller(&set).and_then(|above| {
                self.deployments.get(&key(above)).filter(|deployment| same(deployment, above))
            });
            if let Some(found) = above.as_deref().and_then(sized).or_else(|| sized(&set)) {
                return Ok(Ok(found));
            }
        }
        let (api, kind) = (reference["apiVersion"].as_str().unwrap_or_default(), reference["kind"].as_str());
        let group = api.split_once('/').map_or("", |(group, _)| group);
        let named = (group.to_owned(), kind.unwrap_or_default().to_owned());
        let missing = || format!("found no controllers for pod {:?}", Key::of(pod).name);
        let kinds = by_kind(&discover(&self.client).await?);
        let Some(resource) = kinds.get(&named) else { return Ok(Err(missing())) };
        let found = match Objects::new(self.client.clone(), resource.api.clone()).get(&key(reference)).await {
            Ok(found) if same(&found, reference) => found,
            Err(error) if !client::is_not_found(&error) => return Err(error.into()),
            _ => return Ok(Err(missing())),
        };
        let unsized_kind = || {
            let plural = &resource.api.plural;
            let name = if group.is_empty() { plural.clone() } else { format!("{plural}.{group}") };
            format!("{name} does not implement the scale subresource")
        };
        Ok(sized(&found).ok_or_else(unsized_kind))
    }
}
