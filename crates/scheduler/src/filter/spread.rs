//! Topology spread constraints: how uneven the pods of a selector may lie over zones, hosts or whatever
//! label is named.

use std::collections::BTreeMap;

use object::placement::selects;
use object::selector::LabelSelector;
use serde_json::Value;

use super::taints;
use crate::message::Reject;
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

struct Constraint {
    key: String,
    max_skew: i64,
    /// Pods per value of the label.
    counts: BTreeMap<String, i64>,
    least: i64,
    /// 1 when the pod itself counts.
    itself: i64,
}

/// The hard constraints of a pod, counted.
pub(crate) struct Counts(Vec<Constraint>);

const MISMATCH: &str = "node(s) didn't match pod topology spread constraints";

fn constraints<'a>(pod: &'a PodInfo, when: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = pod.object["spec"]["topologySpreadConstraints"].as_array().into_iter().flatten();
    all.filter(move |constraint| constraint["whenUnsatisfiable"] == when)
}

pub(super) fn count(pod: &PodInfo, snapshot: &Snapshot) -> Result<Counts, String> {
    let hard: Vec<&Value> = constraints(pod, "DoNotSchedule").collect();
    let keys: Vec<&str> = hard.iter().filter_map(|constraint| constraint["topologyKey"].as_str()).collect();
    hard.iter()
        .map(|constraint| count_one(pod, snapshot, constraint, &keys))
        .collect::<Result<_, _>>()
        .map(Counts)
}

fn count_one(
    pod: &PodInfo,
    snapshot: &Snapshot,
    constraint: &Value,
    keys: &[&str],
) -> Result<Constraint, String> {
    let selector = selector_of(pod, constraint)?;
    let key = constraint["topologyKey"].as_str().unwrap_or_default();
    let mut counts = BTreeMap::new();
    for (_, node) in snapshot.nodes() {
        let counted = keys.iter().all(|key| node.label(key).is_some()) && is_eligible(pod, node, constraint);
        let Some(value) = node.label(key).filter(|_| counted) else { continue };
        *counts.entry(value.to_owned()).or_default() += matching(pod, node, &selector);
    }
    let domains = i64::try_from(counts.len()).unwrap_or(i64::MAX);
    let enough = domains >= constraint["minDomains"].as_i64().unwrap_or(1);
    let least = if enough { counts.values().copied().min().unwrap_or_default() } else { 0 };
    Ok(Constraint {
        key: key.to_owned(),
        max_skew: constraint["maxSkew"].as_i64().unwrap_or(1),
        counts,
        least,
        itself: i64::from(selector.matches(pod.labels())),
    })
}

fn is_eligible(pod: &PodInfo, node: &NodeInfo, constraint: &Value) -> bool {
    let honors = |name: &str, otherwise: bool| match constraint[name].as_str() {
        Some(policy) => policy == "Honor",
        None => otherwise,
    };
    (!honors("nodeAffinityPolicy", true) || selects(&pod.object, &node.object))
        && (!honors("nodeTaintsPolicy", false) || taints::check(&pod.object, &node.object).is_ok())
}

/// The selector of a constraint, narrowed by the values that the pod has for `matchLabelKeys`.
fn selector_of(pod: &PodInfo, constraint: &Value) -> Result<LabelSelector, String> {
    let mut selector = constraint["labelSelector"].clone();
    for key in constraint["matchLabelKeys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if let Some(value) = pod.labels()[key].as_str() {
            selector["matchLabels"][key] = value.into();
        }
    }
    LabelSelector::from_json(&selector)
}

fn matching(pod: &PodInfo, node: &NodeInfo, selector: &LabelSelector) -> i64 {
    let counts = |other: &&PodInfo| {
        other.namespace() == pod.namespace() && !other.is_deleting() && selector.matches(other.labels())
    };
    i64::try_from(node.pods.values().filter(counts).count()).unwrap_or(i64::MAX)
}

impl Counts {
    pub(super) fn check(&self, node: &NodeInfo) -> Result<(), Reject> {
        for constraint in &self.0 {
            let Some(value) = node.label(&constraint.key) else {
                return Err(Reject::final_for(format!("{MISMATCH} (missing required label)")));
            };
            let here = constraint.counts.get(value).copied().unwrap_or_default();
            if here + constraint.itself - constraint.least > constraint.max_skew {
                return Err(Reject::curable(MISMATCH));
            }
        }
        Ok(())
    }
}

/// How many pods of the soft constraints' selectors share the domain of a node: fewer is better.
pub(crate) fn crowd(pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64 {
    let mut crowd = 0;
    for constraint in constraints(pod, "ScheduleAnyway") {
        let Some(key) = constraint["topologyKey"].as_str() else { continue };
        let (Some(value), Ok(selector)) = (node.label(key), selector_of(pod, constraint)) else { continue };
        let domain = snapshot.nodes().filter(|(_, other)| other.label(key) == Some(value));
        crowd += domain.map(|(_, other)| matching(pod, other, &selector)).sum::<i64>();
    }
    crowd
}
