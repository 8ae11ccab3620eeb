//! HorizontalPodAutoscaler: sizes what has a `scale` subresource by what its pods use. Called by the loop with the key
//! of an autoscaler, every 15 seconds while there is one. It never looks at the pods' own controllers.

mod history;
mod limits;
mod metric;
mod plan;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use client::k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use client::k8s_openapi::api::core::v1::Pod;
use client::kube::core::GroupVersionKind;
use client::kube::discovery;
use client::{ApiResource, Cache, Caches, Change, Key, Objects, Patch, Recorder, kube, merge_patch};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::selector::LabelSelector;
use object::time::Timestamp;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use self::history::History;
use self::metric::Seen;
use self::plan::{Plan, Report, Rescale, Unselected, plan_bounds, plan_scaling, plan_unselected};
use crate::conditions::Condition;
use crate::replica_set::write_status;

/// How often an autoscaler looks (upstream's figure).
const PERIOD: Duration = Duration::from_secs(15);
const WORKERS: usize = 4;

/// What is remembered of an autoscaler from one turn to the next.
#[derive(Default)]
struct Memory {
    history: History,
    /// Which pods it is about.
    selector: Option<LabelSelector>,
}

struct Controller {
    autoscalers: Cache,
    pods: Cache,
    autoscaler_objects: Objects,
    usage: Objects,
    client: kube::Client,
    events: Recorder,
    memories: Mutex<HashMap<Key, Memory>>,
    /// The resources of targets by apiVersion and kind: no more than the API serves.
    resources: Mutex<HashMap<(String, String), ApiResource>>,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (autoscalers, pods) = (caches.of::<HorizontalPodAutoscaler>(), caches.of::<Pod>());
    let usage = ApiResource {
        group: "metrics.k8s.io".into(),
        version: "v1beta1".into(),
        api_version: "metrics.k8s.io/v1beta1".into(),
        kind: "PodMetrics".into(),
        plural: "pods".into(),
    };
    let controller = Controller {
        autoscalers: autoscalers.clone(),
        pods: pods.clone(),
        autoscaler_objects: Objects::of::<HorizontalPodAutoscaler>(caches.client()),
        usage: Objects::new(caches.client().clone(), usage),
        client: caches.client().clone(),
        events: Recorder::start(caches.client(), "horizontal-pod-autoscaler"),
        memories: Mutex::default(),
        resources: Mutex::default(),
    };
    Loop::new("horizontalpodautoscaler", Arc::new(controller), WORKERS)
        .watch(&autoscalers, asked_for)
        .after(&pods)
}

/// An autoscaler that is new, changed or gone has its turn at once. Its own status is no news: what it measures differs
/// from turn to turn, and it would never rest.
fn asked_for(change: &Change) -> Vec<Key> {
    let generation =
        |object: &Option<Arc<Value>>| object.as_ref().map(|object| object["metadata"]["generation"].clone());
    let same = change.new.is_some() && generation(&change.old) == generation(&change.new);
    if same { Vec::new() } else { vec![change.key.clone()] }
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

/// What is to be sized.
struct Target {
    objects: Objects,
    key: Key,
    scale: Value,
}

impl Target {
    fn replicas(&self) -> i64 {
        self.scale["spec"]["replicas"].as_i64().unwrap_or_default()
    }
}

impl Controller {
    fn memories(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        self.memories.lock().expect("nothing panics while holding it")
    }

    async fn turn(&self, key: Key) -> Outcome {
        let Some(autoscaler) = self.autoscalers.get(&key) else {
            self.memories().remove(&key);
            return Ok(None);
        };
        let mut report = Report::of(&autoscaler, Timestamp::now());
        match self.target(&key, &autoscaler).await {
            Ok(target) => {
                let message = "the HPA controller was able to get the target's current scale";
                report.note(&Condition::new("AbleToScale", "True", "SucceededGetScale", message));
                self.scale(&key, &autoscaler, &target, &mut report).await;
            }
            Err(why) => {
                self.events.warning(&autoscaler, "FailedGetScale", why.as_str());
                let message =
                    format!("the HPA controller was unable to get the target's current scale: {why}");
                report.note(&Condition::new("AbleToScale", "False", "FailedGetScale", message));
            }
        }
        if let Some(patch) = merge_patch(&autoscaler["status"], &report.finish()) {
            write_status(&self.autoscaler_objects, &key, patch).await?;
        }
        Ok(Some(PERIOD))
    }

    /// The target and its size; the error says why there is none.
    async fn target(&self, key: &Key, autoscaler: &Value) -> Result<Target, String> {
        let reference = &autoscaler["spec"]["scaleTargetRef"];
        let text = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
        let resource = self.resource(text("apiVersion"), text("kind")).await?;
        let objects = Objects::new(self.client.clone(), resource);
        let key = Key::new(key.namespace.as_str(), text("name"));
        let scale = objects.get_sub(&key, "scale").await.map_err(|error| client::message(&error))?;
        Ok(Target { objects, key, scale })
    }

    async fn resource(&self, api_version: String, kind: String) -> Result<ApiResource, String> {
        let name = (api_version, kind);
        let known = self.resources.lock().expect("nothing panics while holding it").get(&name).cloned();
        if let Some(resource) = known {
            return Ok(resource);
        }
        let (group, version) = name.0.split_once('/').unwrap_or(("", &name.0));
        let asked = GroupVersionKind::gvk(group, version, &name.1);
        let found = discovery::pinned_kind(&self.client, &asked).await;
        let (resource, _) =
            found.map_err(|_| format!("no matches for kind \"{}\" in group \"{group}\"", name.1))?;
        self.resources.lock().expect("nothing panics while holding it").insert(name, resource.clone());
        Ok(resource)
    }

    /// Decides, does it, and says so in the report and in events.
    async fn scale(&self, key: &Key, autoscaler: &Value, target: &Target, report: &mut Report) {
        let (now, current) = (Timestamp::now(), target.replicas());
        let history = {
            let mut memories = self.memories();
            let memory = memories.entry(key.clone()).or_default();
            if memory.history.is_empty() {
                memory.history.recommended(current, now);
            }
            memory.history.clone()
        };
        let plan = match plan_bounds(autoscaler, current, report) {
            Some(plan) => plan,
            None => match self.see(key, target).await {
                Ok(seen) => plan_scaling(autoscaler, current, &seen, &history, report),
                Err(unselected) => plan_unselected(autoscaler, current, unselected, report),
            },
        };
        self.apply(key, autoscaler, target, plan, report).await;
    }

    /// The pods of the target, which no other autoscaler may be about, and what they use.
    async fn see(&self, key: &Key, target: &Target) -> Result<Seen, Unselected> {
        let text = target.scale["status"]["selector"].as_str().unwrap_or_default();
        if text.is_empty() {
            let message = "selector is required".to_owned();
            return Err(Unselected { reason: "SelectorRequired", message });
        }
        let selector = LabelSelector::parse(text).map_err(|why| Unselected {
            reason: "InvalidSelector",
            message: format!(
                "couldn't convert selector into a corresponding internal selector object: {why}"
            ),
        })?;
        let mut pods = self.pods.list_in(&key.namespace);
        pods.retain(|pod| selector.matches(&pod["metadata"]["labels"]));
        let rivals = self.rivals(key, &selector, &pods);
        if rivals.len() > 1 {
            let rivals = rivals.join(" ");
            let message =
                format!("pods by selector {text} are controlled by more than one HPA (e.g. [{rivals}])");
            return Err(Unselected { reason: "AmbiguousSelector", message });
        }
        let usage = self.usage.list(&key.namespace).await.map_err(|error| client::message(&error));
        Ok(Seen { pods, selector, usage })
    }

    /// Remembers which pods an autoscaler is about; answers who is about some of them, itself included.
    fn rivals(&self, key: &Key, selector: &LabelSelector, pods: &[Arc<Value>]) -> Vec<String> {
        let mut memories = self.memories();
        memories.entry(key.clone()).or_default().selector = Some(selector.clone());
        let selects = |memory: &Memory| {
            let selector = memory.selector.as_ref();
            selector.is_some_and(|other| pods.iter().any(|pod| other.matches(&pod["metadata"]["labels"])))
        };
        let rivals = memories
            .iter()
            .filter(|(other, memory)| *other == key || (other.namespace == key.namespace && selects(memory)));
        let mut names: Vec<String> = rivals.map(|(other, _)| other.to_string()).collect();
        names.sort();
        names
    }

    async fn apply(&self, key: &Key, autoscaler: &Value, target: &Target, plan: Plan, report: &mut Report) {
        for (reason, message) in plan.warnings {
            self.events.warning(autoscaler, reason, message);
        }
        if let Some(replicas) = plan.recommended {
            let mut memories = self.memories();
            memories.entry(key.clone()).or_default().history.recommended(replicas, Timestamp::now());
        }
        let Some(rescale) = plan.rescale else { return };
        let Rescale { from, to, reason } = &rescale;
        let patch = Patch::Merge(json!({ "spec": { "replicas": to } }));
        match target.objects.patch_sub(&target.key, "scale", patch).await {
            Ok(_) => {
                self.events.normal(
                    autoscaler,
                    "SuccessfulRescale",
                    format!("New size: {to}; reason: {reason}"),
                );
                report.rescaled(&rescale, Ok(()));
                let mut memories = self.memories();
                memories.entry(key.clone()).or_default().history.scaled(*from, *to, Timestamp::now());
            }
            Err(error) => {
                let why = client::message(&error);
                let message = format!("New size: {to}; reason: {reason}; error: {why}");
                self.events.warning(autoscaler, "FailedRescale", message);
                report.rescaled(&rescale, Err(&why));
            }
        }
    }
}
