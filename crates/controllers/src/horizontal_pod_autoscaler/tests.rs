//! Autoscalers as data: the figures of upstream's documentation, and what it says of pods that nobody can judge.

mod behavior;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object::selector::LabelSelector;
use object::time::Timestamp;
use serde_json::{Value, json};

use super::usage::{Answer, Goal, Question, Sample, Tolerances, plan_replicas, samples};

/// The second after the start of the world, in which every pod is old and ready.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

fn text(second: i64) -> String {
    object::time::seconds(at(second))
}

/// A pod that requests 100m of CPU, started at `started` and ready or not since `since`.
fn pod(name: &str, started: i64, ready: bool, since: i64) -> Arc<Value> {
    let status = if ready { "True" } else { "False" };
    Arc::new(json!({
        "metadata": { "name": name, "namespace": "ns", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "resources": { "requests": { "cpu": "100m" } } }] },
        "status": { "phase": "Running", "startTime": text(started), "conditions": [
            { "type": "Ready", "status": status, "lastTransitionTime": text(since) }] },
    }))
}

fn phase(name: &str, phase: &str) -> Arc<Value> {
    let mut pod = Value::clone(&pod(name, 0, false, 0));
    pod["status"]["phase"] = phase.into();
    Arc::new(pod)
}

fn old(count: usize) -> Vec<Arc<Value>> {
    (0..count).map(|n| pod(&format!("p{n}"), 0, true, 10)).collect()
}

/// So many thousandths of a CPU for each of the first pods, measured at second 1000 over 15 seconds.
fn used(milli: &[i64]) -> BTreeMap<String, Sample> {
    let sample = |milli| Sample { milli, at: at(1000), window: Duration::from_secs(15) };
    milli.iter().enumerate().map(|(n, milli)| (format!("p{n}"), sample(*milli))).collect()
}

const TOLERANCES: Tolerances = Tolerances { up: 0.1, down: 0.1 };

fn ask(goal: Goal, current: i64, pods: &[Arc<Value>], milli: &[i64]) -> Result<Answer, String> {
    let question = Question { resource: "cpu", container: None, goal, current, tolerances: TOLERANCES };
    plan_replicas(&question, pods, &used(milli), at(1000))
}

/// The replicas that a goal of so many percent leads to.
fn percent(goal: i64, pods: &[Arc<Value>], milli: &[i64]) -> i64 {
    let current = i64::try_from(pods.len()).expect("few");
    ask(Goal::Utilization(goal), current, pods, milli).expect("an answer").replicas
}

#[test]
fn the_figures_of_the_documentation() {
    // "If the current metric value is 200m, and the desired value is 100m, the number of replicas will be doubled."
    let average = |pods: usize, milli: i64| {
        let replicas = i64::try_from(pods).expect("few");
        ask(Goal::AverageMilli(100), replicas, &old(pods), &vec![milli; pods]).expect("an answer").replicas
    };
    assert_eq!(average(3, 200), 6);
    // "If the current value is instead 50m, you'll halve the number of replicas."
    assert_eq!((average(4, 50), average(5, 50)), (2, 3));
    // The walk-through: 305% of the request where 50% was wanted makes one replica seven.
    assert_eq!(percent(50, &old(1), &[305]), 7);
    // Close enough to 1.0, "within a globally-configurable tolerance, 0.1 by default".
    assert_eq!([110, 111, 90, 89].map(|milli| average(10, milli)), [10, 12, 10, 9]);
}

#[test]
fn the_status_tells_percent_and_amount() {
    let answer = ask(Goal::Utilization(70), 3, &old(3), &[50, 60, 71]);
    assert_eq!(answer, Ok(Answer { replicas: 3, utilization: Some(60), average_milli: 60 }));
}

#[test]
fn pods_that_were_not_measured_keep_the_change_small() {
    // Up: they are taken to use nothing. (300 + 0) / 200 is 150 %, of 2 pods.
    assert_eq!(percent(100, &old(2), &[300]), 3);
    // Down: they are taken to use all that they request. (10 + 100) / 200 is 55 %.
    assert_eq!(percent(100, &old(2), &[10]), 2);
    // Where more than all is wanted, that much: (50 + 200) / 200 is 125 % of 200 %.
    assert_eq!(percent(200, &old(2), &[50]), 2);
    // A direction that turns with the assumption is no reason to do anything.
    assert_eq!(percent(100, &old(3), &[120]), 3);
}

#[test]
fn pods_that_are_not_ready_do_not_count_and_do_not_hasten() {
    let mut pods = old(1);
    pods.push(pod("p1", 900, false, 900));
    pods.push(phase("p2", "Pending"));
    // Of three pods, one is known to use 400 %: taken over all three that is 133 %.
    assert_eq!(percent(100, &pods, &[400, 400]), 4);
    // Down they are left out: one pod at 10 % needs one pod.
    assert_eq!(percent(100, &pods, &[10, 10]), 1);
    assert_eq!(
        ask(Goal::Utilization(50), 1, &pods[1..], &[0, 10]).expect_err("nothing is known"),
        "did not receive metrics for targeted pods (pods might be unready)"
    );
}

#[test]
fn a_start_is_no_load() {
    let counts = |started, ready, since| {
        let pods = [pod("p0", started, ready, since)];
        ask(Goal::Utilization(100), 1, &pods, &[300]).map(|answer| answer.replicas).is_ok()
    };
    // Within five minutes of its start a pod counts if it is ready for as long as it was measured.
    assert!(counts(900, true, 985) && !counts(900, true, 986) && !counts(900, false, 900));
    // Later it counts, also when it is unready for once, but not if it never was ready.
    assert!(counts(600, true, 999) && counts(600, false, 900));
    assert!(counts(600, false, 630) && !counts(600, false, 629));
    // Memory is not used for starting.
    let question = Question {
        resource: "memory",
        container: None,
        goal: Goal::AverageMilli(100),
        current: 1,
        tolerances: TOLERANCES,
    };
    let pods = [pod("p0", 990, false, 990)];
    let answer = plan_replicas(&question, &pods, &used(&[300]), at(1000));
    assert_eq!(answer.map(|answer| answer.replicas), Ok(3));
}

#[test]
fn pods_that_end_are_as_if_they_were_gone() {
    let mut pods = old(2);
    pods.push(phase("p2", "Failed"));
    let mut leaving = Value::clone(&pod("p3", 0, true, 10));
    leaving["metadata"]["deletionTimestamp"] = text(990).into();
    pods.push(Arc::new(leaving));
    let answer = ask(Goal::Utilization(50), 2, &pods, &[100, 100, 900, 900]).expect("an answer");
    assert_eq!((answer.replicas, answer.utilization), (4, Some(100)));
}

#[test]
fn what_cannot_be_told_is_told_so() {
    let said = |pods: &[Arc<Value>], container| {
        let goal = Goal::Utilization(50);
        let question = Question { resource: "cpu", container, goal, current: 1, tolerances: TOLERANCES };
        plan_replicas(&question, pods, &used(&[10]), at(1000)).expect_err("no answer")
    };
    assert_eq!(said(&[], None), "no pods returned by selector while calculating replica count");
    assert_eq!(said(&old(1), Some("side")), "container side not found in Pod p0");
    let mut greedy = Value::clone(&pod("p0", 0, true, 10));
    greedy["spec"]["containers"][0]["resources"] = json!({});
    assert_eq!(said(&[Arc::new(greedy)], None), "missing request for cpu in container web of Pod p0");
}

#[test]
fn samples_are_sums_of_containers() {
    let one = |name: &str, containers: Value| {
        json!({ "metadata": { "name": name, "labels": { "app": "web" } }, "timestamp": text(1000), "window": "1m0.5s",
            "containers": containers })
    };
    let use_of = |name: &str, cpu: &str| json!({ "name": name, "usage": { "cpu": cpu } });
    let mut list = vec![
        one("two", json!([use_of("a", "1500000n"), use_of("b", "40m")])),
        one("half", json!([use_of("a", "1"), { "name": "b", "usage": {} }])),
        one("none", json!([])),
        one("foreign", json!([use_of("a", "1")])),
    ];
    list[3]["metadata"]["labels"] = json!({ "app": "other" });
    let selector = LabelSelector::from_labels(&json!({ "app": "web" }));
    let read = |container| {
        let found = samples(&list, &selector, "cpu", container);
        found.into_iter().map(|(name, sample)| format!("{name} {}", sample.milli)).collect::<Vec<_>>()
    };
    assert_eq!(read(None), ["two 42"]);
    assert_eq!(read(Some("a")), ["half 1000", "two 2"]);
    assert_eq!(read(Some("c")), Vec::<String>::new());
    let window = samples(&list, &selector, "cpu", None)["two"].window;
    assert_eq!(window, Duration::from_millis(60_500));
}
