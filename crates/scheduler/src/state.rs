//! What the scheduler has in mind between decisions: the snapshot with assumed pods, who waits, and for whom room is being
//! made. Changes by what it is told and by its own decisions; does nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::{Cache, Change, Key};
use object::storage;
use serde_json::Value;

use crate::filter::Provision;
use crate::place::{Placement, place, provide};
use crate::preempt::{Nominee, Preemption, preempt};
use crate::snapshot::{PodInfo, Snapshot};
use crate::storage::Part;

/// Pods that name another scheduler are not ours.
pub(crate) const NAME: &str = "default-scheduler";

#[derive(Default)]
pub(crate) struct State {
    snapshot: Snapshot,
    /// Pods that fit nowhere.
    waiting: BTreeSet<Key>,
    /// Those of them that others make room for.
    nominees: BTreeMap<Key, Nominee>,
    /// Pods without a node, or with one and without volumes there, by the claims that they need.
    users: BTreeMap<Key, BTreeSet<Key>>,
    /// Pods that have their node and wait there for volumes, with the uid.
    providing: BTreeMap<Key, String>,
    /// Whether the snapshot began with all that was there.
    primed: bool,
}

/// What is to be done for a pod.
pub(crate) enum Decision {
    /// Nothing now: it is assumed already and its binding on the way into the cache, or its victims are still there.
    Wait,
    Bind(String),
    /// To have volumes found or made on this node; the pod is bound when they are there.
    Provide(String, Vec<Provision>),
    /// Others have to go; the message says why it does not fit as it is.
    Preempt(Preemption, String),
    Refuse(String),
}

/// Whether the pod is neither bound nor over, and ours.
pub(crate) fn needs_place(pod: &Value) -> bool {
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
    pub(crate) fn see_node(&mut self, change: &Change) -> Vec<Key> {
        let helps = match &change.new {
            Some(node) => self.snapshot.put_node(node.clone()),
            None => {
                self.snapshot.remove_node(&change.key.name);
                false
            }
        };
        if helps { self.all_waiting() } else { Vec::new() }
    }

    fn all_waiting(&self) -> Vec<Key> {
        self.waiting.iter().cloned().collect()
    }

    /// Answers which pods to try: this one, or those that may use what this one left.
    pub(crate) fn see_pod(&mut self, change: &Change) -> Vec<Key> {
        let key = &change.key;
        self.note_claims(change);
        let Some(pod) = change.new.as_ref().filter(|pod| !is_terminal(pod)) else {
            self.waiting.remove(key);
            self.providing.remove(key);
            let reserved = self.nominees.remove(key).is_some();
            let freed = self.snapshot.remove_pod(key);
            return if freed || reserved { self.all_waiting() } else { Vec::new() };
        };
        if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()) {
            self.waiting.remove(key);
            self.nominees.remove(key);
            self.providing.remove(key);
            let new = self.snapshot.place_of(key).is_none();
            self.snapshot.put_pod(key.clone(), node, PodInfo::of(pod.clone()));
            // Somebody may have waited for this company.
            return if new { self.all_waiting() } else { Vec::new() };
        }
        if needs_place(pod) { vec![key.clone()] } else { Vec::new() }
    }

    /// Answers which pods to try again: those whose claims or volumes may be there now.
    pub(crate) fn see_storage(&mut self, part: Part, change: &Change) -> Vec<Key> {
        self.snapshot.storage.see(part, change);
        let phase =
            |volume: &Arc<Value>| (volume["status"]["phase"].clone(), volume["spec"]["nodeAffinity"].clone());
        match part {
            Part::Claim => self.users.get(&change.key).into_iter().flatten().cloned().collect(),
            // What else changes about a volume helps nobody.
            Part::Volume if change.old.as_ref().map(phase) == change.new.as_ref().map(phase) => Vec::new(),
            Part::Volume | Part::Class => self.waiting.iter().chain(self.providing.keys()).cloned().collect(),
        }
    }

    /// Keeps who waits for which claims.
    fn note_claims(&mut self, change: &Change) {
        let waits = change.new.as_ref().is_some_and(|pod| needs_place(pod));
        let namespace = change.key.namespace.as_str();
        for (name, _) in storage::claims(change.object()) {
            let claim = Key::new(namespace, name);
            if waits {
                self.users.entry(claim).or_default().insert(change.key.clone());
            } else if let Some(users) = self.users.get_mut(&claim) {
                users.remove(&change.key);
                if users.is_empty() {
                    self.users.remove(&claim);
                }
            }
        }
    }

    /// Takes in all that was there before the first decision.
    pub(crate) fn prime(&mut self, nodes: &Cache, pods: &Cache, parts: &[(Part, Cache)]) {
        if std::mem::replace(&mut self.primed, true) {
            return;
        }
        for (part, cache) in parts {
            for object in cache.list() {
                let change = Change { key: Key::of(&object), old: None, new: Some(object) };
                self.snapshot.storage.see(*part, &change);
            }
        }
        for node in nodes.list() {
            self.snapshot.put_node(node);
        }
        let pods = pods.list();
        for pod in &pods {
            let key = Key::of(pod);
            self.see_pod(&Change { key, old: None, new: Some(pod.clone()) });
        }
        for pod in pods.iter().filter(|pod| needs_place(pod)) {
            self.restore_nominee(pod);
        }
    }

    /// Room that an earlier scheduler began to make: those that are on their way out.
    fn restore_nominee(&mut self, pod: &Arc<Value>) {
        let Some(node) = pod["status"]["nominatedNodeName"].as_str() else { return };
        let info = PodInfo::of(pod.clone());
        let there = self.snapshot.all.get(node).into_iter().flat_map(|node| &node.pods);
        let leaving = there.filter(|(_, other)| other.is_deleting() && other.priority() < info.priority());
        let victims = leaving.map(|(key, other)| (key.clone(), other.uid().to_owned())).collect();
        self.nominees.insert(Key::of(pod), Nominee { pod: info, node: node.to_owned(), victims });
    }

    /// Decides, and assumes the pod to be where it goes before the next decision is made.
    pub(crate) fn decide(&mut self, key: &Key, pod: &Arc<Value>) -> Decision {
        let info = PodInfo::of(pod.clone());
        if let Some((uid, node)) = self.snapshot.place_of(key) {
            let same = pod["metadata"]["uid"] == uid;
            let waits = self.providing.get(key).is_some_and(|waiting| waiting == uid);
            if same && !waits {
                return Decision::Wait;
            }
            let node = node.to_owned();
            match same.then(|| provide(&info, &node, &self.snapshot)).flatten() {
                Some(left) => return self.go_on(key, node, left),
                // The node does not do any more, or another pod of the same name was there before.
                None => self.unassume(key),
            }
        }
        match self.with_reserved(key, &info, |snapshot| place(&info, snapshot)) {
            Placement::Node(node) => {
                self.waiting.remove(key);
                self.nominees.remove(key);
                let needed = provide(&info, &node, &self.snapshot).unwrap_or_default();
                if !needed.is_empty() {
                    self.providing.insert(key.clone(), info.uid().to_owned());
                }
                self.snapshot.put_pod(key.clone(), &node, info);
                self.go_on(key, node, needed)
            }
            Placement::Nowhere(message) => self.look_for_room(key, info, message),
        }
    }

    /// Binds a pod that has its node, unless it lacks volumes there.
    fn go_on(&mut self, key: &Key, node: String, lacks: Vec<Provision>) -> Decision {
        if lacks.is_empty() {
            self.providing.remove(key);
            return Decision::Bind(node);
        }
        Decision::Provide(node, lacks)
    }

    fn look_for_room(&mut self, key: &Key, info: PodInfo, message: String) -> Decision {
        self.waiting.insert(key.clone());
        if self.nominees.get(key).is_some_and(|nominee| nominee.waits(&self.snapshot)) {
            return Decision::Wait;
        }
        self.nominees.remove(key);
        let Some(found) = self.with_reserved(key, &info, |snapshot| preempt(&info, snapshot)) else {
            return Decision::Refuse(message);
        };
        let uid = |victim: &Key| self.snapshot.place_of(victim).map(|(uid, _)| uid.to_owned());
        let victims = found.victims.iter().filter_map(|victim| Some((victim.clone(), uid(victim)?)));
        let nominee = Nominee { pod: info, node: found.node.clone(), victims: victims.collect() };
        self.nominees.insert(key.clone(), nominee);
        Decision::Preempt(found, message)
    }

    /// Looks at the snapshot as it will be: with those for whom room is being made, unless they are less important.
    fn with_reserved<T>(&mut self, key: &Key, pod: &PodInfo, look: impl FnOnce(&Snapshot) -> T) -> T {
        let counts = |(other, nominee): &(&Key, &Nominee)| {
            *other != key
                && nominee.pod.priority() >= pod.priority()
                && self.snapshot.place_of(other).is_none()
        };
        let reserved: Vec<(Key, Nominee)> = self
            .nominees
            .iter()
            .filter(counts)
            .map(|(other, nominee)| (other.clone(), nominee.clone()))
            .collect();
        for (other, nominee) in &reserved {
            self.snapshot.put_pod(other.clone(), &nominee.node, nominee.pod.clone());
        }
        let seen = look(&self.snapshot);
        for (other, _) in &reserved {
            self.snapshot.remove_pod(other);
        }
        seen
    }

    /// The pod needs no place any more.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.waiting.remove(key);
        self.nominees.remove(key);
        if self.providing.remove(key).is_some() {
            self.snapshot.remove_pod(key);
        }
    }

    /// Takes an assumed pod back.
    pub(crate) fn unassume(&mut self, key: &Key) {
        self.providing.remove(key);
        self.snapshot.remove_pod(key);
    }

    /// The victims of this pod could not be sent away.
    pub(crate) fn give_up_room(&mut self, key: &Key) {
        self.nominees.remove(key);
    }
}
