//! Room for an important pod: which less important pods would have to go, and from which node. Pure. Upstream's rules
//! (`preemption.go`, v1.37), without PodDisruptionBudgets, which this platform does not have.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use client::Key;

use crate::filter;
use crate::snapshot::{PodInfo, Snapshot};

#[cfg(test)]
mod tests;

/// What makes room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// Where the pod will fit.
    pub node: String,
    /// Who goes, the most important first.
    pub victims: Vec<Key>,
}

/// Finds the node where the least is lost, if the pod may push others out and that helps.
#[must_use]
pub fn preempt(pod: &PodInfo, snapshot: &Snapshot) -> Option<Preemption> {
    if pod.object["spec"]["preemptionPolicy"] == "Never" {
        return None;
    }
    let prepared = filter::prepare(pod, snapshot).ok()?;
    let curable = snapshot.nodes().filter(|(_, node)| {
        let less = node.pods.values().any(|other| other.priority() < pod.priority());
        less && filter::check(pod, node, &prepared).is_err_and(|reject| reject.curable)
    });
    let names: Vec<&String> = curable.map(|(name, _)| name).collect();
    let choices = names.into_iter().filter_map(|name| {
        let victims = victims(pod, name, snapshot)?;
        Some((cost(&victims), name, victims))
    });
    let (_, node, victims) = choices.min_by(|one, other| one.0.cmp(&other.0))?;
    Some(Preemption { node: node.clone(), victims: victims.into_iter().map(|(key, _)| key).collect() })
}

/// The most important pods first, of equals the one that began first.
fn order(pods: &mut [(Key, PodInfo)]) {
    pods.sort_by(|one, other| {
        let rank = |pod: &PodInfo| (Reverse(pod.priority()), pod.started().to_owned());
        rank(&one.1).cmp(&rank(&other.1))
    });
}

/// Takes all less important pods away, then brings back as many as the pod can do with, the most important first.
fn victims(pod: &PodInfo, node: &str, snapshot: &Snapshot) -> Option<Vec<(Key, PodInfo)>> {
    let mut trial = snapshot.clone();
    let fits = |trial: &Snapshot| {
        let Ok(prepared) = filter::prepare(pod, trial) else { return false };
        trial.all.get(node).is_some_and(|node| filter::check(pod, node, &prepared).is_ok())
    };
    let there = &snapshot.all.get(node)?.pods;
    let less = there.iter().filter(|(_, other)| other.priority() < pod.priority());
    let mut candidates: Vec<(Key, PodInfo)> = less.map(|(key, other)| (key.clone(), other.clone())).collect();
    order(&mut candidates);
    for (key, _) in &candidates {
        trial.remove_pod(key);
    }
    if !fits(&trial) {
        return None;
    }
    candidates.retain(|(key, other)| {
        trial.put_pod(key.clone(), node, other.clone());
        let stays = fits(&trial);
        if !stays {
            trial.remove_pod(key);
        }
        !stays
    });
    Some(candidates)
}

/// What upstream compares nodes by, the cheapest first: the most important victim, their importance together, how many
/// they are, and how long the most important ones ran.
type Cost = (i64, i64, usize, Reverse<String>);

/// Added to each priority before they are summed up, so that many pods never cost less than one.
const OFFSET: i64 = 1 << 31;

fn cost(victims: &[(Key, PodInfo)]) -> Cost {
    let highest = victims.first().map_or(i64::MIN, |(_, pod)| pod.priority());
    let sum = victims.iter().map(|(_, pod)| pod.priority() + OFFSET).sum();
    let earliest = victims.first().map(|(_, pod)| pod.started().to_owned()).unwrap_or_default();
    (highest, sum, victims.len(), Reverse(earliest))
}

/// A pod that others make room for.
#[derive(Clone, Debug)]
pub(crate) struct Nominee {
    pub(crate) pod: PodInfo,
    pub(crate) node: String,
    /// Who goes for it, by key and uid.
    pub(crate) victims: BTreeSet<(Key, String)>,
}

impl Nominee {
    /// Whether some of those who go are still there.
    pub(crate) fn waits(&self, snapshot: &Snapshot) -> bool {
        let there = |key: &Key, uid: &str| snapshot.place_of(key).is_some_and(|(current, _)| current == uid);
        self.victims.iter().any(|(key, uid)| there(key, uid))
    }
}
