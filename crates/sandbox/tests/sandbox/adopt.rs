//! dory and supervisors that die.
use crate::house::{House, ended, record, wait_for};
use crate::instances::alive;
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{ContainerState, ExecSpec};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

fn pid(state: &ContainerState) -> u32 {
    match state {
        ContainerState::Running { pid, .. } => *pid,
        ended => panic!("{ended:?}"),
    }
}

fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_outlive_a_killed_dory() {
    let mut house = House::open_without_host().await;
    let program = env!("CARGO_BIN_EXE_sandbox-shim");
    let mut victim = Command::new(program)
        .arg("victim")
        .args([house.dir.as_os_str(), house.owner.as_ref()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(victim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill(victim.id());
    victim.wait().unwrap();

    let before = house.logged("count").lines().count();
    wait_for("the log to grow without dory", || {
        (house.logged("count").lines().count() > before + 3).then_some(())
    })
    .await;
    house.open_again().await;
    let pods = house.host().adopt_pods().await.unwrap();
    assert_eq!(pods.len(), 1);
    let pod = &pods[0];
    assert_eq!((pod.id(), pod.labels()["name"].as_str(), pod.is_live()), ("p1", "first", true));
    assert!(pod.address().is_some());
    let record = record(pod, "count").unwrap();
    assert_eq!((record.attempt, record.id.as_str()), (2, "p1/count/2"));
    assert!(alive(pid(&record.state)));
    let spec = ExecSpec { argv: vec!["fix".into(), "exit".into(), "9".into()], ..ExecSpec::default() };
    assert_eq!(pod.exec("count", spec).await.unwrap().wait().await.unwrap().code, 9);
    pod.kill("count").await.unwrap();
    assert!(matches!(ended(pod, "count").await, ContainerState::Exited { code: 137, lost: false, .. }));
    assert!(house.host().adopt_pods().await.unwrap().is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_takes_its_containers_along() {
    let mut house = House::open().await;
    let pod = house.pod("p1").await;
    let pid = pid(&pod.start_container(house.container("a", &["fix", "serve"])).await.unwrap().state);
    kill(parent(pid));
    let state = ended(&pod, "a").await;
    assert!(matches!(state, ContainerState::Exited { lost: true, code: 137, .. }), "{state:?}");
    wait_for("the container to die", || (!alive(pid)).then_some(())).await;
    assert!(!pod.is_live() && pod.start_container(house.container("b", &["fix"])).await.is_err());

    // And the next dory finds it dead, with the same record.
    drop(pod);
    house.open_again().await;
    let pods = house.host().adopt_pods().await.unwrap();
    assert!(!pods[0].is_live());
    assert!(matches!(record(&pods[0], "a").unwrap().state, ContainerState::Exited { lost: true, .. }));
    pods[0].remove().await.unwrap();
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_while_dory_is_down_are_kept() {
    let mut house = House::open().await;
    let pod = house.pod("p1").await;
    let mut spec = house.container("a", &["fix", "serve"]);
    spec.attempt = 7;
    let pid = pid(&pod.start_container(spec).await.unwrap().state);
    drop(pod);
    house.forget_host().await;
    kill(pid);
    wait_for("the container to die", || (!alive(pid)).then_some(())).await;
    house.open_again().await;
    let pods = house.host().adopt_pods().await.unwrap();
    assert_eq!(record(&pods[0], "a").unwrap().attempt, 7);
    let state = ended(&pods[0], "a").await;
    assert!(
        matches!(state, ContainerState::Exited { code: 137, signal: Some(9), lost: false, .. }),
        "{state:?}"
    );
    house.close().await;
}
