//! Which pods a Job needs and which it has too many: pure decisions over its tally.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use object::indexes::Indexes;
use object::time::Timestamp;
use serde_json::Value;

use super::backoff::left_for_index;
use super::read::{
    backoff_limit_per_index, completions, index, is_indexed, is_suspended, is_terminating, number,
    replaces_failed_only, valid_index,
};
use super::tally::{Indexed, Tally};
use crate::pod;

/// Of one turn no more pods are made or deleted than this (upstream's figure).
const BURST_PODS: usize = 500;

/// A pod to be made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Creation {
    /// Its index, in an Indexed Job.
    pub(super) index: Option<u32>,
    /// The failed pod whose place it takes, where each index counts its own failures.
    pub(super) replaces: Option<Arc<Value>>,
}

/// What to do about the pods.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Nothing,
    Create(Vec<Creation>),
    /// They are surplus: they count neither as succeeded nor as failed.
    Discard(Vec<Arc<Value>>),
    /// The Job is at its end: they count.
    End(Vec<Arc<Value>>),
}

/// The change, and when to look again when there is something to wait for.
pub(super) type Plan = (Change, Option<Duration>);

/// Compares the pods with what the Job wants now. `terminating` ones are in `pods` alone.
pub(super) fn plan_pods(job: &Value, pods: &[Arc<Value>], tally: &Tally, now: Timestamp) -> Plan {
    if tally.verdict.is_some() {
        return (Change::End(tally.active.clone()), None);
    }
    if pod::is_deleting(job) {
        return (Change::Nothing, None);
    }
    let active = tally.active.len();
    let wanted = if is_suspended(job) { 0 } else { wanted(job, tally) };
    let limit = if is_suspended(job) { usize::MAX } else { BURST_PODS };
    let mut surplus = surplus(job, &tally.active, active.saturating_sub(wanted));
    surplus.truncate(limit);
    if !surplus.is_empty() {
        return (Change::Discard(surplus), None);
    }
    let leaving = if replaces_failed_only(job) { tally.terminating } else { 0 };
    let missing = wanted.saturating_sub(leaving + active).min(BURST_PODS);
    if missing == 0 {
        return (Change::Nothing, None);
    }
    match &tally.indexed {
        Some(indexed) if backoff_limit_per_index(job).is_some() => {
            plan_independent(pending(job, pods, indexed, missing), &indexed.last, now)
        }
        _ if tally.record.left(now).is_some() => (Change::Nothing, tally.record.left(now)),
        Some(indexed) => {
            let indexes = pending(job, pods, indexed, missing).into_iter();
            create(indexes.map(|index| Creation { index: Some(index), replaces: None }).collect())
        }
        None => create(vec![Creation { index: None, replaces: None }; missing]),
    }
}

fn create(creations: Vec<Creation>) -> Plan {
    (if creations.is_empty() { Change::Nothing } else { Change::Create(creations) }, None)
}

/// How many pods should be active.
fn wanted(job: &Value, tally: &Tally) -> usize {
    let parallelism = number(&job["spec"], "parallelism").unwrap_or(1);
    let wanted = match completions(job) {
        Some(completions) => completions.saturating_sub(tally.succeeded).min(parallelism),
        // The first that succeeds says that all is done: the others end by themselves.
        None if tally.succeeded > 0 => return tally.active.len(),
        None => parallelism,
    };
    usize::try_from(wanted).unwrap_or(usize::MAX)
}

/// The active pods that are too many: those without a valid index and all but the best of each, then the least useful
/// until so many are gone.
fn surplus(job: &Value, active: &[Arc<Value>], at_least: usize) -> Vec<Arc<Value>> {
    let mut ranked = active.to_vec();
    ranked.sort_by_cached_key(|pod| pod::usefulness(pod, 0, 0));
    let mut gone = Vec::new();
    if is_indexed(job) {
        let mut taken = HashSet::new();
        // The best of an index is the last of its pods.
        let unique = |pod: &Arc<Value>| valid_index(job, pod).is_some_and(|index| taken.insert(index));
        let (kept, doubled): (Vec<_>, Vec<_>) = ranked.into_iter().rev().partition(unique);
        (ranked, gone) = (kept.into_iter().rev().collect(), doubled);
    }
    let more = at_least.saturating_sub(gone.len());
    gone.extend(ranked.into_iter().take(more));
    gone
}

/// The lowest indexes that nothing is done about yet.
fn pending(job: &Value, pods: &[Arc<Value>], indexed: &Indexed, count: usize) -> Vec<u32> {
    let waits = |pod: &&Arc<Value>| pod::is_active(pod) || (replaces_failed_only(job) && is_terminating(pod));
    let busy: Indexes = pods.iter().filter(waits).filter_map(|pod| index(pod)).collect();
    let mut settled = indexed.succeeded.union(&busy);
    if let Some(failed) = &indexed.failed {
        settled = settled.union(failed);
    }
    settled.missing(completions(job).unwrap_or(0), count)
}

/// Where each index waits for itself: those that need not wait, else until the first need not.
fn plan_independent(pending: Vec<u32>, last: &BTreeMap<u32, Arc<Value>>, now: Timestamp) -> Plan {
    let wait = |index: &u32| last.get(index).and_then(|pod| left_for_index(pod, now));
    let (waiting, ready): (Vec<u32>, Vec<u32>) = pending.into_iter().partition(|index| wait(index).is_some());
    if ready.is_empty() {
        return (Change::Nothing, waiting.iter().filter_map(wait).min());
    }
    let creation = |index: u32| Creation { index: Some(index), replaces: last.get(&index).cloned() };
    // Those that wait have their turn as soon as the new pods show.
    create(ready.into_iter().map(creation).collect())
}
