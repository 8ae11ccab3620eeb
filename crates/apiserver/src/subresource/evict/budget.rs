//! What a PodDisruptionBudget says to an eviction: pure, in upstream's words.

use object::status::{Cause, Details};
use object::{
    Status,
    time::{self, Timestamp},
};
use serde_json::{Value, json};

/// So many evictions may wait for the controller to see them (upstream's figure).
const DISRUPTED_PODS_MAX: usize = 2000;
/// After so many seconds the controller has surely looked at a budget.
const LOOK_SECONDS: u32 = 10;

fn count(status: &Value, field: &str) -> i64 {
    status[field].as_i64().unwrap_or(0)
}

/// Whether a pod that is not ready may go without being counted.
pub(super) fn lets_unready_go(budget: &Value) -> bool {
    let desired = count(&budget["status"], "desiredHealthy");
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (desired > 0 && count(&budget["status"], "currentHealthy") >= desired)
}

/// The refusal of a budget that was not looked at since it changed.
pub(super) fn busy(name: &str) -> Status {
    let why = format!("The disruption budget {name} is still being processed by the server.");
    refused(LOOK_SECONDS, why)
}

fn refused(retry_after_seconds: u32, why: String) -> Status {
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    with_cause(Status::too_many_requests(text, retry_after_seconds), why)
}

fn forbidden(name: &str, why: &str, more: &str) -> Status {
    let text = format!("The disruption budget {name} does not allow evicting pods currently: {more}");
    with_cause(Status::forbidden("policy", "poddisruptionbudget", name, why), text)
}

fn with_cause(mut status: Status, message: String) -> Status {
    let cause = Cause { reason: "DisruptionBudget", message, field: String::new() };
    status.details.get_or_insert_with(|| Box::new(Details::default())).causes.push(cause);
    status
}

/// The budget after a pod was granted one of its disruptions.
pub(super) fn take(budget: &Value, pod: &str, now: Timestamp) -> Result<Value, Status> {
    let (metadata, status) = (&budget["metadata"], &budget["status"]);
    let name = metadata["name"].as_str().unwrap_or_default();
    let allowed = count(status, "disruptionsAllowed");
    if count(status, "observedGeneration") < count(metadata, "generation") {
        return Err(busy(name));
    }
    if allowed < 0 {
        let why = "pdb disruptions allowed is negative";
        return Err(forbidden(name, why, why));
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > DISRUPTED_PODS_MAX) {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(forbidden(name, why, "too many pending evictions not confirmed by PDB controller"));
    }
    if allowed == 0 {
        return Err(refused(0, exhausted(name, status)));
    }
    let mut new = budget.clone();
    let status = &mut new["status"];
    status["disruptionsAllowed"] = (allowed - 1).into();
    status["disruptedPods"][pod] = time::seconds(now).into();
    if allowed == 1 {
        exhaust(status, now);
    }
    Ok(new)
}

/// Why no disruption is left.
fn exhausted(name: &str, status: &Value) -> String {
    let condition = allowance(status).filter(|own| own["status"] == "False");
    let text = |field: &str| condition.and_then(|own| own[field].as_str()).unwrap_or_default();
    let (message, reason) = (text("message"), text("reason"));
    let (healthy, desired) = (count(status, "currentHealthy"), count(status, "desiredHealthy"));
    if reason == "SyncFailed" && !message.is_empty() {
        return format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
        );
    }
    if healthy <= desired {
        return format!(
            "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        );
    }
    if message.is_empty() {
        return format!("The disruption budget {name} does not allow evicting pods currently");
    }
    format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {message}")
}

fn allowance(status: &Value) -> Option<&Value> {
    status["conditions"].as_array()?.iter().find(|own| own["type"] == "DisruptionAllowed")
}

fn exhaust(status: &mut Value, now: Timestamp) {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|own| own["type"] != "DisruptionAllowed");
    conditions.push(json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
        "message": "", "observedGeneration": status["observedGeneration"],
        "lastTransitionTime": time::seconds(now)}));
    status["conditions"] = conditions.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(status: Value) -> Value {
        json!({"metadata": {"name": "b", "generation": 2}, "status": status})
    }

    #[test]
    fn it_grants_what_it_has() {
        let now = Timestamp::from_second(1_767_225_600).expect("in range");
        let two = budget(json!({"observedGeneration": 2, "disruptionsAllowed": 2}));
        let one = take(&two, "p", now).expect("granted");
        let status = json!({"observedGeneration": 2, "disruptionsAllowed": 1,
            "disruptedPods": {"p": "2026-01-01T00:00:00Z"}});
        assert_eq!(one["status"], status);
        let none = take(&one, "q", now).expect("granted");
        assert_eq!(
            (&none["status"]["disruptionsAllowed"], allowance(&none["status"]).is_some()),
            (&json!(0), true)
        );
        assert_eq!(take(&none, "r", now).expect_err("refused").code, 429);
    }

    #[test]
    fn it_says_why_not() {
        let now = Timestamp::UNIX_EPOCH;
        let cause = |status: Value| {
            let refused = take(&budget(status), "p", now).expect_err("refused");
            let details = refused.details.expect("details");
            (refused.code, details.retry_after_seconds, details.causes[0].message.clone())
        };
        let busy = "The disruption budget b is still being processed by the server.".to_owned();
        assert_eq!(cause(json!({"observedGeneration": 1, "disruptionsAllowed": 1})), (429, 10, busy));
        let short = json!({"observedGeneration": 2, "currentHealthy": 1, "desiredHealthy": 2});
        let why = "The disruption budget b needs 2 healthy pods and has 1 currently".to_owned();
        assert_eq!(cause(short), (429, 0, why));
        let failed = json!({"observedGeneration": 2, "conditions": [{"type": "DisruptionAllowed", "status": "False",
            "reason": "SyncFailed", "message": "x"}]});
        let why = "The disruption budget b does not allow evicting pods currently because it failed sync: x"
            .to_owned();
        assert_eq!(cause(failed), (429, 0, why));
        assert_eq!(cause(json!({"observedGeneration": 2, "disruptionsAllowed": -1})).0, 403);
    }

    #[test]
    fn what_is_not_ready_may_go_where_enough_is() {
        let status = |current: i64, desired: i64| {
            budget(json!({"currentHealthy": current, "desiredHealthy": desired}))
        };
        assert!(lets_unready_go(&status(2, 2)));
        assert!(!lets_unready_go(&status(1, 2)));
        assert!(!lets_unready_go(&status(0, 0)));
        let mut always = status(0, 2);
        always["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
        assert!(lets_unready_go(&always));
    }
}
