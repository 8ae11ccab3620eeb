//! How a Job stands: its pods counted, and whether that is the end. Pure.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use object::indexes::Indexes;
use object::time::{self, Timestamp};
use serde_json::Value;

use super::backoff::{Record, finished_at};
use super::policy;
use super::read::{
    backoff_limit_per_index, completions, condition, has_failed, has_succeeded, holds, index, index_failures,
    index_ignored_failures, is_held, is_indexed, is_suspended, is_terminating, number, uid, valid_index,
};
use crate::pod;

/// Why a Job is at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) success: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Verdict {
    fn failure(reason: &str, message: impl Into<String>) -> Verdict {
        Verdict { success: false, reason: reason.into(), message: message.into() }
    }

    pub(super) fn success(reason: &str, message: impl Into<String>) -> Verdict {
        Verdict { success: true, reason: reason.into(), message: message.into() }
    }
}

/// What is known of the indexes of an Indexed Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) succeeded: Indexes,
    /// Those that failed for good, where each has a limit of its own.
    pub(super) failed: Option<Indexes>,
    /// The last failed pod of indexes that are to be tried again. It is held until its successor is there, which takes
    /// over its count of failures.
    pub(super) last: BTreeMap<u32, Arc<Value>>,
}

/// A Job's pods, counted.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) active: Vec<Arc<Value>>,
    pub(super) ready: usize,
    pub(super) terminating: usize,
    /// Successes and failures, those that the status does not count yet included.
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    pub(super) indexed: Option<Indexed>,
    pub(super) record: Record,
    pub(super) verdict: Option<Verdict>,
    /// When the deadline passes, if nothing ends the Job before.
    pub(super) deadline: Option<Duration>,
}

/// Uids of pods that the status lists and does not count yet.
pub(super) fn uncounted<'a>(status: &'a Value, list: &str) -> HashSet<&'a str> {
    let uids = status["uncountedTerminatedPods"][list].as_array();
    uids.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Counts the pods of a Job, `record` being its failures before.
pub(super) fn tally(job: &Value, pods: &[Arc<Value>], record: &Record, now: Timestamp) -> Tally {
    let new = |list: &str, ended: fn(&Value, &Value) -> bool| -> Vec<&Value> {
        let known = uncounted(&job["status"], list);
        let valid = |pod: &Value| !is_indexed(job) || valid_index(job, pod).is_some();
        let pods = pods.iter().map(AsRef::as_ref);
        pods.filter(|pod| is_held(pod) && !known.contains(uid(pod)) && valid(pod) && ended(job, pod))
            .collect()
    };
    let (succeeded, failed) = (new("succeeded", |_, pod| has_succeeded(pod)), new("failed", has_failed));
    let counted = |field: &str, new: usize| {
        let waiting = uncounted(&job["status"], field).len() + new;
        number(&job["status"], field).unwrap_or(0).saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX))
    };
    let counting = failed.iter().filter(|pod| policy::judge(job, pod).counts).count();
    let active: Vec<_> = pods.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
    let mut tally = Tally {
        ready: active.iter().filter(|pod| pod::is_ready(pod)).count(),
        active,
        terminating: pods.iter().filter(|pod| is_terminating(pod)).count(),
        succeeded: counted("succeeded", succeeded.len()),
        failed: counted("failed", counting),
        indexed: None,
        record: record.with(&succeeded, &failed),
        verdict: earlier_verdict(job).or_else(|| policy_verdict(job, pods)),
        deadline: None,
    };
    if tally.verdict.is_none() {
        tally.verdict = limits_verdict(job, pods, &tally, now);
        tally.deadline = deadline(job, now).filter(|_| tally.verdict.is_none());
    }
    if let Some(completions) = completions(job).filter(|_| is_indexed(job)) {
        let indexed = count_indexes(job, pods, completions, &tally.active);
        tally.succeeded = indexed.succeeded.count();
        tally.verdict = tally.verdict.or_else(|| index_verdict(job, completions, &indexed));
        tally.indexed = Some(indexed);
    }
    tally
}

/// What an earlier turn decided stays decided.
fn earlier_verdict(job: &Value) -> Option<Verdict> {
    let kind = ["SuccessCriteriaMet", "FailureTarget"].into_iter().find(|kind| holds(job, kind))?;
    let text = |field: &str| condition(job, kind)?[field].as_str().map(str::to_owned);
    let (reason, message) = (text("reason").unwrap_or_default(), text("message").unwrap_or_default());
    Some(Verdict { success: kind == "SuccessCriteriaMet", reason, message })
}

fn policy_verdict(job: &Value, pods: &[Arc<Value>]) -> Option<Verdict> {
    let failed = pods.iter().filter(|pod| has_failed(job, pod));
    let message = failed.filter_map(|pod| policy::judge(job, pod).fails_job).next()?;
    Some(Verdict::failure("PodFailurePolicy", message))
}

fn limits_verdict(job: &Value, pods: &[Arc<Value>], tally: &Tally, now: Timestamp) -> Option<Verdict> {
    let limit = number(&job["spec"], "backoffLimit").unwrap_or(u32::MAX);
    if tally.failed > limit || restarts_exceed(job, pods, limit) {
        let why = "Job has reached the specified backoff limit";
        return Some(Verdict::failure("BackoffLimitExceeded", why));
    }
    let over = deadline(job, now).is_some_and(|left| left.is_zero());
    over.then(|| Verdict::failure("DeadlineExceeded", "Job was active longer than specified deadline"))
}

/// Pods that restart their containers themselves count these restarts.
fn restarts_exceed(job: &Value, pods: &[Arc<Value>], limit: u32) -> bool {
    if job["spec"]["template"]["spec"]["restartPolicy"] != "OnFailure" {
        return false;
    }
    let alive =
        pods.iter().filter(|pod| matches!(pod["status"]["phase"].as_str(), Some("Running" | "Pending")));
    let lists =
        alive.flat_map(|pod| ["initContainerStatuses", "containerStatuses"].map(|list| &pod["status"][list]));
    let statuses = lists.filter_map(Value::as_array).flatten();
    let restarts: u64 = statuses.filter_map(|status| status["restartCount"].as_u64()).sum();
    restarts >= u64::from(limit.max(1))
}

/// How long the Job may still be active.
fn deadline(job: &Value, now: Timestamp) -> Option<Duration> {
    let allowed = job["spec"]["activeDeadlineSeconds"].as_u64().filter(|_| !is_suspended(job))?;
    let Some(start) = job["status"]["startTime"].as_str().and_then(time::parse) else {
        return Some(Duration::from_secs(allowed));
    };
    let passed = Duration::try_from(now.duration_since(start)).unwrap_or_default();
    Some(Duration::from_secs(allowed).saturating_sub(passed))
}

fn count_indexes(job: &Value, pods: &[Arc<Value>], completions: u32, active: &[Arc<Value>]) -> Indexed {
    let held =
        || pods.iter().filter(|pod| is_held(pod)).filter_map(|pod| Some((valid_index(job, pod)?, pod)));
    let known = |field: &str| Indexes::read(job["status"][field].as_str().unwrap_or_default(), completions);
    let new: Indexes = held().filter(|(_, pod)| has_succeeded(pod)).map(|(index, _)| index).collect();
    let mut indexed = Indexed { succeeded: known("completedIndexes").union(&new), ..Indexed::default() };
    let Some(limit) = backoff_limit_per_index(job) else { return indexed };
    let lost = |pod: &Value| {
        let judgement = policy::judge(job, pod);
        judgement.fails_index || (judgement.counts && index_failures(pod) >= limit)
    };
    let failed = || held().filter(|(_, pod)| has_failed(job, pod));
    let new: Indexes = failed().filter(|(_, pod)| lost(pod)).map(|(index, _)| index).collect();
    let failed_for_good = known("failedIndexes").union(&new);
    let running: HashSet<u32> = active.iter().filter_map(|pod| index(pod)).collect();
    let again = |index: &u32| {
        !indexed.succeeded.contains(*index) && !failed_for_good.contains(*index) && !running.contains(index)
    };
    for (index, pod) in failed().filter(|(index, _)| again(index)) {
        let age = |pod: &Value| (index_failures(pod) + index_ignored_failures(pod), finished_at(pod));
        let newest = indexed.last.entry(index).or_insert_with(|| pod.clone());
        if age(pod) > age(newest) {
            *newest = pod.clone();
        }
    }
    indexed.failed = Some(failed_for_good);
    indexed
}

fn index_verdict(job: &Value, completions: u32, indexed: &Indexed) -> Option<Verdict> {
    if let Some(failed) = indexed.failed.as_ref().map(Indexes::count) {
        if number(&job["spec"], "maxFailedIndexes").is_some_and(|most| failed > most) {
            let why = "Job has exceeded the specified maximal number of failed indexes";
            return Some(Verdict::failure("MaxFailedIndexesExceeded", why));
        }
        if failed > 0 && failed + indexed.succeeded.count() >= completions {
            return Some(Verdict::failure("FailedIndexes", "Job has failed indexes"));
        }
    }
    let met = policy::success(job, completions, &indexed.succeeded)?;
    Some(Verdict::success("SuccessPolicy", met))
}
