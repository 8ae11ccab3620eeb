//! Function instances.
use crate::house::{House, LONG, fixture, wait_for};
use sandbox::{Exit, Instance, InstanceSpec, Mount, ProgramSpec, Reach};
use std::io::{Read, Write};
use std::path::PathBuf;

fn spec(id: &str, argv: &[&str]) -> InstanceSpec {
    let code: PathBuf = fixture().into();
    InstanceSpec {
        id: id.into(),
        argv: argv.iter().map(|word| word.to_string()).collect(),
        env: vec![("PATH".into(), "/var/task:/usr/bin:/bin".into())],
        cwd: "/var/task".into(),
        mounts: vec![Mount::bind(code, "/var/task/fix", true)],
        memory_bytes: 64 << 20,
        tmp_bytes: 4 << 20,
        reach: Reach::Nothing,
        ..InstanceSpec::default()
    }
}

async fn said(instance: &Instance) -> (Exit, String) {
    let logs = instance.take_logs().unwrap();
    let exit = tokio::time::timeout(LONG, instance.wait()).await.unwrap();
    let mut text = String::new();
    std::fs::File::from(logs).read_to_string(&mut text).unwrap();
    (exit, text)
}

async fn run(house: &House, spec: InstanceSpec) -> (Exit, String) {
    said(&house.host().start_instance(spec).await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_shut_in() {
    let house = House::open().await;
    let check = async |id: &str, argv: &[&str], expected: &str| {
        let (exit, text) = run(&house, spec(id, argv)).await;
        assert_eq!((exit.code, text.as_str()), (0, expected), "{argv:?}");
    };
    check("id", &["fix", "id"], "uid=993 gid=990 groups=\n").await;
    check("cwd", &["fix", "cwd"], "/var/task\n").await;
    check("ptrace", &["fix", "try", "ptrace"], "ptrace: Operation not permitted\n").await;
    check("mount", &["fix", "try", "mount"], "mount: Operation not permitted\n").await;
    check("unshare", &["fix", "try", "unshare"], "unshare: Operation not permitted\n").await;
    check("setuid", &["fix", "try", "setuid"], "setuid: Operation not permitted\n").await;
    check("packet", &["fix", "try", "packet"], "packet: Operation not permitted\n").await;
    check("root", &["fix", "write", "/var/task/x", "y"], "write: Read-only file system\n").await;
    check("tmp", &["fix", "write", "/tmp/x", "y"], "write: ok\n").await;
    check("home", &["fix", "list", "/root"], "/root: No such file or directory\n").await;
    check("shadow", &["fix", "cat", "/etc/shadow"], "/etc/shadow: No such file or directory\n").await;
    check("masked", &["fix", "cat", "/proc/interrupts"], "").await;
    check("hostname", &["fix", "cat", "/proc/sys/kernel/hostname"], "169.254.1.1\n").await;
    let (_, status) = run(&house, spec("status", &["fix", "cat", "/proc/self/status"])).await;
    for line in [
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Pid:\t1\n",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let (_, map) = run(&house, spec("map", &["fix", "cat", "/proc/self/uid_map"])).await;
    let map: Vec<u64> = map.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(map[0] == 0 && map[1] >= 0x4000_0000 && map[2] == 65536, "{map:?}");
    let (_, groups) = run(&house, spec("groups", &["fix", "cat", "/proc/self/cgroup"])).await;
    assert!(!groups.contains("dory-"), "{groups}");
    // `policy` is the 41st field of proc_pid_stat(5), and 3 is SCHED_BATCH.
    let (_, stat) = run(&house, spec("policy", &["fix", "cat", "/proc/self/stat"])).await;
    let policy = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(38));
    assert_eq!(policy, Some("3"), "{stat}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_are_told() {
    let house = House::open().await;
    let greedy = house.host().start_instance(spec("greedy", &["fix", "eat", "200"])).await.unwrap();
    let exit = greedy.wait().await;
    assert!(exit.oom && exit.code == 137, "{exit:?}");
    assert!(greedy.memory_peak_bytes() > 60 << 20, "{}", greedy.memory_peak_bytes());
    let few = InstanceSpec { pids_max: Some(5), ..spec("forks", &["fix", "forks", "50"]) };
    let (_, text) = run(&house, few).await;
    assert_eq!(text, "forks: 4\n");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_is_inside() {
    let house = House::open().await;
    let spec = InstanceSpec { api_port: Some(9001), ..spec("api", &["fix", "connect", "9001"]) };
    let instance = house.host().start_instance(spec).await.unwrap();
    let listener = instance.take_listener().unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(tokio::time::timeout(LONG, heard).await.unwrap().unwrap(), "hello\n");
    assert_eq!(instance.wait().await.code, 0);
    assert!(instance.take_listener().is_none());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_are_handed_over_and_nothing_else() {
    let house = House::open().await;
    let piped = InstanceSpec { connected: true, ..spec("piped", &["fix", "handed"]) };
    let instance = house.host().start_instance(piped).await.unwrap();
    let pipes = instance.take_pipes().unwrap();
    assert!(instance.take_pipes().is_none());
    std::fs::File::from(pipes.writer).write_all(b"there and back").unwrap();
    let (exit, text) = said(&instance).await;
    assert_eq!((exit.code, text.as_str()), (0, "0 1 2 3 4 \n"));
    let mut back = String::new();
    std::fs::File::from(pipes.reader).read_to_string(&mut back).unwrap();
    assert_eq!(back, "there and back");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_thawed_and_killed() {
    let house = House::open().await;
    let instance = house.host().start_instance(spec("count", &["fix", "count"])).await.unwrap();
    let mut logs = std::fs::File::from(instance.take_logs().unwrap());
    let mut some = [0; 4];
    logs.read_exact(&mut some).unwrap();
    instance.freeze().unwrap();
    let frozen = || {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", instance.pid())).ok()?;
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
        let trees = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        let events = trees
            .iter()
            .find_map(|tree| std::fs::read_to_string(format!("{tree}{path}/cgroup.events")).ok())?;
        events.contains("frozen 1").then_some(())
    };
    wait_for("the freezer", frozen).await;
    instance.thaw().unwrap();
    logs.read_exact(&mut some).unwrap();
    instance.freeze().unwrap();
    instance.kill().await;
    assert_eq!(instance.wait().await.signal, Some(9));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_told() {
    let house = House::open().await;
    let error = house.host().start_instance(spec("none", &["/var/task/bootstrap"])).await.err().unwrap();
    let text = "exec: \"/var/task/bootstrap\": stat /var/task/bootstrap: no such file or directory";
    assert_eq!(error.to_string(), text);
    let again = house.host().start_instance(spec("none", &["fix", "serve"])).await.unwrap();
    let twice = house.host().start_instance(spec("none", &["fix", "serve"])).await.err().unwrap();
    assert_eq!(twice.to_string(), "\"none\" exists already");
    let pid = again.pid();
    drop(again);
    wait_for("the dropped instance to die", || (!alive(pid)).then_some(())).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_spawner_takes_its_instances_along_and_comes_back() {
    let house = House::open().await;
    let instance = house.host().start_instance(spec("a", &["fix", "serve"])).await.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.pid())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(parent).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(tokio::time::timeout(LONG, instance.wait()).await.unwrap().code, 137);
    wait_for("the instance to die", || (!alive(instance.pid())).then_some(())).await;
    assert_eq!(run(&house, spec("b", &["fix", "say", "again"])).await.1, "again\n");
    house.close().await;
}

pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_a_held_instance_are_shut_in_together() {
    let house = House::open().await;
    let held = InstanceSpec { held: true, ..spec("held", &["not used"]) };
    let instance = house.host().start_instance(held).await.unwrap();
    let run = async |argv: &[&str]| {
        let argv = argv.iter().map(|word| word.to_string()).collect();
        let env = vec![("PATH".into(), "/var/task:/usr/bin:/bin".into())];
        let program = instance.run(ProgramSpec { argv, env, cwd: "/".into() }).await.unwrap();
        let output = program.take_output().unwrap();
        (program, output)
    };
    let said = async |argv: &[&str]| {
        let (program, output) = run(argv).await;
        let exit = tokio::time::timeout(LONG, program.wait()).await.unwrap();
        let mut text = String::new();
        std::fs::File::from(output).read_to_string(&mut text).unwrap();
        (exit.code, text)
    };
    assert_eq!(said(&["fix", "id"]).await, (0, "uid=993 gid=990 groups=\n".into()));
    assert_eq!(said(&["fix", "write", "/tmp/x", "y"]).await.1, "write: ok\n");
    assert_eq!(said(&["fix", "cat", "/tmp/x"]).await.1, "y", "they share their files");
    assert_eq!(said(&["fix", "try", "mount"]).await.1, "mount: Operation not permitted\n");
    let (_, status) = said(&["fix", "cat", "/proc/self/status"]).await;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let first = said(&["fix", "cat", "/proc/1/environ"]).await;
    assert_eq!(first.1, "/proc/1/environ: Permission denied\n", "the first process is not theirs");
    assert!(instance.run(ProgramSpec { argv: vec!["nothing".into()], ..Default::default() }).await.is_err());
    let (program, _output) = run(&["sleep", "1000"]).await;
    let (killed, _other) = run(&["sleep", "1000"]).await;
    program.signal(15).await;
    assert_eq!(tokio::time::timeout(LONG, program.wait()).await.unwrap().signal, Some(15));
    instance.kill().await;
    assert_eq!(tokio::time::timeout(LONG, killed.wait()).await.unwrap().signal, Some(9));
    house.close().await;
}
