//! What a Deployment says about itself: counts, conditions, and when to look again. Pure; reasons and
//! messages are upstream's, since `kubectl rollout status` and people's scripts read them.

use std::time::Duration;

use object::time::{self, Timestamp};
use serde_json::{Map, Value};

use super::plan::{Mode, Plan, Sizes};
use super::set::Set;
use crate::conditions::{self, Condition};

/// Upstream's way to say that a Deployment has no deadline.
const NO_DEADLINE: i64 = i32::MAX as i64;

const PROGRESSING: &str = "Progressing";

fn count(status: &Value, name: &str) -> i64 {
    status[name].as_i64().unwrap_or_default()
}

/// Whether a rollout is over: every replica is of the current template and available.
pub(super) fn is_complete(deployment: &Value, status: &Value) -> bool {
    let replicas = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|name| count(status, name) == replicas)
        && count(status, "observedGeneration")
            >= deployment["metadata"]["generation"].as_i64().unwrap_or_default()
}

fn is_progressing(old: &Value, new: &Value) -> bool {
    let outdated = |status: &Value| count(status, "replicas") - count(status, "updatedReplicas");
    let more = |name: &str| count(new, name) > count(old, name);
    more("updatedReplicas")
        || outdated(new) < outdated(old)
        || more("readyReplicas")
        || more("availableReplicas")
}

fn deadline(deployment: &Value) -> Option<i64> {
    deployment["spec"]["progressDeadlineSeconds"].as_i64().filter(|seconds| *seconds != NO_DEADLINE)
}

/// Seconds until the deadline of a Progressing condition; negative when it is over.
fn seconds_left(condition: &Value, deadline: i64, now: Timestamp) -> Option<i64> {
    let updated = time::parse(condition["lastUpdateTime"].as_str()?)?;
    Some(updated.as_second() + deadline - now.as_second())
}

/// The status after a plan, and when to look again for the deadline.
pub(super) fn plan_status(
    deployment: &Value,
    plan: &Plan,
    made: bool,
    now: Timestamp,
) -> (Value, Option<Duration>) {
    let mut status = counts(deployment, plan);
    let mut list = conditions::of(deployment);
    let name = plan.current.map(|index| plan.sets[index].name.as_str());
    if let Some(deadline) = deadline(deployment) {
        note_pause(deployment, &mut list, now);
        note_current(name, made, &mut list, now);
        if plan.mode == Mode::Rollout {
            judge_progress(deployment, &status, name, deadline, &mut list, now);
        }
    } else {
        conditions::remove(&mut list, PROGRESSING);
    }
    note_failures(plan, &mut list);
    note_availability(deployment, plan, &mut list, now);
    let again = again_after(deployment, &status, &list, plan.mode, now);
    status.insert("conditions".into(), list.into());
    (Value::Object(status), again)
}

fn counts(deployment: &Value, plan: &Plan) -> Map<String, Value> {
    let sum = |read: fn(&Set) -> i64| plan.sets.iter().map(read).sum::<i64>();
    let available = sum(|set| set.available);
    let updated = plan.current.map_or(0, |index| plan.sets[index].actual);
    let mut status = Map::new();
    status.insert("observedGeneration".into(), deployment["metadata"]["generation"].clone());
    status.insert("terminatingReplicas".into(), sum(|set| set.terminating).into());
    for (name, count) in [
        ("replicas", sum(|set| set.actual)),
        ("updatedReplicas", updated),
        ("readyReplicas", sum(|set| set.ready)),
        ("availableReplicas", available),
        ("unavailableReplicas", (sum(|set| set.replicas) - available).max(0)),
    ] {
        if count > 0 {
            status.insert(name.into(), count.into());
        }
    }
    if let Some(collisions) = deployment["status"]["collisionCount"].as_i64() {
        status.insert("collisionCount".into(), collisions.into());
    }
    status
}

/// Pausing and resuming are noted, so that the time in between does not count against the deadline.
fn note_pause(deployment: &Value, list: &mut Vec<Value>, now: Timestamp) {
    let reason = conditions::find(list, PROGRESSING).and_then(|condition| condition["reason"].as_str());
    let noted = reason == Some("DeploymentPaused");
    let paused = deployment["spec"]["paused"] == true;
    if reason == Some("ProgressDeadlineExceeded") || noted == paused {
        return;
    }
    let condition = if paused {
        Condition::new(PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused")
    } else {
        Condition::new(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed")
    };
    conditions::set_updated(list, &condition, now, false);
}

fn note_current(name: Option<&str>, made: bool, list: &mut Vec<Value>, now: Timestamp) {
    let Some(name) = name else { return };
    let condition = if made {
        Condition::new(
            PROGRESSING,
            "True",
            "NewReplicaSetCreated",
            format!("Created new replica set \"{name}\""),
        )
    } else if conditions::find(list, PROGRESSING).is_none() {
        Condition::new(PROGRESSING, "True", "FoundNewReplicaSet", format!("Found new replica set \"{name}\""))
    } else {
        return;
    };
    conditions::set_updated(list, &condition, now, false);
}

fn judge_progress(
    deployment: &Value,
    status: &Map<String, Value>,
    name: Option<&str>,
    deadline: i64,
    list: &mut Vec<Value>,
    now: Timestamp,
) {
    let new = Value::Object(status.clone());
    let current = conditions::find(list, PROGRESSING);
    let reason = current.and_then(|condition| condition["reason"].as_str()).unwrap_or_default();
    if count(&new, "replicas") == count(&new, "updatedReplicas") && reason == "NewReplicaSetAvailable" {
        return;
    }
    let subject = match name {
        Some(name) => format!("ReplicaSet \"{name}\""),
        None => format!("Deployment \"{}\"", client::Key::of(deployment).name),
    };
    let late =
        current.and_then(|condition| seconds_left(condition, deadline, now)).is_some_and(|left| left < 0);
    if is_complete(deployment, &new) {
        let message = format!("{subject} has successfully progressed.");
        let condition = Condition::new(PROGRESSING, "True", "NewReplicaSetAvailable", message);
        conditions::set_updated(list, &condition, now, false);
    } else if is_progressing(&deployment["status"], &new) {
        let message = format!("{subject} is progressing.");
        let condition = Condition::new(PROGRESSING, "True", "ReplicaSetUpdated", message);
        conditions::set_updated(list, &condition, now, true);
    } else if late && reason != "NewReplicaSetAvailable" && reason != "ProgressDeadlineExceeded" {
        let message = format!("{subject} has timed out progressing.");
        let condition = Condition::new(PROGRESSING, "False", "ProgressDeadlineExceeded", message);
        conditions::set_updated(list, &condition, now, false);
    }
}

/// A failure of the current set, else of any set, is the Deployment's failure.
fn note_failures(plan: &Plan, list: &mut Vec<Value>) {
    let failure = |set: &Set| conditions::find(&conditions::of(&set.object), "ReplicaFailure").cloned();
    let current = plan.current.and_then(|index| failure(&plan.sets[index]));
    let found = current.or_else(|| plan.sets.iter().find_map(failure));
    let known = conditions::find(list, "ReplicaFailure");
    if let (Some(found), Some(known)) = (&found, known)
        && found["status"] == known["status"]
        && found["reason"] == known["reason"]
    {
        return;
    }
    conditions::remove(list, "ReplicaFailure");
    if let Some(mut condition) = found {
        condition["lastUpdateTime"] = condition["lastTransitionTime"].clone();
        list.push(condition);
    }
}

fn note_availability(deployment: &Value, plan: &Plan, list: &mut Vec<Value>, now: Timestamp) {
    let sizes = Sizes::of(deployment);
    let available: i64 = plan.sets.iter().map(|set| set.available).sum();
    let condition = if available >= sizes.replicas - sizes.unavailable {
        let message = "Deployment has minimum availability.";
        Condition::new("Available", "True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.";
        Condition::new("Available", "False", "MinimumReplicasUnavailable", message)
    };
    conditions::set_updated(list, &condition, now, false);
}

/// A rollout under way is looked at again when its deadline is over; a settled one never.
fn again_after(
    deployment: &Value,
    status: &Map<String, Value>,
    list: &[Value],
    mode: Mode,
    now: Timestamp,
) -> Option<Duration> {
    let condition = conditions::find(list, PROGRESSING)?;
    let settled = mode == Mode::Resize
        || condition["reason"] == "ProgressDeadlineExceeded"
        || is_complete(deployment, &Value::Object(status.clone()));
    if settled {
        return None;
    }
    let left = seconds_left(condition, deadline(deployment)?, now)?;
    // One second more than is left, because the times on conditions are whole seconds.
    Some(Duration::from_secs(u64::try_from(left.max(0)).unwrap_or_default() + 1))
}
