//! Statuses as YAML-like text: what kubectl would show for which state.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;
use crate::pod::state::Verdict;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).expect("in range")
}

fn state(spec: Value) -> State {
    let pod = json!({ "metadata": { "name": "p", "namespace": "ns", "uid": "u" }, "spec": spec });
    let mut state = State::new(Arc::new(serde_json::from_value(pod).expect("a pod")), at(0));
    state.volumes = Step::Done;
    state.sandbox =
        crate::pod::state::Sandbox { step: Step::Done, address: Some(Ipv4Addr::new(10, 42, 0, 7)) };
    state
}

fn exit(code: i32, seconds: i64, attempt: u32) -> Exit {
    Exit {
        code,
        reason: if code == 0 { "Completed".into() } else { "Error".into() },
        message: String::new(),
        started: Some(at(0)),
        finished: at(seconds),
        attempt,
        start_failed: false,
        again: false,
    }
}

fn run(state: &mut State, index: usize, run: Run) {
    let container = &mut state.containers[index];
    container.runs = container.runs.max(u32::from(!matches!(run, Run::New | Run::Held { .. })));
    container.ran_here |= container.runs > 0;
    (container.ready, container.started) = (true, matches!(run, Run::Running { .. }));
    container.run = run;
}

fn running() -> Run {
    Run::Running { since: at(1), stop: None, stopping: false }
}

/// The parts that people look at, one per line.
fn check(state: &State, now: i64, expected: Expect) -> api::PodStatus {
    let host = Host { address: "192.0.2.1".to_owned() };
    let status = status(state, &api::PodStatus::default(), &host, at(now));
    let mut text = status.phase.clone().unwrap_or_default();
    for (list, statuses) in [("init", &status.init_container_statuses), ("main", &status.container_statuses)]
    {
        for container in statuses.iter().flatten() {
            let state = short(container.state.as_ref());
            let last = container
                .last_state
                .as_ref()
                .map_or_else(String::new, |last| format!(" after {}", short(Some(last))));
            let (ready, count) = (container.ready, container.restart_count);
            let _ = write!(text, "\n{list} {}: {state}{last} ready={ready} restarts={count}", container.name);
        }
    }
    for condition in status.conditions.iter().flatten().filter(|condition| condition.type_ != "PodScheduled")
    {
        let reason = condition.reason.as_deref().unwrap_or("-");
        let message = condition.message.as_deref().unwrap_or_default();
        let _ = write!(text, "\n{}={} {reason} {message}", condition.type_, condition.status);
    }
    expected.assert_eq(&text);
    status
}

fn short(state: Option<&api::ContainerState>) -> String {
    let state = state.cloned().unwrap_or_default();
    if let Some(waiting) = state.waiting {
        let message = waiting.message.map_or_else(String::new, |message| format!("({message})"));
        return format!("{}{message}", waiting.reason.unwrap_or_default());
    }
    match (state.running, state.terminated) {
        (Some(_), _) => "running".to_owned(),
        (_, Some(ended)) => format!("{}:{}", ended.reason.unwrap_or_default(), ended.exit_code),
        _ => "nothing".to_owned(),
    }
}

fn one() -> Value {
    json!({ "containers": [{ "name": "a", "image": "i" }] })
}

#[test]
fn creating_and_running() {
    let mut pod = state(one());
    (pod.sandbox.step, pod.sandbox.address) = (Step::Busy, None);
    check(
        &pod,
        1,
        expect![[r#"
        Pending
        main a: ContainerCreating ready=false restarts=0
        PodReadyToStartContainers=False - 
        Initialized=True - 
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]"#]],
    );
    let mut pod = state(one());
    run(&mut pod, 0, running());
    let status = check(
        &pod,
        1,
        expect![[r#"
        Running
        main a: running ready=true restarts=0
        PodReadyToStartContainers=True - 
        Initialized=True - 
        Ready=True - 
        ContainersReady=True - "#]],
    );
    assert_eq!((status.pod_ip.as_deref(), status.host_ip.as_deref()), (Some("10.42.0.7"), Some("192.0.2.1")));
    let container = &status.container_statuses.expect("one")[0];
    assert_eq!(container.container_id.as_deref(), Some("dory://u.a.0"));
}

#[test]
fn init_containers() {
    let mut pod = state(json!({ "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }] }));
    run(&mut pod, 0, running());
    check(
        &pod,
        1,
        expect![[r#"
        Pending
        init i: running ready=false restarts=0
        main a: PodInitializing ready=false restarts=0
        PodReadyToStartContainers=True - 
        Initialized=False ContainersNotInitialized containers with incomplete status: [i]
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]"#]],
    );
    run(&mut pod, 0, Run::Exited(exit(0, 2, 0)));
    run(&mut pod, 1, running());
    check(
        &pod,
        3,
        expect![[r#"
        Running
        init i: Completed:0 ready=true restarts=0
        main a: running ready=true restarts=0
        PodReadyToStartContainers=True - 
        Initialized=True - 
        Ready=True - 
        ContainersReady=True - "#]],
    );
}

#[test]
fn a_crash_loop() {
    let mut pod = state(one());
    run(&mut pod, 0, Run::Exited(exit(1, 5, 1)));
    pod.containers[0].runs = 2;
    pod.containers[0].last = Some(exit(1, 2, 0));
    pod.containers[0].backoff.note(at(2), at(2));
    check(
        &pod,
        6,
        expect![[r#"
        Running
        main a: CrashLoopBackOff(back-off 10s restarting failed container=a pod=p_ns(u)) after Error:1 ready=false restarts=1
        PodReadyToStartContainers=True - 
        Initialized=True - 
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]"#]],
    );
}

#[test]
fn a_command_that_does_not_exist() {
    let mut pod = state(one());
    let failed = Exit {
        reason: "StartError".into(),
        message: "exec: \"nope\"".into(),
        start_failed: true,
        ..exit(128, 2, 0)
    };
    run(&mut pod, 0, Run::Exited(failed));
    let mut text = check(
        &pod,
        3,
        expect![[r#"
        Running
        main a: RunContainerError(exec: "nope") after StartError:128 ready=false restarts=0
        PodReadyToStartContainers=True - 
        Initialized=True - 
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]"#]],
    );
    let ended =
        text.container_statuses.take().expect("one")[0].last_state.take().and_then(|state| state.terminated);
    assert_eq!(ended.and_then(|ended| ended.message).as_deref(), Some("exec: \"nope\""));
}

#[test]
fn an_image_that_is_not_there() {
    let mut pod = state(one());
    let held = Run::Held { reason: "ErrImagePull", message: "no".into(), tries: 0, until: at(10) };
    run(&mut pod, 0, held);
    check(
        &pod,
        1,
        expect![[r#"
        Pending
        main a: ErrImagePull(no) ready=false restarts=0
        PodReadyToStartContainers=True - 
        Initialized=True - 
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]"#]],
    );
}

#[test]
fn ends() {
    let mut pod = state(json!({ "restartPolicy": "Never", "containers": [{ "name": "a" }] }));
    run(&mut pod, 0, Run::Exited(exit(0, 2, 0)));
    pod.sandbox.step = Step::Removed;
    check(
        &pod,
        3,
        expect![[r#"
        Succeeded
        main a: Completed:0 ready=false restarts=0
        PodReadyToStartContainers=False - 
        Initialized=True PodCompleted 
        Ready=False PodCompleted 
        ContainersReady=False PodCompleted "#]],
    );
    run(&mut pod, 0, Run::Exited(exit(3, 2, 0)));
    assert_eq!(phase(&pod), "Failed");
    let mut late = state(one());
    run(&mut late, 0, running());
    late.verdict =
        Some(Verdict { reason: "DeadlineExceeded".into(), message: "too long".into(), grace_seconds: None });
    assert_eq!(phase(&late), "Running", "until its containers are gone");
    run(&mut late, 0, Run::Exited(exit(143, 2, 0)));
    assert_eq!(phase(&late), "Failed");
}

#[test]
fn times_of_transition_stay_and_gates_count() {
    let gate = json!([{ "conditionType": "example.com/lb" }]);
    let mut pod = state(json!({ "readinessGates": gate, "containers": [{ "name": "a" }] }));
    run(&mut pod, 0, running());
    let host = Host { address: "192.0.2.1".to_owned() };
    let first = status(&pod, &api::PodStatus::default(), &host, at(1));
    let ready = |status: &api::PodStatus| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == "Ready")
            .cloned()
            .expect("always")
    };
    assert_eq!(ready(&first).reason.as_deref(), Some("ReadinessGatesNotReady"));
    let mut previous = first.clone();
    let open = api::PodCondition { type_: "example.com/lb".into(), status: "True".into(), ..<_>::default() };
    previous.conditions.get_or_insert_default().push(open.clone());
    let second = status(&pod, &previous, &host, at(9));
    assert_eq!(ready(&second).status, "True");
    assert_eq!(ready(&second).last_transition_time, Some(time(at(9))));
    let kept = second.conditions.iter().flatten().find(|condition| condition.type_ == "ContainersReady");
    assert_eq!(kept.and_then(|kept| kept.last_transition_time.clone()), Some(time(at(1))));
    assert!(
        second.conditions.iter().flatten().any(|condition| *condition == open),
        "others' conditions stay"
    );
}
