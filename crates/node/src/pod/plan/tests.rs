//! The plan as data: a pod, what its containers do, and what follows.

use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::pod::state::{Exit, State, Stop};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).expect("in range")
}

fn exit(code: i32, seconds: i64) -> Run {
    Run::Exited(Exit {
        code,
        reason: "Error".into(),
        message: String::new(),
        started: Some(at(0)),
        finished: at(seconds),
        attempt: 0,
        start_failed: false,
        again: false,
    })
}

fn running() -> Run {
    Run::Running { since: at(0), stop: None, stopping: false }
}

fn state(spec: Value) -> State {
    let pod = json!({ "metadata": { "name": "p", "uid": "u" }, "spec": spec });
    let mut state = State::new(Arc::new(serde_json::from_value(pod).expect("a pod")), at(0));
    state.volumes = Step::Done;
    state.sandbox.step = Step::Done;
    state
}

/// Puts containers into a state; those that run are started and ready.
fn set(state: &mut State, runs: impl IntoIterator<Item = Run>) {
    for (container, run) in state.containers.iter_mut().zip(runs) {
        container.runs = u32::from(run != Run::New);
        container.ran_here = run != Run::New;
        (container.started, container.ready) = (matches!(run, Run::Running { .. }), true);
        container.run = run;
    }
}

fn check(state: &State, now: i64, expected: Expect) {
    let plan = plan(state, at(now));
    let mut text = plan.actions.iter().map(|action| format!("{action:?}")).collect::<Vec<_>>();
    if let Some(wake) = plan.wake {
        text.push(format!("wake +{}", wake.duration_since(at(now)).as_secs()));
    }
    expected.assert_eq(&text.join("\n"));
}

fn two() -> Value {
    json!({ "containers": [{ "name": "a" }, { "name": "b" }] })
}

#[test]
fn a_new_pod_gets_ground_then_all_containers_at_once() {
    let mut pod = state(two());
    (pod.volumes, pod.sandbox.step) = (Step::NEW, Step::NEW);
    check(
        &pod,
        0,
        expect![[r#"
        MountVolumes
        StartSandbox"#]],
    );
    (pod.volumes, pod.sandbox.step) = (Step::Busy, Step::Done);
    check(&pod, 0, expect![""]);
    pod.volumes = Step::Done;
    check(
        &pod,
        0,
        expect![[r#"
        StartContainer(0)
        StartContainer(1)"#]],
    );
    pod.volumes = Step::failed(0, at(0));
    check(&pod, 0, expect!["wake +0"]);
}

#[test]
fn init_containers_go_one_by_one_and_sidecars_let_others_pass() {
    let init = json!([{ "name": "i1" }, { "name": "side", "restartPolicy": "Always" }, { "name": "i2" }]);
    let mut pod = state(json!({ "initContainers": init, "containers": [{ "name": "a" }] }));
    check(&pod, 0, expect!["StartContainer(0)"]);
    set(&mut pod, [running()]);
    check(&pod, 0, expect![""]);
    set(&mut pod, [exit(0, 1)]);
    check(&pod, 1, expect!["StartContainer(1)"]);
    set(&mut pod, [exit(0, 1), running()]);
    pod.containers[1].started = false;
    check(&pod, 1, expect![""]);
    pod.containers[1].started = true;
    check(&pod, 1, expect!["StartContainer(2)"]);
    set(&mut pod, [exit(0, 1), running(), exit(0, 2)]);
    check(&pod, 2, expect!["StartContainer(3)"]);
    // Once the pod has begun, init containers never run again; a sidecar does.
    set(&mut pod, [exit(0, 1), exit(1, 3), exit(0, 2), running()]);
    check(&pod, 3, expect!["StartContainer(1)"]);
}

#[test]
fn an_init_container_that_fails_for_good_ends_the_pod() {
    let spec = json!({ "restartPolicy": "Never", "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }] });
    let mut pod = state(spec);
    set(&mut pod, [exit(1, 1)]);
    check(&pod, 1, expect!["RemoveSandbox"]);
}

#[test]
fn restarts_back_off() {
    let mut pod = state(two());
    set(&mut pod, [exit(1, 5), running()]);
    check(&pod, 5, expect!["StartContainer(0)"]);
    pod.containers[0].backoff.note(at(5), at(5));
    pod.containers[0].run = exit(1, 6);
    check(
        &pod,
        7,
        expect![[r#"
        ReportBackOff(0)
        wake +9"#]],
    );
    pod.containers[0].backoff_reported = true;
    check(&pod, 7, expect!["wake +9"]);
    check(&pod, 16, expect!["StartContainer(0)"]);
}

#[test]
fn policies() {
    for (policy, code, starts) in [
        ("Always", 0, true),
        ("Always", 1, true),
        ("OnFailure", 0, false),
        ("OnFailure", 1, true),
        ("Never", 0, false),
        ("Never", 1, false),
    ] {
        let mut pod =
            state(json!({ "restartPolicy": policy, "containers": [{ "name": "a" }, { "name": "b" }] }));
        set(&mut pod, [exit(code, 1), running()]);
        let started = plan(&pod, at(1)).actions.contains(&Action::StartContainer(0));
        assert_eq!(started, starts, "{policy} {code}");
    }
}

#[test]
fn a_finished_pod_stops_its_sidecars_and_gives_its_sandbox_back() {
    let spec = json!({ "restartPolicy": "Never", "terminationGracePeriodSeconds": 7,
        "initContainers": [{ "name": "side", "restartPolicy": "Always" }], "containers": [{ "name": "a" }] });
    let mut pod = state(spec);
    set(&mut pod, [running(), exit(0, 1)]);
    check(
        &pod,
        1,
        expect![[r#"StopContainer { index: 0, grace_seconds: 7, message: "Stopping container side" }"#]],
    );
    set(&mut pod, [exit(137, 2), exit(0, 1)]);
    check(&pod, 2, expect!["RemoveSandbox"]);
    pod.sandbox.step = Step::Removed;
    check(&pod, 2, expect!["UnmountVolumes"]);
    pod.volumes = Step::Removed;
    check(&pod, 2, expect![""]);
}

#[test]
fn deletion_stops_main_containers_then_sidecars_then_forgets() {
    let init =
        json!([{ "name": "s1", "restartPolicy": "Always" }, { "name": "s2", "restartPolicy": "Always" }]);
    let mut pod = state(json!({ "initContainers": init, "containers": [{ "name": "a" }] }));
    set(&mut pod, [running(), running(), running()]);
    let mut object = (*pod.pod).clone();
    object.metadata.deletion_timestamp = Some(at(0).into());
    object.metadata.deletion_grace_period_seconds = Some(5);
    pod.pod = Arc::new(object);
    check(
        &pod,
        0,
        expect![[r#"StopContainer { index: 2, grace_seconds: 5, message: "Stopping container a" }"#]],
    );
    pod.containers[2].run = Run::Running { since: at(0), stop: None, stopping: true };
    check(&pod, 0, expect![""]);
    pod.containers[2].run = exit(0, 1);
    check(
        &pod,
        1,
        expect![[r#"StopContainer { index: 1, grace_seconds: 5, message: "Stopping container s2" }"#]],
    );
    set(&mut pod, [exit(0, 1), exit(0, 1), exit(0, 1)]);
    (pod.sandbox.step, pod.volumes) = (Step::Removed, Step::Removed);
    check(&pod, 1, expect!["DeletePod"]);
    pod.farewell = Step::Done;
    check(&pod, 1, expect!["Finish"]);
}

#[test]
fn a_pod_that_is_gone_is_killed_at_once() {
    let mut pod = state(json!({ "containers": [{ "name": "a" }] }));
    set(&mut pod, [running()]);
    pod.gone = true;
    check(
        &pod,
        0,
        expect![[r#"StopContainer { index: 0, grace_seconds: 0, message: "Stopping container a" }"#]],
    );
}

#[test]
fn a_condemned_container_is_stopped_with_its_own_grace() {
    let mut pod = state(json!({ "containers": [{ "name": "a" }] }));
    let stop = Stop { message: "unwell".to_owned(), grace_seconds: Some(3), again: false };
    set(&mut pod, [Run::Running { since: at(0), stop: Some(stop), stopping: false }]);
    check(&pod, 0, expect![[r#"StopContainer { index: 0, grace_seconds: 3, message: "unwell" }"#]]);
}

#[test]
fn a_deadline_wakes_the_task() {
    let mut pod = state(json!({ "activeDeadlineSeconds": 30, "containers": [{ "name": "a" }] }));
    set(&mut pod, [running()]);
    check(&pod, 10, expect!["wake +20"]);
    assert_eq!(deadline(&pod), Some(at(0) + SignedDuration::from_secs(30)));
}
