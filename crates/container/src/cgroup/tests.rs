//! Control groups on the host that the tests run on, and the layouts of other hosts as text.
use super::*;
use std::sync::Arc;

const HYBRID: &str = "\
30 22 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
34 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

#[test]
fn hybrid_layout() {
    let found = Hierarchy::parse(HYBRID);
    assert!(found.has(Controller::Cpu) && found.has(Controller::Memory) && !found.has(Controller::Pids));
    let trees: Vec<_> = found.trees().map(|t| t.display().to_string()).collect();
    // One entry for the joined controllers, and no v1 freezer beside a v2 tree.
    assert_eq!(trees, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"]);
}

#[test]
fn pure_v2_layout() {
    let found = Hierarchy::parse("30 22 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw");
    assert_eq!(found.v2.as_deref(), Some(std::path::Path::new("/sys/fs/cgroup")));
    assert!(found.v1.is_empty() && found.has(Controller::Freezer));
}

#[test]
fn kubernetes_arithmetic() {
    assert_eq!(cpu_quota_micros(500), 50_000);
    assert_eq!(cpu_quota_micros(1), 1_000);
    assert_eq!((cpu_weight(2), cpu_weight(1024), cpu_weight(262_144)), (1, 39, 10_000));
}

#[test]
fn a_group_lives_limits_counts_and_goes() {
    let hierarchy = Arc::new(Hierarchy::detect().unwrap());
    let group = hierarchy.group(&format!("dory-test-{}", std::process::id()));
    let leaf = group.child("leaf");
    group.create_parent().unwrap();
    leaf.create().unwrap();
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        cpu_shares: Some(512),
        cpu_millis: Some(250),
        pids_max: Some(9),
    };
    leaf.limit(&limits).unwrap();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let guard = Cleanup(group.clone());
    leaf.attach(child.id()).unwrap();
    assert_eq!(leaf.processes(), [child.id()]);
    assert!(leaf.usage().pids == 1 || !hierarchy.has(Controller::Pids));
    leaf.freeze(true).unwrap();
    leaf.freeze(false).unwrap();
    assert_eq!(leaf.oom_kills(), 0);
    group.kill();
    assert!(!child.wait().unwrap().success());
    drop(guard);
    assert!(!group.exists());
}

/// Removes the group also when the test fails.
struct Cleanup(Group);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

/// A tree of plain files in the shape of a v2 host's: what the kernel would show is written, what it would be told is read.
struct Unified {
    root: tempfile::TempDir,
    group: Group,
}

impl Unified {
    fn new() -> Unified {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        let mounted = format!("30 22 0:25 / {} rw,nosuid - cgroup2 cgroup2 rw", root.path().display());
        let group = Arc::new(Hierarchy::of(&mounted)).group("dory/one");
        group.create().unwrap();
        let files =
            ["memory.max", "memory.high", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max"];
        let made = Unified { root, group };
        files.iter().for_each(|file| made.show(file, "max"));
        made
    }

    fn show(&self, file: &str, text: &str) {
        std::fs::write(self.root.path().join("dory/one").join(file), text).unwrap();
    }

    fn told(&self, file: &str) -> String {
        std::fs::read_to_string(self.root.path().join("dory/one").join(file)).unwrap()
    }
}

#[test]
fn a_v2_group_is_limited() {
    let tree = Unified::new();
    let limits =
        Limits { memory_bytes: Some(1 << 20), cpu_millis: Some(1500), pids_max: Some(9), cpu_shares: None };
    // Files keep the end of what was longer before, which the kernel's do not.
    ["memory.max", "cpu.max", "pids.max"].iter().for_each(|file| tree.show(file, ""));
    tree.group.limit(&limits).unwrap();
    assert_eq!((tree.told("memory.max"), tree.told("pids.max")), ("1048576".into(), "9".into()));
    assert_eq!(tree.told("cpu.max"), "150000 100000");
    assert!(tree.told("memory.swap.max").starts_with('0') && tree.told("memory.oom.group").starts_with('1'));
}

#[test]
fn a_v2_group_tells_what_its_memory_is() {
    let tree = Unified::new();
    tree.show("memory.current", "9000000\n");
    tree.show("memory.peak", "9500000\n");
    tree.show("memory.events", "low 0\nhigh 3\nmax 1\noom 1\noom_kill 2\n");
    let stat = "anon 3000000\nfile 5000000\nkernel 700000\nshmem 1000000\ninactive_file 4000000\nslab_reclaimable 200000\n";
    tree.show("memory.stat", stat);
    assert_eq!(tree.group.memory(), Some(Memory { own_bytes: 3_500_000, files_bytes: 1_000_000 }));
    let usage = tree.group.usage();
    assert_eq!((usage.memory_bytes, usage.memory_working_set_bytes), (9_000_000, 5_000_000));
    assert_eq!((tree.group.memory_peak().read(), tree.group.oom_kills()), (9_500_000, 2));
}

#[test]
fn a_v2_group_is_watched_by_its_soft_limit() {
    let tree = Unified::new();
    tree.show("memory.current", "5000000\n");
    tree.show("memory.events", "high 0\n");
    tree.show("memory.high", "");
    let changed = tree.group.watch_memory(1_000_000).unwrap();
    assert_eq!(tree.told("memory.high"), "6000000");
    let is_told = || {
        let mut fds = [rustix::event::PollFd::new(&changed, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).unwrap() == 1
    };
    assert!(!is_told());
    tree.show("memory.stat", "anon 6500000\n");
    assert!(!is_told(), "other files do not matter");
    tree.show("memory.events", "high 1\n");
    assert!(is_told());
    std::fs::remove_file(tree.root.path().join("dory/one/memory.high")).unwrap();
    assert!(tree.group.watch_memory(1).is_err(), "a kernel without it is told apart");
}
