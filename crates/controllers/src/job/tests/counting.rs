//! The status, before and after the pods are free: each pod counts once.

use std::collections::HashSet;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::super::status::{Tracked, settle};
use super::{at, deleted, failed, indexed, job, pod, ready, shared, tracked, with_index};

fn released(tracked: &Tracked) -> Vec<&str> {
    tracked.release.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).collect()
}

/// The status before the finalizers go, whose go, and the status after.
fn check(job: &Value, pods: &[Value], want: Expect) {
    let before = tracked(job, pods, 50);
    let free: HashSet<String> = released(&before).into_iter().map(str::to_owned).collect();
    let (after, over) = settle(&before, &free, &shared(pods), at(51));
    let short = |status: &Value| {
        let mut status = status.clone();
        let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
            let (kind, holds, reason) = (&condition["type"], &condition["status"], &condition["reason"]);
            *condition = format!("{kind} {holds} {reason}").replace('"', "").into();
        }
        status
    };
    let text = format!("{}\n{:?}\n{} {over}\n", short(&before.status), released(&before), short(&after));
    want.assert_eq(&text);
}

#[test]
fn pods_that_run_are_counted_as_they_are() {
    let pods = [ready("a"), pod("b", "Pending"), deleted(pod("c", "Running"))];
    check(
        &job(json!({ "completions": 5, "parallelism": 2, "podReplacementPolicy": "Failed" })),
        &pods,
        expect![[r#"
            {"active":2,"ready":1,"startTime":"2026-01-01T00:00:00Z","terminating":1,"uncountedTerminatedPods":{}}
            []
            {"active":2,"ready":1,"startTime":"2026-01-01T00:00:00Z","terminating":1,"uncountedTerminatedPods":{}} false
        "#]],
    );
}

#[test]
fn a_pod_is_listed_freed_and_counted() {
    let pods = [pod("a", "Succeeded"), failed("b", 1, 45), pod("c", "Running")];
    check(
        &job(json!({ "completions": 2, "parallelism": 1 })),
        &pods,
        expect![[r#"
            {"active":1,"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":0,"uncountedTerminatedPods":{"failed":["b"],"succeeded":["a"]}}
            ["a", "b"]
            {"active":1,"failed":1,"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":1,"terminating":0,"uncountedTerminatedPods":{}} false
        "#]],
    );
}

#[test]
fn the_last_success_completes() {
    check(
        &job(json!({ "completions": 1 })),
        &[pod("a", "Succeeded")],
        expect![[r#"
        {"conditions":["SuccessCriteriaMet True CompletionsReached"],"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":0,"uncountedTerminatedPods":{"succeeded":["a"]}}
        ["a"]
        {"completionTime":"2026-01-01T00:00:51Z","conditions":["SuccessCriteriaMet True CompletionsReached","Complete True CompletionsReached"],"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":1,"terminating":0,"uncountedTerminatedPods":{}} true
    "#]],
    );
    let queue = job(json!({ "parallelism": 2 }));
    check(
        &queue,
        &[pod("a", "Succeeded"), pod("b", "Running")],
        expect![[r#"
            {"active":1,"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":0,"uncountedTerminatedPods":{"succeeded":["a"]}}
            ["a"]
            {"active":1,"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":1,"terminating":0,"uncountedTerminatedPods":{}} false
        "#]],
    );
}

#[test]
fn what_an_interrupted_turn_left_is_counted_once() {
    let mut job = job(json!({ "completions": 9, "parallelism": 0 }));
    job["status"]["uncountedTerminatedPods"] = json!({ "succeeded": ["a", "b", "gone"] });
    job["status"]["succeeded"] = 2.into();
    let mut freed = pod("b", "Succeeded");
    freed["metadata"]["finalizers"] = json!([]);
    check(
        &job,
        &[pod("a", "Succeeded"), freed],
        expect![[r#"
            {"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":4,"terminating":0,"uncountedTerminatedPods":{"succeeded":["a"]}}
            ["a"]
            {"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":5,"terminating":0,"uncountedTerminatedPods":{}} false
        "#]],
    );
}

#[test]
fn a_finalizer_that_stays_keeps_its_pod_waiting() {
    let job = job(json!({ "completions": 1 }));
    let pods = [pod("a", "Succeeded")];
    let before = tracked(&job, &pods, 50);
    let (after, over) = settle(&before, &HashSet::new(), &shared(&pods), at(51));
    assert_eq!(
        (&after["uncountedTerminatedPods"], after.get("succeeded")),
        (&json!({ "succeeded": ["a"] }), None)
    );
    assert!(!over, "{after}");
}

#[test]
fn a_failed_job_ends_its_pods_first() {
    let job = job(json!({ "completions": 3, "parallelism": 2, "backoffLimit": 0 }));
    let pods = [failed("a", 1, 45), ready("b")];
    check(
        &job,
        &pods,
        expect![[r#"
        {"conditions":["FailureTarget True BackoffLimitExceeded"],"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":1,"uncountedTerminatedPods":{"failed":["a","b"]}}
        ["a", "b"]
        {"conditions":["FailureTarget True BackoffLimitExceeded"],"failed":2,"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":1,"uncountedTerminatedPods":{}} false
    "#]],
    );
    // When they are gone.
    let mut ending = job.clone();
    ending["status"]["conditions"] = json!([{ "type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded", "message": "" }]);
    ending["status"]["failed"] = 2.into();
    check(
        &ending,
        &[],
        expect![[r#"
        {"conditions":["FailureTarget True BackoffLimitExceeded"],"failed":2,"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":0,"uncountedTerminatedPods":{}}
        []
        {"conditions":["FailureTarget True BackoffLimitExceeded","Failed True BackoffLimitExceeded"],"failed":2,"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":0,"uncountedTerminatedPods":{}} true
    "#]],
    );
}

#[test]
fn enough_successes_end_the_rest_without_counting_it() {
    let job = indexed(3, json!({ "successPolicy": { "rules": [{ "succeededCount": 1 }] } }));
    let pods = [with_index(pod("a", "Succeeded"), 1), with_index(pod("b", "Running"), 0)];
    check(
        &job,
        &pods,
        expect![[r#"
        {"completedIndexes":"1","conditions":["SuccessCriteriaMet True SuccessPolicy"],"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":1,"terminating":1,"uncountedTerminatedPods":{}}
        ["b", "a"]
        {"completedIndexes":"1","conditions":["SuccessCriteriaMet True SuccessPolicy"],"ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":1,"terminating":1,"uncountedTerminatedPods":{}} false
    "#]],
    );
}

#[test]
fn indexes_are_listed_by_themselves() {
    let mut job = indexed(5, json!({ "backoffLimitPerIndex": 1, "parallelism": 5 }));
    job["status"]["completedIndexes"] = "0".into();
    job["status"]["succeeded"] = 1.into();
    let pods = [
        with_index(pod("a", "Succeeded"), 1),
        with_index(pod("again", "Succeeded"), 1),
        with_index(failed("b", 1, 45), 2),
        with_index(pod("c", "Running"), 3),
        with_index(pod("beyond", "Succeeded"), 9),
    ];
    check(
        &job,
        &pods,
        expect![[r#"
            {"active":1,"completedIndexes":"0,1","failedIndexes":"","ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":2,"terminating":0,"uncountedTerminatedPods":{}}
            ["beyond", "a", "again"]
            {"active":1,"completedIndexes":"0,1","failedIndexes":"","ready":0,"startTime":"2026-01-01T00:00:00Z","succeeded":2,"terminating":0,"uncountedTerminatedPods":{}} false
        "#]],
    );
}

#[test]
fn suspended_and_resumed() {
    let mut job = job(json!({ "completions": 1, "suspend": true }));
    check(
        &job,
        &[ready("a")],
        expect![[r#"
        {"conditions":["Suspended True JobSuspended"],"ready":0,"terminating":1,"uncountedTerminatedPods":{}}
        []
        {"conditions":["Suspended True JobSuspended"],"ready":0,"terminating":1,"uncountedTerminatedPods":{}} false
    "#]],
    );
    job["status"] =
        json!({ "conditions": [{ "type": "Suspended", "status": "True", "reason": "JobSuspended" }] });
    job["spec"]["suspend"] = false.into();
    check(
        &job,
        &[],
        expect![[r#"
        {"conditions":["Suspended False JobResumed"],"ready":0,"startTime":"2026-01-01T00:00:50Z","terminating":0,"uncountedTerminatedPods":{}}
        []
        {"conditions":["Suspended False JobResumed"],"ready":0,"startTime":"2026-01-01T00:00:50Z","terminating":0,"uncountedTerminatedPods":{}} false
    "#]],
    );
    assert_eq!(tracked(&job, &[], 50).event, Some(("Resumed", "Job resumed")));
}

#[test]
fn a_job_that_goes_frees_its_pods() {
    let mut job = job(json!({ "completions": 2 }));
    job["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    check(
        &job,
        &[pod("a", "Running"), deleted(pod("b", "Running"))],
        expect![[r#"
            {"active":1,"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":1,"uncountedTerminatedPods":{"failed":["b"]}}
            ["a", "b"]
            {"active":1,"failed":1,"ready":0,"startTime":"2026-01-01T00:00:00Z","terminating":1,"uncountedTerminatedPods":{}} false
        "#]],
    );
}

#[test]
fn only_so_many_wait_in_a_status() {
    let job = job(json!({ "completions": 600, "parallelism": 600 }));
    let pods: Vec<Value> = (0..600).map(|n| pod(&format!("p{n}"), "Succeeded")).collect();
    let before = tracked(&job, &pods, 50);
    let free: HashSet<String> = released(&before).into_iter().map(str::to_owned).collect();
    let (after, over) = settle(&before, &free, &shared(&pods), at(51));
    assert_eq!((free.len(), after["succeeded"].as_u64(), over), (500, Some(500), false));
}
