//! Lists of conditions as every status has them: pure.

use object::time::{self, Timestamp};
use serde_json::{Value, json};

/// The condition of a type.
pub(crate) fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Condition {
    pub(crate) fn new(
        kind: &'static str,
        status: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Condition {
        Condition { kind, status, reason: reason.into(), message: message.into() }
    }

    fn as_json(&self, transition: &str) -> Value {
        json!({
            "type": self.kind, "status": self.status, "reason": self.reason, "message": self.message,
            "lastTransitionTime": transition,
        })
    }
}

/// When the status of the condition last changed, if `condition` becomes it now.
fn transition(conditions: &[Value], condition: &Condition, now: Timestamp) -> String {
    find(conditions, condition.kind)
        .filter(|old| old["status"] == condition.status)
        .and_then(|old| old["lastTransitionTime"].as_str())
        .map_or_else(|| time::seconds(now), str::to_owned)
}

pub(crate) fn remove(conditions: &mut Vec<Value>, kind: &str) {
    conditions.retain(|condition| condition["type"] != kind);
}

/// Puts a condition into a list; nothing changes when it says the same with the same words.
pub(crate) fn set(conditions: &mut Vec<Value>, condition: &Condition, now: Timestamp) {
    let same = |old: &Value| {
        old["status"] == condition.status
            && old["reason"] == condition.reason.as_str()
            && old["message"] == condition.message.as_str()
    };
    if find(conditions, condition.kind).is_some_and(same) {
        return;
    }
    let new = condition.as_json(&transition(conditions, condition, now));
    match conditions.iter_mut().find(|old| old["type"] == condition.kind) {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

/// As [`set`], with the `lastUpdateTime` that Deployments have; a condition of the same status and reason
/// stays as it is unless `renew`.
pub(crate) fn set_updated(conditions: &mut Vec<Value>, condition: &Condition, now: Timestamp, renew: bool) {
    let same = |old: &Value| old["status"] == condition.status && old["reason"] == condition.reason.as_str();
    if !renew && find(conditions, condition.kind).is_some_and(same) {
        return;
    }
    let mut new = condition.as_json(&transition(conditions, condition, now));
    new["lastUpdateTime"] = time::seconds(now).into();
    remove(conditions, condition.kind);
    conditions.push(new);
}

/// The conditions in a status.
pub(crate) fn of(object: &Value) -> Vec<Value> {
    object["status"]["conditions"].as_array().cloned().unwrap_or_default()
}
