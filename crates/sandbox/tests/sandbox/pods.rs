//! Containers of pods.
use crate::house::{House, ended, record};
use sandbox::{ContainerState, Error, StartErrorKind};

fn code(state: &ContainerState) -> (i32, Option<i32>) {
    match state {
        ContainerState::Exited { code, signal, .. } => (*code, *signal),
        running => panic!("still {running:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_logs_and_ends() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    let (state, log) = house.run(&pod, house.container("a", &["/bin/fix", "say", "hello"])).await;
    assert_eq!((code(&state), log.as_str()), ((0, None), "hello\n"));
    let (state, _) = house.run(&pod, house.container("b", &["fix", "exit", "42"])).await;
    assert_eq!(code(&state), (42, None));
    house.run(&pod, house.container("d", &["fix", "both"])).await;
    let raw = std::fs::read_to_string(house.log_path("d")).unwrap();
    let mut tails: Vec<_> = raw.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    tails.sort();
    assert_eq!(tails, ["stderr F err", "stderr P unfinished", "stdout F out"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_and_kills() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    pod.start_container(house.container("polite", &["fix", "serve"])).await.unwrap();
    pod.start_container(house.container("stubborn", &["fix", "stubborn"])).await.unwrap();
    crate::house::wait_for("both to serve", || {
        (house.logged("polite") == "serving\n" && house.logged("stubborn") == "serving\n").then_some(())
    })
    .await;
    pod.stop("polite").await.unwrap();
    assert_eq!(code(&ended(&pod, "polite").await), (3, None));
    pod.stop("stubborn").await.unwrap();
    pod.kill("stubborn").await.unwrap();
    assert_eq!(code(&ended(&pod, "stubborn").await), (137, Some(9)));
    assert!(matches!(pod.stop("polite").await, Err(Error::NotRunning(_))));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_why() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    let cases: [(&[&str], StartErrorKind, i32, &str); 5] = [
        (&["nope"], StartErrorKind::NotFound, 127, "exec: \"nope\": executable file not found in $PATH"),
        (&["/nope"], StartErrorKind::NotFound, 127, "exec: \"/nope\": stat /nope: no such file or directory"),
        (&["/etc/passwd"], StartErrorKind::PermissionDenied, 126, "exec: \"/etc/passwd\": permission denied"),
        (&["/etc"], StartErrorKind::PermissionDenied, 126, "exec: \"/etc\": is a directory"),
        (&[], StartErrorKind::Invalid, 128, "no command specified"),
    ];
    for (argv, kind, code, text) in cases {
        let error = pod.start_container(house.container("bad", argv)).await.unwrap_err();
        let Error::Start(start) = error else { panic!("{error}") };
        assert_eq!((start.kind, start.exit_code(), start.message.as_str()), (kind, code, text));
    }
    let mut spec = house.container("bad", &["fix"]);
    spec.user.name = "ghost".into();
    let error = pod.start_container(spec).await.unwrap_err().to_string();
    assert_eq!(error, "unable to find user ghost: no matching entries in passwd file");
    let mut spec = house.container("bad", &["fix"]);
    spec.cwd = Some("/etc/passwd".into());
    let error = pod.start_container(spec).await.unwrap_err().to_string();
    assert_eq!(error, "chdir to cwd (\"/etc/passwd\") set in config.json failed: not a directory");
    assert_eq!(record(&pod, "bad"), None);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_of_a_pod_that_is_gone() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    let held = std::sync::Arc::downgrade(&pod);
    pod.remove().await.unwrap();
    drop(pod);
    assert!(held.upgrade().is_none(), "a pod holds a socket, its records and its specification");
    // One that runs on without a handle is found again, and ends with the house.
    drop(house.pod("p2").await);
    assert_eq!(house.host().adopt_pods().await.unwrap().len(), 1);
    house.close().await;
}
