//! What the controllers read from a Job and from its pods. Never writes one.

use object::time::{self, Timestamp};
use serde_json::Value;

use crate::conditions;
use crate::pod;

/// Holds a pod that has ended until the Job's status counts it.
pub(crate) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The index of a pod, an annotation and a label.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Failures of a pod's index before it, and those that do not count.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const INDEX_IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// The value of `managedBy` that means this controller.
const MANAGER: &str = "kubernetes.io/job-controller";

/// Whether a condition of the Job's status holds.
pub(super) fn holds(job: &Value, kind: &str) -> bool {
    condition(job, kind).is_some_and(|condition| condition["status"] == "True")
}

/// A condition of the Job's status.
pub(super) fn condition<'a>(job: &'a Value, kind: &str) -> Option<&'a Value> {
    job["status"]["conditions"].as_array().and_then(|list| conditions::find(list, kind))
}

/// The condition by which a Job is over, `Complete` or `Failed`.
pub(crate) fn end(job: &Value) -> Option<&Value> {
    ["Complete", "Failed"].into_iter().filter(|kind| holds(job, kind)).find_map(|kind| condition(job, kind))
}

/// When a Job was over.
pub(crate) fn ended_at(job: &Value) -> Option<Timestamp> {
    time::parse(end(job)?["lastTransitionTime"].as_str()?)
}

pub(super) fn is_suspended(job: &Value) -> bool {
    job["spec"]["suspend"] == true
}

/// Whether somebody else manages the Job.
pub(crate) fn is_foreign(job: &Value) -> bool {
    job["spec"]["managedBy"].as_str().is_some_and(|name| name != MANAGER)
}

pub(super) fn is_indexed(job: &Value) -> bool {
    job["spec"]["completionMode"] == "Indexed"
}

/// A number of the specification or the status.
pub(super) fn number(of: &Value, field: &str) -> Option<u32> {
    of[field].as_u64().and_then(|n| u32::try_from(n).ok())
}

pub(super) fn completions(job: &Value) -> Option<u32> {
    number(&job["spec"], "completions")
}

/// How often each index may fail, if each counts for itself.
pub(super) fn backoff_limit_per_index(job: &Value) -> Option<u32> {
    number(&job["spec"], "backoffLimitPerIndex")
}

/// Whether a pod is replaced when it has failed, and not as soon as it is being deleted.
pub(super) fn replaces_failed_only(job: &Value) -> bool {
    job["spec"]["podReplacementPolicy"] == "Failed"
}

/// Whether a pod still waits to be counted.
pub(crate) fn is_held(pod: &Value) -> bool {
    pod["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|own| own == FINALIZER))
}

pub(super) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub(super) fn has_succeeded(pod: &Value) -> bool {
    pod["status"]["phase"] == "Succeeded"
}

/// Whether a pod counts as failed. One that is being deleted may never get so far, so that it counts at once, unless
/// failed pods alone are replaced.
pub(super) fn has_failed(job: &Value, pod: &Value) -> bool {
    let deleted = pod::is_deleting(pod) && !has_succeeded(pod) && !replaces_failed_only(job);
    pod["status"]["phase"] == "Failed" || deleted
}

pub(super) fn is_terminating(pod: &Value) -> bool {
    pod::is_deleting(pod) && !pod::is_terminal(pod)
}

fn annotated(pod: &Value, name: &str) -> Option<u32> {
    pod["metadata"]["annotations"][name].as_str()?.parse().ok()
}

/// The index of a pod, if it has one.
pub(super) fn index(pod: &Value) -> Option<u32> {
    annotated(pod, INDEX)
}

/// The index of a pod that the Job has.
pub(super) fn valid_index(job: &Value, pod: &Value) -> Option<u32> {
    index(pod).filter(|index| completions(job).is_some_and(|count| *index < count))
}

/// How often the index of a pod had failed before it.
pub(super) fn index_failures(pod: &Value) -> u32 {
    annotated(pod, INDEX_FAILURES).unwrap_or(0)
}

/// How often it had failed without counting.
pub(super) fn index_ignored_failures(pod: &Value) -> u32 {
    annotated(pod, INDEX_IGNORED_FAILURES).unwrap_or(0)
}
