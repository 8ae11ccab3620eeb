//! What containers may and may not, see and do not see.
use crate::house::{House, ended, record, wait_for};
use sandbox::{Capabilities, ContainerSpec, ContainerState, Limits, Mount, PodSpec, Root, Seccomp};
use std::os::unix::fs::symlink;

fn code(state: &ContainerState) -> i32 {
    match state {
        ContainerState::Exited { code, .. } => *code,
        running => panic!("still {running:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    let mut spec = house.container("greedy", &["fix", "eat", "200"]);
    spec.limits = Limits { memory_bytes: Some(32 << 20), ..Limits::default() };
    let (state, _) = house.run(&pod, spec).await;
    assert!(
        matches!(state, ContainerState::Exited { code: 137, signal: Some(9), oom: true, .. }),
        "{state:?}"
    );
    let mut spec = house.container("forks", &["fix", "forks", "50"]);
    spec.limits =
        Limits { pids_max: Some(6), cpu_millis: Some(500), cpu_shares: Some(256), ..Limits::default() };
    assert_eq!(house.run(&pod, spec).await.1, "forks: 5\n");
    pod.start_container(house.container("idle", &["fix", "serve"])).await.unwrap();
    let (whole, each) = pod.stats().await.unwrap();
    assert_eq!((each["idle"].pids, each.len()), (1, 1));
    assert!(whole.memory_working_set_bytes > 0 && each["idle"].memory_working_set_bytes > 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_confinement() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    let mut count = 0;
    let mut check = async |argv: &[&str], change: fn(&mut ContainerSpec), expected: &str| {
        count += 1;
        let mut spec = house.container(&format!("c{count}"), argv);
        change(&mut spec);
        assert_eq!(house.run(&pod, spec).await.1, expected, "{argv:?}");
    };
    let plain = |_: &mut ContainerSpec| {};
    check(&["fix", "try", "mount"], plain, "mount: Operation not permitted\n").await;
    check(&["fix", "try", "unshare"], plain, "unshare: Operation not permitted\n").await;
    check(&["fix", "try", "keyctl"], plain, "keyctl: Operation not permitted\n").await;
    check(&["fix", "try", "packet"], plain, "packet: ok\n").await;
    check(
        &["fix", "try", "packet"],
        |spec| spec.capabilities.drop = vec!["NET_RAW".into()],
        "packet: Operation not permitted\n",
    )
    .await;
    check(&["fix", "try", "node"], plain, "open: Permission denied\n").await;
    check(&["fix", "cat", "/proc/interrupts"], plain, "").await;
    check(&["fix", "list", "/sys/firmware"], plain, ".\n..\n").await;
    check(&["fix", "write", "/proc/sys/kernel/hostname", "x"], plain, "write: Read-only file system\n").await;
    check(&["fix", "write", "/sys/x", "x"], plain, "write: Read-only file system\n").await;
    check(&["fix", "write", "/data/x", "x"], plain, "write: ok\n").await;
    check(
        &["fix", "write", "/data/x", "x"],
        |spec| spec.read_only_root = true,
        "write: Read-only file system\n",
    )
    .await;
    check(&["fix", "write", "/dev/shm/x", "x"], |spec| spec.read_only_root = true, "write: ok\n").await;
    check(&["fix", "id"], |spec| spec.user.name = "app".into(), "uid=1000 gid=1001 groups=50\n").await;
    check(&["fix", "id"], |spec| spec.user.uid = Some(77), "uid=77 gid=0 groups=\n").await;
    check(&["fix", "write", "/dev/stdout", "x"], |spec| spec.user.name = "app".into(), "xwrite: ok\n").await;
    check(&["fix", "cwd"], |spec| spec.cwd = Some("/made/for/it".into()), "/made/for/it\n").await;
    check(&["fix", "try", "mount"], |spec| spec.privileged = true, "mount: ok\n").await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_and_filters_are_as_asked() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    let status = async |name: &str, change: fn(&mut ContainerSpec)| {
        let mut spec = house.container(name, &["fix", "cat", "/proc/self/status"]);
        change(&mut spec);
        house.run(&pod, spec).await.1
    };
    let default = status("default", |_| {}).await;
    for line in [
        "CapEff:\t00000000a80425fb",
        "CapInh:\t0000000000000000",
        "Seccomp:\t2",
        "NoNewPrivs:\t0",
        "Pid:\t1\n",
    ] {
        assert!(default.contains(line), "{line} in {default}");
    }
    let none = status("none", |spec| {
        spec.capabilities = Capabilities { add: vec![], drop: vec!["ALL".into()] };
        spec.no_new_privileges = true;
        spec.seccomp = Seccomp::Unconfined;
    })
    .await;
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "Seccomp:\t0", "NoNewPrivs:\t1"] {
        assert!(none.contains(line), "{line} in {none}");
    }
    let user = status("user", |spec| spec.user.uid = Some(1000)).await;
    assert!(
        user.contains("CapEff:\t0000000000000000") && user.contains("CapBnd:\t00000000a80425fb"),
        "{user}"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_stay_inside_whatever_the_image_says() {
    let house = House::open().await;
    let root = house.dir.join("evil");
    let outside = house.dir.join("outside");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::copy(crate::house::fixture(), root.join("bin/fix")).unwrap();
    for (link, to) in [("abs", outside.to_str().unwrap()), ("rel", "../outside"), ("etc", "/nowhere")] {
        symlink(to, root.join(link)).unwrap();
    }
    let volume = house.dir.join("volume");
    std::fs::create_dir_all(&volume).unwrap();
    std::fs::write(volume.join("file"), "content").unwrap();
    let pod = house.pod("p1").await;
    let mut spec = house.container("a", &["fix", "cat", "/abs/new/file"]);
    spec.root = Root::Dir(root.clone());
    spec.mounts = vec![
        Mount::bind(&volume, "/abs/new", true),
        Mount::bind(volume.join("file"), "/rel/file", false),
        Mount::tmpfs("/cache", Some(1 << 20), 0o1777),
    ];
    assert_eq!(house.run(&pod, spec.clone()).await.1, "content\n");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    (spec.name, spec.log_path) = ("b".into(), house.log_path("b"));
    spec.argv = ["fix", "write", "/abs/new/file", "x"].map(String::from).into();
    assert_eq!(house.run(&pod, spec.clone()).await.1, "write: Read-only file system\n");
    (spec.name, spec.log_path) = ("c".into(), house.log_path("c"));
    spec.argv = ["fix", "write", "/rel/file", "changed"].map(String::from).into();
    assert_eq!(house.run(&pod, spec.clone()).await.1, "write: ok\n");
    assert_eq!(std::fs::read_to_string(volume.join("file")).unwrap(), "changed");
    spec.name = "d".into();
    spec.mounts = vec![Mount::bind(house.dir.join("missing"), "/m", false)];
    let error = pod.start_container(spec).await.unwrap_err().to_string();
    assert!(error.starts_with("mounting \"") && error.ends_with("no such file or directory"), "{error}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_share_what_pods_share() {
    let house = House::open().await;
    let spec = PodSpec {
        id: "p1".into(),
        hostname: "web-0".into(),
        hosts: "10.1.2.3\talias\n".into(),
        resolv_conf: "nameserver 10.0.0.10\n".into(),
        share_pid: true,
        sysctls: [("net.ipv4.ip_unprivileged_port_start".to_owned(), "77".to_owned())].into(),
        ..PodSpec::default()
    };
    let pod = house.host().start_pod(spec).await.unwrap();
    let text = async |name: &str, argv: &[&str]| house.run(&pod, house.container(name, argv)).await.1;
    assert_eq!(text("a", &["fix", "host"]).await, "web-0\n");
    assert_eq!(text("b", &["fix", "cat", "/etc/resolv.conf"]).await, "nameserver 10.0.0.10\n");
    let hosts = text("c", &["fix", "cat", "/etc/hosts"]).await;
    let own = format!("{}\tweb-0\n10.1.2.3\talias\n", pod.address().unwrap());
    assert!(
        hosts.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
            && hosts.ends_with(&own),
        "{hosts}"
    );
    assert_eq!(text("d", &["fix", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"]).await, "77\n");
    text("e", &["fix", "write", "/dev/shm/x", "shared"]).await;
    assert_eq!(text("f", &["fix", "cat", "/dev/shm/x"]).await, "shared\n");
    assert_eq!(text("g", &["fix", "cat", "/proc/1/comm"]).await, "pause\n");
    // In a shared process namespace an end does not take the others along, and a kill reaches all of a container.
    pod.start_container(house.container("h", &["fix", "serve"])).await.unwrap();
    pod.start_container(house.container("i", &["fix", "stubborn"])).await.unwrap();
    pod.kill("i").await.unwrap();
    assert_eq!(code(&ended(&pod, "i").await), 137);
    assert!(matches!(record(&pod, "h").unwrap().state, ContainerState::Running { .. }));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_begins_with_a_fresh_layer() {
    let house = House::open().await;
    let pod = house.pod("p1").await;
    for attempt in 0..3 {
        let mut spec = house.container("a", &["fix", "write", "/data/x", "x"]);
        spec.attempt = attempt;
        house.run(&pod, spec).await;
    }
    let mut spec = house.container("a", &["fix", "cat", "/data/x"]);
    spec.attempt = 3;
    pod.start_container(spec).await.unwrap();
    wait_for("the last attempt", || {
        record(&pod, "a").filter(|r| r.attempt == 3 && matches!(r.state, ContainerState::Exited { .. }))
    })
    .await;
    assert!(house.logged("a").ends_with("/data/x: No such file or directory\n"));
    let layers = || std::fs::read_dir(house.dir.join("pods/p1/sandbox/layers")).unwrap().count();
    wait_for("the earlier layers to go", || (layers() == 1).then_some(())).await;
    house.close().await;
}
