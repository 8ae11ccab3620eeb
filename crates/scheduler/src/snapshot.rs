//! What the scheduler knows of the cluster when it decides: nodes, and the pods on them, bound or assumed.
//! It changes only by what it is told, so a decision can be replayed as data.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Key, owner};
use serde_json::Value;

use crate::amounts::Amounts;
use crate::filter::ports::{HostPort, host_ports};
use crate::storage::Storage;

/// A pod, with what the decisions need read out once.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// The pod as the API has it.
    pub object: Arc<Value>,
    /// What it asks for.
    pub requests: Amounts,
    pub(crate) ports: Vec<HostPort>,
}

impl PodInfo {
    /// Reads a pod.
    #[must_use]
    pub fn of(object: Arc<Value>) -> PodInfo {
        PodInfo { requests: Amounts::of_pod(&object), ports: host_ports(&object), object }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    pub(crate) fn labels(&self) -> &Value {
        &self.object["metadata"]["labels"]
    }

    pub(crate) fn controller(&self) -> Option<&str> {
        owner::controller_uid(&self.object)
    }

    pub(crate) fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// How important it is.
    #[must_use]
    pub fn priority(&self) -> i64 {
        self.object["spec"]["priority"].as_i64().unwrap_or(0)
    }

    /// When its node saw it first; empty before.
    pub(crate) fn started(&self) -> &str {
        self.object["status"]["startTime"].as_str().unwrap_or_default()
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.object["metadata"]["deletionTimestamp"].is_string()
    }
}

/// A node, and what runs on it.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// The node as the API has it; null for a node that pods name but that does not exist.
    pub object: Arc<Value>,
    /// What it can give.
    pub allocatable: Amounts,
    /// What its pods ask for together.
    pub requested: Amounts,
    /// Its pods.
    pub pods: BTreeMap<Key, PodInfo>,
}

impl NodeInfo {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.object["metadata"]["labels"][name].as_str()
    }
}

/// The nodes by name.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Existing nodes, and names that pods are bound to although there is no such node (yet).
    pub(crate) all: BTreeMap<String, NodeInfo>,
    places: BTreeMap<Key, String>,
    /// Claims, volumes and classes.
    pub storage: Storage,
}

impl Snapshot {
    /// The nodes that exist.
    pub fn nodes(&self) -> impl Iterator<Item = (&String, &NodeInfo)> {
        self.all.iter().filter(|(_, node)| !node.object.is_null())
    }

    /// Takes in a node; answers whether pods that did not fit may fit now.
    pub fn put_node(&mut self, object: Arc<Value>) -> bool {
        let node = self.all.entry(Key::of(&object).name).or_default();
        let matters = |object: &Value| {
            [&object["metadata"]["labels"], &object["spec"], &object["status"]["allocatable"]]
                .map(Value::clone)
        };
        let changed = matters(&node.object) != matters(&object);
        node.allocatable = Amounts::of(&object["status"]["allocatable"]);
        node.object = object;
        changed
    }

    /// Takes a node out; what is bound to it stays known.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(node) = self.all.get_mut(name) {
            node.object = Arc::new(Value::Null);
            node.allocatable = Amounts::default();
            if node.pods.is_empty() {
                self.all.remove(name);
            }
        }
    }

    /// Puts a pod on a node, in place of what was known of it.
    pub fn put_pod(&mut self, key: Key, node: &str, pod: PodInfo) {
        self.remove_pod(&key);
        let place = self.all.entry(node.to_owned()).or_default();
        place.requested.add(&pod.requests);
        place.pods.insert(key.clone(), pod);
        self.places.insert(key, node.to_owned());
    }

    /// Takes a pod off its node; answers whether it was on one.
    pub fn remove_pod(&mut self, key: &Key) -> bool {
        let Some(name) = self.places.remove(key) else { return false };
        if let Some(node) = self.all.get_mut(&name) {
            if let Some(pod) = node.pods.remove(key) {
                node.requested.subtract(&pod.requests);
            }
            if node.object.is_null() && node.pods.is_empty() {
                self.all.remove(&name);
            }
        }
        true
    }

    /// The uid of a pod and the node that it is on, bound or assumed.
    #[must_use]
    pub fn place_of(&self, key: &Key) -> Option<(&str, &str)> {
        let name = self.places.get(key)?;
        let pod = self.all.get(name)?.pods.get(key)?;
        Some((pod.object["metadata"]["uid"].as_str().unwrap_or_default(), name))
    }
}
