//! The loop around the decision: keeps the snapshot current, binds what fits, says why the rest does not,
//! and tries that again when something changed that could help.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use client::k8s_openapi::api::core::v1::{Node, Pod};
use client::{Cache, Caches, Change, Key, Objects, Patch, Recorder, kube};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::{self, Timestamp};
use reconcile::{CancellationToken, Error, Loop, Outcome, Reconciler};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::place::{Placement, place};
use crate::snapshot::{PodInfo, Snapshot};

/// Bindings under way at once: they wait for the disk together rather than one after the other.
const WORKERS: usize = 16;
/// Pods that name another scheduler are not ours.
const NAME: &str = "default-scheduler";

/// What the scheduler needs to know besides the API.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The lease to hold before anything is bound; none when this dory is alone.
    pub lease: Option<reconcile::lease::Settings>,
}

/// The running scheduler.
pub struct Handle {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Handle {
    /// Stops the scheduler; bindings under way are finished first.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // It ends by itself then; a panic in it was reported where it happened.
        let _ = self.task.await;
    }
}

/// Starts the scheduler. Must be called inside a tokio runtime.
#[must_use]
pub fn start(client: kube::Client, options: Options) -> Handle {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let task = tokio::spawn(async move {
        let work = |stop: CancellationToken| scheduler(&client).run(stop);
        match options.lease {
            Some(lease) => reconcile::lease::lead(&client, &lease, stop, work).await,
            None => work(stop).await,
        }
    });
    Handle { shutdown, task }
}

#[derive(Default)]
struct State {
    snapshot: Snapshot,
    /// Pods that fit nowhere.
    waiting: BTreeSet<Key>,
    /// Whether the snapshot began with all that was there.
    primed: bool,
}

struct Scheduler {
    pods: Cache,
    nodes: Cache,
    objects: Objects,
    events: Recorder,
    state: Arc<Mutex<State>>,
}

fn scheduler(client: &kube::Client) -> Loop {
    let caches = Caches::new(client.clone());
    let (pods, nodes) = (caches.of::<Pod>(), caches.of::<Node>());
    let state = Arc::new(Mutex::new(State::default()));
    let scheduler = Scheduler {
        pods: pods.clone(),
        nodes: nodes.clone(),
        objects: Objects::of::<Pod>(client),
        events: Recorder::start(client, NAME),
        state: state.clone(),
    };
    let on_nodes = state.clone();
    Loop::new("scheduler", Arc::new(scheduler), WORKERS)
        .watch(&nodes, move |change| {
            on_nodes.lock().expect("nothing panics while holding it").see_node(change)
        })
        .watch(&pods, move |change| state.lock().expect("nothing panics while holding it").see_pod(change))
}

/// Whether the pod is bound, or over.
fn needs_place(pod: &Value) -> bool {
    let unbound = pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty);
    let over = pod["metadata"]["deletionTimestamp"].is_string() || is_terminal(pod);
    let gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    let ours = pod["spec"]["schedulerName"].as_str().is_none_or(|name| name == NAME || name.is_empty());
    unbound && !over && !gated && ours
}

fn is_terminal(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

impl State {
    /// Answers which pods to try again.
    fn see_node(&mut self, change: &Change) -> Vec<Key> {
        let helps = match &change.new {
            Some(node) => self.snapshot.put_node(node.clone()),
            None => {
                self.snapshot.remove_node(&change.key.name);
                false
            }
        };
        if helps { self.waiting.iter().cloned().collect() } else { Vec::new() }
    }

    /// Answers which pods to try: this one, or those that may use what this one left.
    fn see_pod(&mut self, change: &Change) -> Vec<Key> {
        let key = &change.key;
        let Some(pod) = change.new.as_ref().filter(|pod| !is_terminal(pod)) else {
            self.waiting.remove(key);
            let freed = self.snapshot.remove_pod(key);
            return if freed { self.waiting.iter().cloned().collect() } else { Vec::new() };
        };
        if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()) {
            self.waiting.remove(key);
            let new = self.snapshot.place_of(key).is_none();
            self.snapshot.put_pod(key.clone(), node, PodInfo::of(pod.clone()));
            // Somebody may have waited for this company.
            return if new { self.waiting.iter().cloned().collect() } else { Vec::new() };
        }
        if needs_place(pod) { vec![key.clone()] } else { Vec::new() }
    }

    fn prime(&mut self, nodes: &Cache, pods: &Cache) {
        if std::mem::replace(&mut self.primed, true) {
            return;
        }
        for node in nodes.list() {
            self.snapshot.put_node(node);
        }
        for pod in pods.list() {
            let key = Key::of(&pod);
            self.see_pod(&Change { key, old: None, new: Some(pod) });
        }
    }
}

impl Reconciler for Scheduler {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Scheduler {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }

    async fn turn(&self, key: Key) -> Outcome {
        let Some(pod) = self.pods.get(&key).filter(|pod| needs_place(pod)) else {
            self.state().waiting.remove(&key);
            return Ok(None);
        };
        let Some(placement) = self.decide(&key, &pod) else { return Ok(None) };
        match placement {
            Placement::Node(node) => self.bind(&key, &pod, &node).await,
            Placement::Nowhere(message) => self.refuse(&key, &pod, message).await,
        }
    }

    /// Decides, and assumes the pod to be where it goes before the next decision is made. `None` when the
    /// pod is assumed already and its binding is on its way into the cache.
    fn decide(&self, key: &Key, pod: &Arc<Value>) -> Option<Placement> {
        let mut state = self.state();
        state.prime(&self.nodes, &self.pods);
        if let Some((uid, _)) = state.snapshot.place_of(key) {
            if pod["metadata"]["uid"] == uid {
                return None;
            }
            // Another pod of the same name was there before.
            state.snapshot.remove_pod(key);
        }
        let info = PodInfo::of(pod.clone());
        let placement = place(&info, &state.snapshot);
        match &placement {
            Placement::Node(node) => {
                state.waiting.remove(key);
                state.snapshot.put_pod(key.clone(), node, info);
            }
            Placement::Nowhere(_) => {
                state.waiting.insert(key.clone());
            }
        }
        Some(placement)
    }

    async fn bind(&self, key: &Key, pod: &Value, node: &str) -> Outcome {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": key.name, "namespace": key.namespace, "uid": pod["metadata"]["uid"] },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        match self.objects.create_sub(key, "binding", &binding).await {
            Ok(_) => {
                self.events.normal(pod, "Scheduled", format!("Successfully assigned {key} to {node}"));
                Ok(None)
            }
            Err(error) => {
                self.unassume(key);
                if client::is_not_found(&error) || client::is_conflict(&error) {
                    // Gone, or bound by someone else: the cache will tell.
                    return Ok(None);
                }
                self.events.warning(
                    pod,
                    "FailedScheduling",
                    format!("binding rejected: {}", client::message(&error)),
                );
                Err(error.into())
            }
        }
    }

    /// Takes an assumed pod back, unless the cache has shown it to be bound meanwhile.
    fn unassume(&self, key: &Key) {
        let bound = self.pods.get(key).is_some_and(|pod| pod["spec"]["nodeName"].is_string());
        if !bound {
            self.state().snapshot.remove_pod(key);
        }
    }

    async fn refuse(&self, key: &Key, pod: &Value, message: String) -> Outcome {
        let conditions = pod["status"]["conditions"].as_array();
        let known = conditions.into_iter().flatten().find(|condition| condition["type"] == "PodScheduled");
        let said =
            known.is_some_and(|known| known["status"] == "False" && known["message"] == message.as_str());
        if said {
            return Ok(None);
        }
        self.events.warning(pod, "FailedScheduling", message.as_str());
        let since = match known {
            Some(known) if known["status"] == "False" => known["lastTransitionTime"].clone(),
            _ => time::seconds(Timestamp::now()).into(),
        };
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "lastTransitionTime": since,
        });
        let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        match self.objects.patch_sub(key, "status", patch).await {
            Err(error) if !client::is_not_found(&error) => Err(Error::from(error)),
            _ => Ok(None),
        }
    }
}
