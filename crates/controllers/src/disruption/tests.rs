//! Budgets as data.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("in range")
}

fn pod(name: &str, ready: bool) -> Arc<Value> {
    let holds = if ready { "True" } else { "False" };
    Arc::new(
        json!({ "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": holds }] } }),
    )
}

fn budget(spec: Value, status: Value) -> Value {
    json!({ "metadata": { "generation": 3 }, "spec": spec, "status": status })
}

/// Healthy, desired, expected, allowed.
fn counts(spec: Value, pods: &[Arc<Value>], scale: i64) -> [i64; 4] {
    let (status, _) = plan_status(&budget(spec, json!({})), pods, scale, at(0));
    ["currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"]
        .map(|field| status[field].as_i64().unwrap_or(-1))
}

#[test]
fn what_may_go() {
    let pods = [pod("a", true), pod("b", true), pod("c", false)];
    assert_eq!(counts(json!({ "minAvailable": 1 }), &pods, 0), [2, 1, 3, 1]);
    assert_eq!(counts(json!({ "minAvailable": 5 }), &pods, 0), [2, 5, 3, 0]);
    assert_eq!(counts(json!({ "minAvailable": "50%" }), &pods, 3), [2, 2, 3, 0]);
    assert_eq!(counts(json!({ "maxUnavailable": 1 }), &pods, 3), [2, 2, 3, 0]);
    assert_eq!(counts(json!({ "maxUnavailable": "50%" }), &pods, 3), [2, 1, 3, 1]);
    assert_eq!(counts(json!({ "maxUnavailable": 9 }), &pods, 3), [2, 0, 3, 2]);
    assert_eq!(counts(json!({}), &pods, 0), [2, 0, 0, 0]);
    assert_eq!(counts(json!({ "minAvailable": 0 }), &[], 0), [0, 0, 0, 0]);
    assert!(needs_scale(&budget(json!({ "minAvailable": "1%" }), json!({}))));
    assert!(!needs_scale(&budget(json!({ "minAvailable": 1 }), json!({}))));
}

#[test]
fn a_pod_that_was_let_go_is_gone_for_two_minutes() {
    let granted = json!({ "disruptedPods": { "a": "2026-01-01T00:00:00Z", "z": "2026-01-01T00:00:00Z" } });
    let budget = budget(json!({ "minAvailable": 1 }), granted);
    let pods = [pod("a", true), pod("b", true)];
    let (status, again) = plan_status(&budget, &pods, 0, at(30));
    assert_eq!((&status["currentHealthy"], &status["disruptionsAllowed"]), (&json!(1), &json!(0)));
    assert_eq!(status["disruptedPods"], json!({ "a": "2026-01-01T00:00:00Z" }));
    assert_eq!(again, Some(Duration::from_secs(90)));
    let (status, again) = plan_status(&budget, &pods, 0, at(121));
    assert_eq!((&status["currentHealthy"], status.get("disruptedPods"), again), (&json!(2), None, None));
}

#[test]
fn what_cannot_be_counted_lets_nothing_go() {
    let mut budget =
        budget(json!({ "maxUnavailable": 1 }), json!({ "disruptionsAllowed": 2, "observedGeneration": 2 }));
    budget["status"] = plan_failure(&budget, "why", at(0));
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert_eq!(budget["status"]["conditions"][0]["reason"], "SyncFailed");
    let again = plan_failure(&budget, "why", at(60));
    assert_eq!(again, budget["status"], "the same failure is no news");
}
