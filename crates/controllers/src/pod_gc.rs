//! Removes pods that nobody else can: those bound to a node that is gone, and those that were deleted
//! before any node had them. Called by the loop with the key of a pod. Pods that ended are kept, however
//! many: their owners and people delete them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::k8s_openapi::api::core::v1::{Node, Pod};
use client::{Cache, Caches, Deletion, Key, Objects};
use futures::FutureExt;
use futures::future::BoxFuture;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::Value;

use crate::node_lifecycle::{BY_NODE, pods_by_node};
use crate::pod;
use crate::taint_eviction::mark_disrupted;

/// A node may be about to show up: so long its pods are left alone (upstream's figure).
const QUARANTINE: Duration = Duration::from_secs(40);
const WORKERS: usize = 4;

struct Controller {
    nodes: Cache,
    pods: Cache,
    node_objects: Objects,
    pod_objects: Objects,
    /// Since when pods lack their node.
    missing: Mutex<HashMap<Key, Instant>>,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (nodes, pods) = (caches.of::<Node>(), pods_by_node(caches));
    let controller = Controller {
        nodes: nodes.clone(),
        pods: pods.clone(),
        node_objects: Objects::of::<Node>(caches.client()),
        pod_objects: Objects::of::<Pod>(caches.client()),
        missing: Mutex::default(),
    };
    let (all_pods, all_nodes) = (pods.clone(), nodes.clone());
    Loop::new("podgc", Arc::new(controller), WORKERS)
        .watch(&nodes, move |change| match change.new {
            Some(_) => Vec::new(),
            None => all_pods.by_index(BY_NODE, &change.key.name).iter().map(|pod| Key::of(pod)).collect(),
        })
        .watch(&pods, move |change| {
            let concerned = change.new.as_ref().is_none_or(|pod| match pod::node(pod) {
                Some(node) => all_nodes.get(&Key::cluster(node)).is_none(),
                None => pod::is_deleting(pod),
            });
            if concerned { vec![change.key.clone()] } else { Vec::new() }
        })
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    fn forget(&self, key: &Key) {
        self.missing.lock().expect("nothing panics while holding it").remove(key);
    }

    async fn turn(&self, key: Key) -> Outcome {
        let Some(pod) = self.pods.get(&key) else {
            self.forget(&key);
            return Ok(None);
        };
        let Some(node) = pod::node(&pod) else {
            if pod::is_deleting(&pod) {
                self.remove(&key, &pod).await?;
            }
            return Ok(None);
        };
        if self.nodes.get(&Key::cluster(node)).is_some() {
            self.forget(&key);
            return Ok(None);
        }
        let since = *self
            .missing
            .lock()
            .expect("nothing panics while holding it")
            .entry(key.clone())
            .or_insert_with(Instant::now);
        let missing = since.elapsed();
        if missing < QUARANTINE {
            return Ok(Some(QUARANTINE - missing));
        }
        match self.node_objects.get(&Key::cluster(node)).await {
            Ok(_) => return Ok(Some(QUARANTINE)),
            Err(error) if client::is_not_found(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let phase = (!pod::is_terminal(&pod)).then_some("Failed");
        let message = "PodGC: node no longer exists";
        mark_disrupted(&self.pod_objects, &pod, "DeletionByPodGC", message, phase).await?;
        self.remove(&key, &pod).await?;
        self.forget(&key);
        Ok(None)
    }

    async fn remove(&self, key: &Key, pod: &Value) -> Result<(), Error> {
        let uid = pod["metadata"]["uid"].as_str().map(str::to_owned);
        let now = Deletion { uid, grace_seconds: Some(0), ..Deletion::default() };
        match self.pod_objects.delete(key, &now).await {
            Err(error) if !client::is_not_found(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}
