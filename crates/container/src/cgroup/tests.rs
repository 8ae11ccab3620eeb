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
