//! The loop around the decision: keeps the snapshot current, binds what fits, says why the rest does not,
//! and tries that again when something changed that could help.

use std::sync::{Arc, Mutex, MutexGuard};

use client::k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use client::k8s_openapi::api::storage::v1::StorageClass;
use client::{Cache, Caches, Deletion, Key, Objects, Patch, Recorder, kube};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::{self, Timestamp};
use reconcile::{Error, Handle, Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use crate::filter::Provision;
use crate::message;
use crate::preempt::Preemption;
use crate::state::{Decision, NAME, State, needs_place};
use crate::storage::Part;
use crate::volumes::VolumeWriter;

/// Bindings under way at once: they wait for the disk together rather than one after the other.
const WORKERS: usize = 16;

/// What the scheduler needs to know besides the API.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The lease to hold before anything is bound; none when this dory is alone.
    pub lease: Option<reconcile::lease::Settings>,
}

/// Starts the scheduler. Must be called inside a tokio runtime.
#[must_use]
pub fn start(client: kube::Client, options: Options) -> Handle {
    let own = client.clone();
    Handle::start(client, options.lease, move |stop| scheduler(&own).run(stop))
}

struct Scheduler {
    pods: Cache,
    nodes: Cache,
    storage: Vec<(Part, Cache)>,
    objects: Objects,
    volumes: VolumeWriter,
    events: Recorder,
    state: Arc<Mutex<State>>,
}

fn scheduler(client: &kube::Client) -> Loop {
    let caches = Caches::new(client.clone());
    let (pods, nodes) = (caches.of::<Pod>(), caches.of::<Node>());
    let storage = vec![
        (Part::Claim, caches.of::<PersistentVolumeClaim>()),
        (Part::Volume, caches.of::<PersistentVolume>()),
        (Part::Class, caches.of::<StorageClass>()),
    ];
    let state = Arc::new(Mutex::new(State::default()));
    let scheduler = Scheduler {
        pods: pods.clone(),
        nodes: nodes.clone(),
        storage: storage.clone(),
        volumes: VolumeWriter::new(client),
        objects: Objects::of::<Pod>(client),
        events: Recorder::start(client, NAME),
        state: state.clone(),
    };
    let (on_nodes, ranked) = (state.clone(), pods.clone());
    let mut work = Loop::new("scheduler", Arc::new(scheduler), WORKERS);
    // The more important pod is placed first.
    work.queue().rank_by(move |key| {
        ranked.get(key).and_then(|pod| pod["spec"]["priority"].as_i64()).unwrap_or_default()
    });
    for (part, cache) in storage {
        let state = state.clone();
        work = work.watch(&cache, move |change| {
            state.lock().expect("nothing panics while holding it").see_storage(part, change)
        });
    }
    work.watch(&nodes, move |change| {
        on_nodes.lock().expect("nothing panics while holding it").see_node(change)
    })
    .watch(&pods, move |change| state.lock().expect("nothing panics while holding it").see_pod(change))
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
            self.state().forget(&key);
            return Ok(None);
        };
        let decision = {
            let mut state = self.state();
            state.prime(&self.nodes, &self.pods, &self.storage);
            state.decide(&key, &pod)
        };
        match decision {
            Decision::Wait => Ok(None),
            Decision::Bind(node) => self.bind(&key, &pod, &node).await,
            Decision::Provide(node, lacks) => self.provide(&key, &node, &lacks).await,
            Decision::Preempt(found, message) => self.make_room(&key, &pod, &found, &message).await,
            Decision::Refuse(message) => self.refuse(&key, &pod, &message, None).await,
        }
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

    /// Has volumes found or made; their claims tell when they are there.
    async fn provide(&self, key: &Key, node: &str, lacks: &[Provision]) -> Outcome {
        for provision in lacks {
            if let Err(error) = self.volumes.write(provision, node).await {
                self.unassume(key);
                return Err(error.into());
            }
        }
        Ok(None)
    }

    /// Takes an assumed pod back, unless the cache has shown it to be bound meanwhile.
    fn unassume(&self, key: &Key) {
        let bound = self.pods.get(key).is_some_and(|pod| pod["spec"]["nodeName"].is_string());
        if !bound {
            self.state().unassume(key);
        }
    }

    /// Sends the victims away and notes where the pod will go; it is tried again when they are gone.
    async fn make_room(&self, key: &Key, pod: &Value, found: &Preemption, message: &str) -> Outcome {
        for victim in &found.victims {
            if let Err(error) = self.send_away(victim, pod, &found.node).await {
                self.state().give_up_room(key);
                return Err(error.into());
            }
        }
        self.refuse(key, pod, message::without_preemption(message), Some(&found.node)).await
    }

    /// Ends one pod with its own grace, and says in it why, as upstream does.
    async fn send_away(&self, key: &Key, preemptor: &Value, node: &str) -> Result<(), kube::Error> {
        let Some(victim) = self.pods.get(key) else { return Ok(()) };
        if victim["metadata"]["deletionTimestamp"].is_string() {
            return Ok(());
        }
        let why = format!("{NAME}: preempting to accommodate a higher priority pod");
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": why, "lastTransitionTime": time::seconds(Timestamp::now()),
        });
        let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        let uid = victim["metadata"]["uid"].as_str().map(str::to_owned);
        let gone = |error: &kube::Error| client::is_not_found(error) || client::is_conflict(error);
        match self.objects.patch_sub(key, "status", patch).await {
            Err(error) if gone(&error) => return Ok(()),
            patched => patched?,
        };
        match self.objects.delete(key, &Deletion { uid, ..Deletion::default() }).await {
            Err(error) if gone(&error) => return Ok(()),
            deleted => deleted?,
        };
        let by = preemptor["metadata"]["uid"].as_str().unwrap_or_default();
        self.events.normal(&victim, "Preempted", format!("Preempted by pod {by} on node {node}"));
        Ok(())
    }

    /// Says in the pod why it is not placed, and on which node room is being made for it.
    async fn refuse(&self, key: &Key, pod: &Value, message: &str, nominated: Option<&str>) -> Outcome {
        let conditions = pod["status"]["conditions"].as_array();
        let known = conditions.into_iter().flatten().find(|condition| condition["type"] == "PodScheduled");
        let said = known.is_some_and(|known| known["status"] == "False" && known["message"] == message)
            && pod["status"]["nominatedNodeName"].as_str() == nominated;
        if said {
            return Ok(None);
        }
        self.events.warning(pod, "FailedScheduling", message);
        let since = match known {
            Some(known) if known["status"] == "False" => known["lastTransitionTime"].clone(),
            _ => time::seconds(Timestamp::now()).into(),
        };
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": message, "lastTransitionTime": since,
        });
        let status = json!({ "conditions": [condition], "nominatedNodeName": nominated });
        match self.objects.patch_sub(key, "status", Patch::Strategic(json!({ "status": status }))).await {
            Err(error) if !client::is_not_found(&error) => Err(Error::from(error)),
            _ => Ok(None),
        }
    }
}
