//! How many pods are made, which go, and what a new one looks like.

use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use super::super::backoff::{Record, finished_at};
use super::super::plan::{Creation, plan_pods};
use super::super::tally::tally;
use super::super::template::pod_for;
use super::{at, deleted, failed, indexed, job, planned, pod, ready, shared, shown, text, with_index};

#[test]
fn as_many_as_are_wanted() {
    let check = |spec, pods: &[_], want: &str| assert_eq!(shown(&planned(&job(spec), pods, 9)), want);
    let running = |name: &str| pod(name, "Running");
    check(json!({ "completions": 5, "parallelism": 3 }), &[], "create 3");
    check(json!({ "completions": 2, "parallelism": 3 }), &[], "create 2");
    check(json!({ "completions": 2, "parallelism": 3 }), &[running("a"), pod("b", "Succeeded")], "nothing");
    check(json!({ "completions": 9, "parallelism": 600 }), &[], "create 9");
    check(json!({ "completions": 900, "parallelism": 600 }), &[], "create 500");
    check(json!({ "completions": 5, "parallelism": 0 }), &[running("a"), ready("b")], "discard a b");
    check(
        json!({ "completions": 5, "parallelism": 1 }),
        &[ready("a"), running("b"), pod("c", "Pending")],
        "discard c b",
    );
    check(json!({ "parallelism": 3 }), &[running("a")], "create 2");
    check(json!({ "parallelism": 3 }), &[running("a"), pod("b", "Succeeded")], "nothing");
    check(json!({ "completions": 1, "suspend": true }), &[running("a")], "discard a");
    check(json!({ "completions": 1, "suspend": true }), &[], "nothing");
}

#[test]
fn a_leaving_pod_is_replaced_at_once_or_when_it_has_failed() {
    let leaving = [deleted(pod("a", "Running"))];
    let at_once = job(json!({ "completions": 1, "podReplacementPolicy": "TerminatingOrFailed" }));
    assert_eq!(shown(&planned(&at_once, &leaving, 300)), "create 1");
    let later = job(json!({ "completions": 1, "podReplacementPolicy": "Failed" }));
    assert_eq!(shown(&planned(&later, &leaving, 300)), "nothing");
    let indexed = indexed(2, json!({ "podReplacementPolicy": "Failed" }));
    let leaving = [with_index(leaving[0].clone(), 0)];
    assert_eq!(shown(&planned(&indexed, &leaving, 300)), "create [1]");
}

#[test]
fn indexes_that_nobody_works_on() {
    let mut six = indexed(6, json!({ "parallelism": 4 }));
    six["status"]["completedIndexes"] = "0,3".into();
    let one = with_index(pod("a", "Running"), 1);
    assert_eq!(shown(&planned(&six, std::slice::from_ref(&one), 9)), "create [2, 4, 5]");
    let doubled = with_index(ready("b"), 1);
    let beyond = with_index(pod("c", "Running"), 6);
    let without = pod("d", "Running");
    assert_eq!(shown(&planned(&six, &[one.clone(), doubled, beyond, without], 9)), "discard d c a");
    six["status"]["failedIndexes"] = "2".into();
    six["spec"]["backoffLimitPerIndex"] = 0.into();
    assert_eq!(shown(&planned(&six, &[one], 9)), "create [4, 5]");
}

#[test]
fn the_pause_after_a_failure_doubles() {
    let one = job(json!({ "completions": 1 }));
    let pods = [failed("a", 1, 100)];
    assert_eq!(shown(&planned(&one, &pods, 103)), "nothing, again in 7s");
    assert_eq!(shown(&planned(&one, &pods, 110)), "create 1");
    for (failures, want) in [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (90, 600)] {
        let record = Record { failures, last: Some(at(0)) };
        assert_eq!(record.left(at(0)), Some(Duration::from_secs(want)), "{failures}");
    }
    assert_eq!(Record::default().left(at(0)), None);
}

#[test]
fn a_success_ends_the_pause() {
    let pods = [failed("a", 1, 10), failed("b", 1, 30)];
    let mut success = failed("c", 0, 20);
    success["status"]["phase"] = "Succeeded".into();
    let both: Vec<_> = pods.iter().collect();
    let before = Record { failures: 3, last: Some(at(5)) };
    assert_eq!(before.with(&[], &both), Record { failures: 5, last: Some(at(30)) });
    assert_eq!(before.with(&[&success], &both), Record { failures: 1, last: Some(at(30)) });
    assert_eq!(before.with(&[&success], &[]), Record::default());
    let one = job(json!({ "completions": 5 }));
    let (pods, record) = (shared(&[]), Record { failures: 2, last: Some(at(100)) });
    let plan = plan_pods(&one, &pods, &tally(&one, &pods, &record, at(105)), at(105));
    assert_eq!(shown(&plan), "nothing, again in 15s");
}

#[test]
fn when_a_pod_ended() {
    assert_eq!(finished_at(&failed("a", 1, 7)), at(7));
    let mut sidecar = failed("a", 1, 7);
    sidecar["spec"]["initContainers"] = json!([{ "name": "s", "restartPolicy": "Always" }, { "name": "i" }]);
    sidecar["status"]["initContainerStatuses"] = json!([
        { "name": "i", "state": { "terminated": { "finishedAt": text(99) } } },
        { "name": "s", "state": { "terminated": { "finishedAt": text(8) } } }]);
    assert_eq!(finished_at(&sidecar), at(8));
    let mut unready = pod("a", "Failed");
    unready["status"]["conditions"] =
        json!([{ "type": "Ready", "status": "False", "lastTransitionTime": text(6) }]);
    assert_eq!(finished_at(&unready), at(6));
    assert_eq!(finished_at(&deleted(pod("a", "Running"))), at(0), "its deletion less its grace");
}

#[test]
fn each_index_waits_for_itself() {
    let three = indexed(3, json!({ "backoffLimitPerIndex": 3 }));
    let pods = [with_index(failed("a", 1, 100), 0), with_index(failed("b", 1, 50), 1)];
    assert_eq!(shown(&planned(&three, &pods, 105)), "create [1, 2]");
    let others = [pods[0].clone(), with_index(pod("c", "Running"), 1), with_index(pod("d", "Running"), 2)];
    assert_eq!(shown(&planned(&three, &others, 105)), "nothing, again in 5s");
}

#[test]
fn what_a_pod_is_made_of() {
    let mut one = job(json!({ "completions": 1 }));
    one["spec"]["template"]["metadata"] = json!({ "labels": { "a": "b" }, "finalizers": ["x/y"] });
    let creation = |index, replaces| Creation { index, replaces };
    let made = pod_for(&one, &creation(None, None), &json!({ "uid": "job" }));
    expect![[r#"{"finalizers":["x/y","batch.kubernetes.io/job-tracking"],"generateName":"j-","labels":{"a":"b"},"ownerReferences":[{"uid":"job"}]}"#]]
        .assert_eq(&made["metadata"].to_string());
    let mut many = indexed(
        3,
        json!({ "backoffLimitPerIndex": 3, "podFailurePolicy": { "rules": [
        { "action": "Ignore", "onExitCodes": { "operator": "In", "values": [42] } }] } }),
    );
    many["spec"]["template"]["spec"]["initContainers"] =
        json!([{ "name": "i", "env": [{ "name": "X", "value": "y" }] }]);
    let made = pod_for(&many, &creation(Some(2), None), &json!({ "uid": "job" }));
    expect![[r#"{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"batch.kubernetes.io/job-completion-index":"2","batch.kubernetes.io/job-index-failure-count":"0"},"finalizers":["batch.kubernetes.io/job-tracking"],"generateName":"j-2-","labels":{"batch.kubernetes.io/job-completion-index":"2"},"ownerReferences":[{"uid":"job"}]},"spec":{"containers":[{"env":[{"name":"JOB_COMPLETION_INDEX","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['batch.kubernetes.io/job-completion-index']"}}}],"name":"c"}],"hostname":"j-2","initContainers":[{"env":[{"name":"X","value":"y"},{"name":"JOB_COMPLETION_INDEX","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['batch.kubernetes.io/job-completion-index']"}}}],"name":"i"}],"restartPolicy":"Never"}}"#]].assert_eq(&made.to_string());
    let counts = |code: i64| {
        let mut last = with_index(failed("a", code, 1), 2);
        last["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] = "1".into();
        let made = pod_for(&many, &creation(Some(2), Some(last.into())), &json!({ "uid": "job" }));
        made["metadata"]["annotations"].to_string()
    };
    expect![[r#"{"batch.kubernetes.io/job-completion-index":"2","batch.kubernetes.io/job-index-failure-count":"2"}"#]].assert_eq(&counts(1));
    expect![[r#"{"batch.kubernetes.io/job-completion-index":"2","batch.kubernetes.io/job-index-failure-count":"1","batch.kubernetes.io/job-index-ignored-failure-count":"1"}"#]].assert_eq(&counts(42));
    many["metadata"]["name"] = "n".repeat(63).into();
    let made = pod_for(&many, &creation(Some(12_345), None), &json!({ "uid": "job" }));
    let name = made["metadata"]["generateName"].as_str().unwrap_or_default();
    assert_eq!((name.len(), name.ends_with("n-12345-")), (58, true), "{name}");
}
