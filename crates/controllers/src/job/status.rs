//! A Job's status and the pods that it has counted. Every pod counts once, whatever fails in between: first the status
//! lists its uid, then the pod's finalizer is taken away, then the counter goes up and the uid away. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use object::time::{self, Timestamp};
use serde_json::{Map, Value, json};

use super::policy;
use super::read::{
    completions, has_failed, has_succeeded, holds, is_held, is_indexed, is_suspended, number, uid,
    valid_index,
};
use super::tally::{Tally, Verdict, uncounted};
use crate::pod;

/// So many uids may wait in a status, which they keep below 20 KB (upstream's figure).
const UNCOUNTED_MAX: usize = 500;

/// What became of the pods in this turn.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) created: usize,
    /// Those that are being deleted now.
    pub(super) deleted: Vec<Arc<Value>>,
    /// Whether all that was planned came about.
    pub(super) whole: bool,
}

/// The status before the finalizers go, and what is then to be done.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) status: Value,
    /// Pods whose finalizers go.
    pub(super) release: Vec<Arc<Value>>,
    /// What the Job ends with when nothing remains to be counted.
    pub(super) verdict: Option<Verdict>,
    /// More pods have ended than there was room for: what is left has the next turn.
    pub(super) full: bool,
    /// `Suspended` or `Resumed`, when that is new.
    pub(super) event: Option<(&'static str, &'static str)>,
}

/// Counts what has ended into the status.
pub(super) fn plan_status(
    job: &Value,
    pods: &[Arc<Value>],
    tally: &Tally,
    done: &Done,
    now: Timestamp,
) -> Tracked {
    let mut status = job["status"].as_object().cloned().unwrap_or_default();
    if job["status"]["startTime"].is_null() && !is_suspended(job) {
        status.insert("startTime".into(), time::seconds(now).into());
    }
    let active = (tally.active.len() + done.created).saturating_sub(done.deleted.len());
    let unready = done.deleted.iter().filter(|pod| pod::is_ready(pod)).count();
    put_count(&mut status, "active", active);
    status.insert("ready".into(), tally.ready.saturating_sub(unready).into());
    status.insert("terminating".into(), (tally.terminating + done.deleted.len()).into());
    let verdict = match &tally.verdict {
        // Something may still run that has to count.
        Some(_) if !done.whole => None,
        Some(verdict) => Some(verdict.clone()),
        None => completed(job, tally, active),
    };
    let mut tracked = Tracked { status: Value::Null, release: Vec::new(), verdict, full: false, event: None };
    if tally.verdict.is_none() && tracked.verdict.is_none() && !pod::is_deleting(job) {
        tracked.event = suspend_or_resume(job, &mut status, now);
    }
    if let Some(indexed) = &tally.indexed {
        put_count(&mut status, "succeeded", tally.succeeded as usize);
        put_text(
            &mut status,
            "completedIndexes",
            Some(indexed.succeeded.to_string()).filter(|text| !text.is_empty()),
        );
        put_text(&mut status, "failedIndexes", indexed.failed.as_ref().map(ToString::to_string));
    }
    tracked.status = Value::Object(status);
    count(&mut tracked.status, &HashSet::new(), pods);
    list(job, pods, tally, &mut tracked);
    if let Some(verdict) = &tracked.verdict {
        let kind = if verdict.success { "SuccessCriteriaMet" } else { "FailureTarget" };
        set(&mut tracked.status, kind, "True", &verdict.reason, &verdict.message, now);
    }
    tracked
}

/// Enough pods succeeded, and none is left.
fn completed(job: &Value, tally: &Tally, active: usize) -> Option<Verdict> {
    let enough = match completions(job) {
        Some(completions) => tally.succeeded >= completions,
        None => tally.succeeded > 0,
    };
    let verdict = || Verdict::success("CompletionsReached", "Reached expected number of succeeded pods");
    (enough && active == 0).then(verdict)
}

fn suspend_or_resume(
    job: &Value,
    status: &mut Map<String, Value>,
    now: Timestamp,
) -> Option<(&'static str, &'static str)> {
    let mut changed = Value::Object(std::mem::take(status));
    let event = match (is_suspended(job), holds(job, "Suspended")) {
        (true, false) => {
            set(&mut changed, "Suspended", "True", "JobSuspended", "Job suspended", now);
            // Its time to live begins anew with the next start.
            changed["startTime"] = Value::Null;
            Some(("Suspended", "Job suspended"))
        }
        (false, true) => {
            set(&mut changed, "Suspended", "False", "JobResumed", "Job resumed", now);
            changed["startTime"] = time::seconds(now).into();
            Some(("Resumed", "Job resumed"))
        }
        _ => None,
    };
    *status = match changed {
        Value::Object(status) => status.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    };
    event
}

/// Lists the pods that have ended, as far as there is room.
fn list(job: &Value, pods: &[Arc<Value>], tally: &Tally, tracked: &mut Tracked) {
    let (succeeded, failed) = (uncounted(&job["status"], "succeeded"), uncounted(&job["status"], "failed"));
    let over = tracked.verdict.is_some();
    let lost = tracked.verdict.as_ref().is_some_and(|verdict| !verdict.success);
    let mut waiting = succeeded.len() + failed.len();
    let mut ordered: Vec<&Arc<Value>> = pods.iter().filter(|pod| is_held(pod)).collect();
    ordered.sort_by_key(|pod| valid_index(job, pod));
    for pod in ordered {
        let (won, fell) = (has_succeeded(pod), has_failed(job, pod));
        let may_go = pod::is_deleting(job) || over || won || (fell && !is_awaited(pod, tally));
        if !may_go {
            continue;
        }
        if waiting >= UNCOUNTED_MAX {
            tracked.full = true;
            return;
        }
        tracked.release.push(pod.clone());
        let valid = !is_indexed(job) || valid_index(job, pod).is_some();
        let list = if won && !failed.contains(uid(pod)) {
            // The index says enough.
            if is_indexed(job) || succeeded.contains(uid(pod)) {
                continue;
            }
            "succeeded"
        } else if (fell || lost) && valid && !failed.contains(uid(pod)) && policy::judge(job, pod).counts {
            "failed"
        } else {
            continue;
        };
        waiting += 1;
        let uids = &mut tracked.status["uncountedTerminatedPods"][list];
        match uids.as_array_mut() {
            Some(uids) => uids.push(uid(pod).into()),
            None => *uids = json!([uid(pod)]),
        }
    }
}

/// Whether a successor has still to take over the pod's count of failures.
fn is_awaited(pod: &Value, tally: &Tally) -> bool {
    let last = tally.indexed.iter().flat_map(|indexed| indexed.last.values());
    last.into_iter().any(|last| uid(last) == uid(pod))
}

/// Moves uids whose pods have no finalizer any more from the lists to the counters.
fn count(status: &mut Value, released: &HashSet<String>, pods: &[Arc<Value>]) {
    let held: HashMap<&str, bool> = pods.iter().map(|pod| (uid(pod), is_held(pod))).collect();
    let waits = |own: &&str| held.get(own) == Some(&true) && !released.contains(*own);
    let mut left = Map::new();
    for list in ["succeeded", "failed"] {
        let uids = status["uncountedTerminatedPods"][list].as_array().cloned().unwrap_or_default();
        let (waiting, gone): (Vec<Value>, Vec<Value>) =
            uids.into_iter().partition(|own| own.as_str().is_some_and(|own| waits(&own)));
        if !gone.is_empty() {
            let before = number(status, list).unwrap_or(0) as usize;
            status[list] = (before + gone.len()).into();
        }
        if !waiting.is_empty() {
            left.insert(list.into(), waiting.into());
        }
    }
    status["uncountedTerminatedPods"] = left.into();
}

/// The status after the finalizers of `released` have gone; whether the Job is over with it.
pub(super) fn settle(
    tracked: &Tracked,
    released: &HashSet<String>,
    pods: &[Arc<Value>],
    now: Timestamp,
) -> (Value, bool) {
    let mut status = tracked.status.clone();
    count(&mut status, released, pods);
    let none_left = status["uncountedTerminatedPods"].as_object().is_some_and(Map::is_empty);
    let none_left = none_left && !tracked.full && status["terminating"] == 0;
    let Some(verdict) = tracked.verdict.as_ref().filter(|_| none_left) else {
        return (status, false);
    };
    let kind = if verdict.success { "Complete" } else { "Failed" };
    set(&mut status, kind, "True", &verdict.reason, &verdict.message, now);
    if verdict.success {
        status["completionTime"] = time::seconds(now).into();
    }
    (status, true)
}

/// Sets a condition; the times are those of its last change.
fn set(status: &mut Value, kind: &str, holds: &str, reason: &str, message: &str, now: Timestamp) {
    let mut list = status["conditions"].as_array().cloned().unwrap_or_default();
    let now = time::seconds(now);
    let new = json!({ "type": kind, "status": holds, "reason": reason, "message": message,
        "lastProbeTime": now, "lastTransitionTime": now });
    match list.iter_mut().find(|own| own["type"] == kind) {
        Some(own) if own["status"] == holds && own["reason"] == reason && own["message"] == message => return,
        Some(own) => *own = new,
        None => list.push(new),
    }
    status["conditions"] = list.into();
}

/// Zero is left out, as upstream has it.
fn put_count(status: &mut Map<String, Value>, field: &str, count: usize) {
    status.remove(field);
    if count > 0 {
        status.insert(field.into(), count.into());
    }
}

fn put_text(status: &mut Map<String, Value>, field: &str, text: Option<String>) {
    status.remove(field);
    if let Some(text) = text {
        status.insert(field.into(), text.into());
    }
}
