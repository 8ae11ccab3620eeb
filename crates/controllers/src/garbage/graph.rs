//! Who owns whom: the graph of owner references, and what it says is to be done with an object. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};

use client::{Change, Key, Propagation, owner};
use serde_json::Value;

use crate::pod::is_deleting;

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// An owner as a dependent names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) blocks: bool,
}

/// An object, with what the decisions need.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Which of the watched resources it belongs to.
    pub(super) resource: usize,
    pub(super) key: Key,
    /// The version that this was read from.
    pub(super) revision: u64,
    owners: Vec<Owner>,
    deleting: bool,
    finalizers: Finalizers,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Finalizers {
    foreground: bool,
    orphan: bool,
}

impl Node {
    fn read(resource: usize, object: &Value) -> Node {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let has = |name: &str| {
            object["metadata"]["finalizers"]
                .as_array()
                .is_some_and(|all| all.iter().any(|known| known == name))
        };
        let owners = owner::references(object).iter().map(|reference| Owner {
            uid: text(&reference["uid"]),
            api_version: text(&reference["apiVersion"]),
            kind: text(&reference["kind"]),
            name: text(&reference["name"]),
            blocks: reference["blockOwnerDeletion"] == true,
        });
        Node {
            resource,
            key: Key::of(object),
            revision: client::revision_of(object),
            owners: owners.collect(),
            deleting: is_deleting(object),
            finalizers: Finalizers { foreground: has(FOREGROUND), orphan: has(ORPHAN) },
        }
    }

    /// Whether every decision about it is the same as before.
    fn decides_as(&self, before: &Node) -> bool {
        (&self.owners, self.deleting, self.finalizers) == (&before.owners, before.deleting, before.finalizers)
    }

    /// Whether it goes only after its dependents.
    fn waits(&self) -> bool {
        self.deleting && self.finalizers.foreground
    }

    fn orphans(&self) -> bool {
        self.deleting && self.finalizers.orphan
    }
}

/// What the API says of an owner that is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Gone,
    /// It is there, and some watch will show it, or has not told of its end yet.
    There,
    /// Nobody can say which object is meant: the dependent stays.
    Unclear,
}

/// What is to be done with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Nothing,
    /// These owners are not known here: are they there at all?
    Ask(Vec<Owner>),
    /// An owner is there that is not known here. When it goes before any watch shows it, as one of a kind that is new may,
    /// nothing brings its dependents back: they are looked at until it is known or gone.
    Again,
    /// All owners are gone.
    Delete {
        propagation: Propagation,
        unblock: bool,
    },
    /// These owners are gone, others are not.
    Drop(HashSet<String>),
    /// Let the dependents live, without this owner.
    Orphan(Vec<String>),
    /// The dependents are to go first.
    Wait(Vec<String>),
    /// No dependent holds it any more.
    Release,
}

/// The graph: objects by uid, and for every owner its dependents.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<String, Node>,
    dependents: HashMap<String, BTreeSet<String>>,
}

fn uid_of(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

impl Graph {
    pub(super) fn node(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// Takes in a change; answers which objects to look at.
    pub(super) fn see(&mut self, resource: usize, change: &Change) -> Vec<String> {
        let (old, new) = (change.old.as_deref().map(uid_of), change.new.as_deref().map(uid_of));
        let mut look = Vec::new();
        if let Some(gone) = old.filter(|old| Some(old) != new.as_ref()) {
            look.extend(self.remove(&gone));
        }
        if let (Some(uid), Some(object)) = (new, &change.new) {
            look.extend(self.put(uid, Node::read(resource, object)));
        }
        look
    }

    /// Takes out all objects of a resource that is gone; answers which objects to look at.
    pub(super) fn forget(&mut self, resource: usize) -> Vec<String> {
        let of = |node: &Node| node.resource == resource;
        let gone: Vec<String> =
            self.nodes.iter().filter(|(_, node)| of(node)).map(|(uid, _)| uid.clone()).collect();
        gone.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    fn put(&mut self, uid: String, node: Node) -> Vec<String> {
        let before = self.nodes.insert(uid.clone(), node.clone());
        if before.as_ref().is_some_and(|before| node.decides_as(before)) {
            return Vec::new();
        }
        let mut look = Vec::new();
        for owner in before.iter().flat_map(|before| &before.owners) {
            self.unlink(&owner.uid, &uid);
            look.extend(self.waiting(&owner.uid));
        }
        for owner in &node.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        if !node.owners.is_empty() || node.waits() || node.orphans() {
            look.push(uid);
        }
        look
    }

    fn remove(&mut self, uid: &str) -> Vec<String> {
        // An object may come and go before anybody takes it in, and have dependents nonetheless.
        let mut look: Vec<String> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        let Some(node) = self.nodes.remove(uid) else { return look };
        for owner in &node.owners {
            self.unlink(&owner.uid, uid);
            look.extend(self.waiting(&owner.uid));
        }
        look
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    /// The owner, if it waits for its dependents.
    fn waiting(&self, uid: &str) -> Option<String> {
        self.nodes.get(uid).filter(|node| node.waits()).map(|_| uid.to_owned())
    }

    fn dependents_of<'a>(&'a self, uid: &str) -> impl Iterator<Item = (&'a String, &'a Node)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| self.nodes.get(uid).map(|node| (uid, node)))
    }

    /// What to do with an object. `asked` says of owners that are not known here whether they exist.
    pub(super) fn decide(&self, uid: &str, asked: &HashMap<String, Answer>) -> Decision {
        let Some(node) = self.nodes.get(uid) else { return Decision::Nothing };
        if node.orphans() {
            return Decision::Orphan(self.dependents_of(uid).map(|(uid, _)| uid.clone()).collect());
        }
        if node.waits() {
            let blocks =
                |dependent: &Node| dependent.owners.iter().any(|owner| owner.uid == uid && owner.blocks);
            if !self.dependents_of(uid).any(|(_, dependent)| blocks(dependent)) {
                return Decision::Release;
            }
            let going = self.dependents_of(uid).filter(|(_, dependent)| !dependent.deleting);
            return Decision::Wait(going.map(|(uid, _)| uid.clone()).collect());
        }
        if node.deleting || node.owners.is_empty() {
            return Decision::Nothing;
        }
        self.decide_by_owners(uid, node, asked)
    }

    fn decide_by_owners(&self, uid: &str, node: &Node, asked: &HashMap<String, Answer>) -> Decision {
        let (mut solid, mut unseen, mut waiting) = (false, false, false);
        let (mut gone, mut unknown) = (HashSet::new(), Vec::new());
        for owner in &node.owners {
            match self.nodes.get(&owner.uid) {
                // An owner in another namespace is no owner.
                Some(found)
                    if !found.key.namespace.is_empty() && found.key.namespace != node.key.namespace =>
                {
                    gone.insert(owner.uid.clone());
                }
                Some(found) if found.waits() => {
                    waiting = true;
                    gone.insert(owner.uid.clone());
                }
                Some(_) => solid = true,
                None => match asked.get(&owner.uid) {
                    Some(Answer::There) => unseen = true,
                    Some(Answer::Unclear) => solid = true,
                    Some(Answer::Gone) => drop(gone.insert(owner.uid.clone())),
                    None => unknown.push(owner.clone()),
                },
            }
        }
        if !unknown.is_empty() {
            return Decision::Ask(unknown);
        }
        if solid || unseen {
            return match gone.is_empty() {
                // The write brings the object back.
                false => Decision::Drop(gone),
                true if unseen => Decision::Again,
                true => Decision::Nothing,
            };
        }
        let has_dependents = self.dependents_of(uid).next().is_some();
        let propagation = match node.finalizers {
            _ if waiting && has_dependents => Propagation::Foreground,
            Finalizers { orphan: true, .. } => Propagation::Orphan,
            Finalizers { foreground: true, .. } => Propagation::Foreground,
            Finalizers { .. } => Propagation::Background,
        };
        // A dependent that already waits makes a circle, which nobody would ever leave.
        let unblock = waiting && self.dependents_of(uid).any(|(_, dependent)| dependent.waits());
        Decision::Delete { propagation, unblock }
    }
}
