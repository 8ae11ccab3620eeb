//! How many pods of a budget may go: pure decisions over its pods.

use std::sync::Arc;
use std::time::Duration;

use object::time::{self, Timestamp};
use serde_json::{Map, Value, json};

use crate::conditions;
use crate::pod::{is_deleting, is_ready};

/// A pod that was granted a disruption and is not being deleted by then is counted again (upstream's figure).
const DELETION_TIMEOUT: Duration = Duration::from_secs(120);

fn percent(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// Whether a budget is a share of how many pods there are to be.
pub(super) fn needs_scale(budget: &Value) -> bool {
    let spec = &budget["spec"];
    !spec["maxUnavailable"].is_null() || percent(&spec["minAvailable"]).is_some()
}

/// How many pods are expected, and how many of them have to be healthy.
fn wanted(budget: &Value, pods: usize, scale: i64) -> (i64, i64) {
    let share = |value: &Value| match percent(value) {
        // Half a pod is a whole one.
        Some(percent) => (scale.saturating_mul(percent) + 99) / 100,
        None => value.as_i64().unwrap_or(0),
    };
    let (least, most) = (&budget["spec"]["minAvailable"], &budget["spec"]["maxUnavailable"]);
    if !most.is_null() {
        return (scale, (scale - share(most)).max(0));
    }
    match percent(least) {
        Some(_) => (scale, share(least)),
        None if least.is_null() => (0, 0),
        None => (i64::try_from(pods).unwrap_or(i64::MAX), share(least)),
    }
}

/// The status of a budget, and when a pod that was granted a disruption is counted again.
pub(super) fn plan_status(
    budget: &Value,
    pods: &[Arc<Value>],
    scale: i64,
    now: Timestamp,
) -> (Value, Option<Duration>) {
    let (mut disrupted, mut again) = (Map::new(), None);
    let mut healthy = 0;
    for pod in pods.iter().filter(|pod| !is_deleting(pod)) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let granted = &budget["status"]["disruptedPods"][name];
        match granted.as_str().and_then(time::parse).and_then(|at| left(at, now)) {
            Some(left) => {
                again = Some(again.map_or(left, |sooner: Duration| sooner.min(left)));
                disrupted.insert(name.to_owned(), granted.clone());
            }
            None => healthy += i64::from(is_ready(pod)),
        }
    }
    let (expected, desired) = wanted(budget, pods.len(), scale);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
    let generation = &budget["metadata"]["generation"];
    let condition = allowance(budget, allowed > 0, reason, "", generation, now);
    let mut status = json!({ "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected,
        "disruptionsAllowed": allowed, "observedGeneration": generation, "conditions": condition });
    if !disrupted.is_empty() {
        status["disruptedPods"] = disrupted.into();
    }
    (status, again)
}

fn left(granted: Timestamp, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(granted)).unwrap_or_default();
    DELETION_TIMEOUT.checked_sub(passed).filter(|left| !left.is_zero())
}

/// The status when it cannot be counted: nothing may go.
pub(super) fn plan_failure(budget: &Value, why: &str, now: Timestamp) -> Value {
    let mut status = budget["status"].clone();
    if !status.is_object() {
        status = json!({ "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0 });
    }
    status["disruptionsAllowed"] = 0.into();
    let observed = budget["status"]["observedGeneration"].as_i64().unwrap_or(0).into();
    status["conditions"] = allowance(budget, false, "SyncFailed", why, &observed, now);
    status
}

/// The conditions with `DisruptionAllowed` as it is now.
fn allowance(
    budget: &Value,
    holds: bool,
    reason: &str,
    message: &str,
    generation: &Value,
    now: Timestamp,
) -> Value {
    let mut list = conditions::of(budget);
    let holds = if holds { "True" } else { "False" };
    let mut new = json!({ "type": "DisruptionAllowed", "status": holds, "reason": reason, "message": message,
        "observedGeneration": generation, "lastTransitionTime": time::seconds(now) });
    match list.iter_mut().find(|own| own["type"] == "DisruptionAllowed") {
        Some(own) => {
            if own["status"] == holds {
                new["lastTransitionTime"] = own["lastTransitionTime"].clone();
            }
            *own = new;
        }
        None => list.push(new),
    }
    list.into()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
