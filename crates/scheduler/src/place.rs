//! The decision: pure, so that a case is data.

use crate::filter::{self, Provision};
use crate::message::{Reject, explain, explain_refusal};
use crate::score;
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

#[cfg(test)]
mod tests;

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// To this node.
    Node(String),
    /// Nowhere, and why: the message of the pod's PodScheduled condition.
    Nowhere(String),
}

/// What the claims of a pod that have no volume yet get on a node; `None` when the node does not do (any more).
pub(crate) fn provide(pod: &PodInfo, node: &str, snapshot: &Snapshot) -> Option<Vec<Provision>> {
    let prepared = filter::prepare(pod, snapshot).ok()?;
    let node = snapshot.all.get(node).filter(|node| !node.object.is_null())?;
    prepared.volumes.check(node).ok()?;
    prepared.volumes.provide(node).ok()
}

/// Chooses a node for a pod.
#[must_use]
pub fn place(pod: &PodInfo, snapshot: &Snapshot) -> Placement {
    let count = snapshot.nodes().count();
    let prepared = match filter::prepare(pod, snapshot) {
        Ok(prepared) => prepared,
        Err(reason) => return Placement::Nowhere(explain_refusal(&pod.object, count, &reason)),
    };
    let (mut fitting, mut rejects): (Vec<(&String, &NodeInfo)>, Vec<Reject>) = (Vec::new(), Vec::new());
    for (name, node) in snapshot.nodes() {
        match filter::check(pod, node, &prepared) {
            Ok(()) => fitting.push((name, node)),
            Err(reject) => rejects.push(reject),
        }
    }
    match score::best(pod, &fitting, snapshot) {
        Some(name) => Placement::Node(name.to_owned()),
        None => Placement::Nowhere(explain(&pod.object, &rejects)),
    }
}
