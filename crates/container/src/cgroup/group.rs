//! One control group: the same path in every tree of the hierarchy.
use super::hierarchy::Tree;
use super::{CPU_PERIOD_MICROS, Controller, Gauge, Hierarchy, Limits, Usage, cpu_quota_micros, cpu_weight};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a killed group may take until it is empty. Killed processes end in microseconds; a process in an
/// uninterruptible wait on a disk can take longer.
const EMPTY_WAIT_MAX: Duration = Duration::from_secs(5);

/// One control group: the same path in every tree of the hierarchy.
#[derive(Debug, Clone)]
pub struct Group {
    hierarchy: Arc<Hierarchy>,
    path: PathBuf,
}

impl Group {
    pub(super) fn new(hierarchy: Arc<Hierarchy>, path: &str) -> Group {
        Group { hierarchy, path: PathBuf::from(path) }
    }

    /// A group below this one.
    pub fn child(&self, name: &str) -> Group {
        Group { hierarchy: self.hierarchy.clone(), path: self.path.join(name) }
    }

    /// Its path below the roots.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, and what is above it. Fine when it exists.
    pub fn create(&self) -> io::Result<()> {
        for tree in self.hierarchy.trees() {
            match fs::create_dir(tree.join(&self.path)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir_all(tree.join(&self.path))?,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Makes it, with limits enforceable on groups below it. Such a group holds no processes itself.
    pub fn create_parent(&self) -> io::Result<()> {
        self.create()?;
        self.hierarchy.enable(&self.path)
    }

    /// Sets what is limited; `None` leaves the kernel's default (no limit).
    pub fn limit(&self, limits: &Limits) -> io::Result<()> {
        if let Some(bytes) = limits.memory_bytes {
            self.limit_memory(bytes)?;
        }
        if let Some(shares) = limits.cpu_shares {
            match self.dir(Controller::Cpu) {
                Some((dir, false)) => write(&dir, "cpu.shares", shares.max(2))?,
                Some((dir, true)) => write(&dir, "cpu.weight", cpu_weight(shares))?,
                None => {}
            }
        }
        if let Some(millis) = limits.cpu_millis {
            let quota = cpu_quota_micros(millis);
            match self.dir(Controller::Cpu) {
                Some((dir, false)) => {
                    write(&dir, "cpu.cfs_period_us", CPU_PERIOD_MICROS)?;
                    write(&dir, "cpu.cfs_quota_us", quota)?;
                }
                Some((dir, true)) => write(&dir, "cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"))?,
                None => {}
            }
        }
        match (limits.pids_max, self.dir(Controller::Pids)) {
            (Some(max), Some((dir, _))) => write(&dir, "pids.max", max),
            _ => Ok(()),
        }
    }

    fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        match self.dir(Controller::Memory) {
            Some((dir, false)) => {
                write(&dir, "memory.limit_in_bytes", bytes)?;
                // Absent when the kernel does not account swap: then there is none to limit.
                let _ = write(&dir, "memory.memsw.limit_in_bytes", bytes);
                Ok(())
            }
            Some((dir, true)) => {
                write(&dir, "memory.max", bytes)?;
                let _ = write(&dir, "memory.swap.max", 0);
                // As the kubelet does: a container that ran out of memory ends as a whole.
                let _ = write(&dir, "memory.oom.group", 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Moves a process in, in every tree.
    pub fn attach(&self, pid: u32) -> io::Result<()> {
        for tree in self.hierarchy.trees() {
            write(&tree.join(&self.path), "cgroup.procs", pid)?;
        }
        Ok(())
    }

    /// Moves the calling process in, in the v1 trees; in the v2 tree it was born already. Only for processes with one
    /// thread. Writing `0` to `tasks` is the one move for which the kernel does not stop all forks of the machine and
    /// wait for a grace period of RCU, which takes 10 ms and more.
    pub(crate) fn enter_v1(&self) -> io::Result<()> {
        for tree in self.hierarchy.trees().filter(|tree| Some(*tree) != self.hierarchy.v2.as_deref()) {
            write(&tree.join(&self.path), "tasks", 0)?;
        }
        Ok(())
    }

    /// Makes only the v2 part.
    pub fn create_v2(&self) -> io::Result<()> {
        self.hierarchy.v2.as_deref().map_or(Ok(()), |root| fs::create_dir_all(root.join(&self.path)))
    }

    /// The v2 directory, to clone a process into it; `None` without a v2 tree.
    pub fn open_v2(&self) -> io::Result<Option<OwnedFd>> {
        let Some(root) = &self.hierarchy.v2 else { return Ok(None) };
        Ok(Some(fs::File::open(root.join(&self.path))?.into()))
    }

    /// Its directory in each tree, with the name under which a container sees that tree in `/sys/fs/cgroup`
    /// (empty for a pure v2 host).
    pub fn directories(&self) -> Vec<(String, PathBuf)> {
        let name = |tree: &Path| match self.hierarchy.v1.is_empty() {
            true => String::new(),
            false => tree.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        };
        self.hierarchy.trees().map(|tree| (name(tree), tree.join(&self.path))).collect()
    }

    /// Every process in it (not below it).
    pub fn processes(&self) -> Vec<u32> {
        let Some(tree) = self.hierarchy.v2.as_deref().or_else(|| self.hierarchy.trees().next()) else {
            return Vec::new();
        };
        let text = fs::read_to_string(tree.join(&self.path).join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Kills every process in it and below it. Does not wait.
    pub fn kill(&self) {
        let v2 = self.hierarchy.v2.as_deref().map(|root| root.join(&self.path));
        if v2.is_some_and(|dir| write(&dir, "cgroup.kill", 1).is_ok()) {
            return;
        }
        for group in self.below() {
            group.kill();
        }
        for pid in self.processes() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        // A frozen process of v1 dies only once it is thawed.
        let _ = self.freeze(false);
    }

    /// Stops all its processes where they are, or lets them go on.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        match self.dir(Controller::Freezer) {
            Some((dir, true)) => write(&dir, "cgroup.freeze", u8::from(frozen)),
            Some((dir, false)) => write(&dir, "freezer.state", if frozen { "FROZEN" } else { "THAWED" }),
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "no control group freezer on this host")),
        }
    }

    /// What it uses now.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        match self.dir(Controller::CpuAccount) {
            Some((dir, false)) => usage.cpu_nanos = number(&dir, "cpuacct.usage"),
            Some((dir, true)) => usage.cpu_nanos = field(&dir, "cpu.stat", "usage_usec") * 1000,
            None => {}
        }
        if let Some((dir, v2)) = self.dir(Controller::Memory) {
            let (current, inactive, rss) = match v2 {
                true => ("memory.current", "inactive_file", "anon"),
                false => ("memory.usage_in_bytes", "total_inactive_file", "total_rss"),
            };
            usage.memory_bytes = number(&dir, current);
            usage.memory_working_set_bytes =
                usage.memory_bytes.saturating_sub(field(&dir, "memory.stat", inactive));
            usage.memory_rss_bytes = field(&dir, "memory.stat", rss);
        }
        if let Some((dir, _)) = self.dir(Controller::Pids) {
            usage.pids = number(&dir, "pids.current");
        }
        usage
    }

    /// The most memory it ever used, in bytes, to be asked again and again.
    pub fn memory_peak(&self) -> Gauge {
        match self.dir(Controller::Memory) {
            Some((dir, false)) => Gauge::open(&dir.join("memory.max_usage_in_bytes")),
            Some((dir, true)) => Gauge::open(&dir.join("memory.peak")),
            None => Gauge::default(),
        }
    }

    /// How many of its processes the kernel has killed for lack of memory.
    pub fn oom_kills(&self) -> u64 {
        match self.dir(Controller::Memory) {
            Some((dir, false)) => field(&dir, "memory.oom_control", "oom_kill"),
            Some((dir, true)) => field(&dir, "memory.events", "oom_kill"),
            None => 0,
        }
    }

    /// The groups directly below it.
    pub fn below(&self) -> Vec<Group> {
        let mut names: Vec<String> = Vec::new();
        for tree in self.hierarchy.trees() {
            let Ok(entries) = fs::read_dir(tree.join(&self.path)) else { continue };
            for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        names.dedup();
        names.iter().map(|name| self.child(name)).collect()
    }

    /// Whether it exists in any tree.
    pub fn exists(&self) -> bool {
        self.hierarchy.trees().any(|tree| tree.join(&self.path).exists())
    }

    /// Kills what is in it, waits until it is empty, and removes it with everything below.
    pub fn remove(&self) -> io::Result<()> {
        if !self.exists() {
            return Ok(());
        }
        self.kill();
        for group in self.below() {
            group.remove()?;
        }
        let end = Instant::now() + EMPTY_WAIT_MAX;
        for tree in self.hierarchy.trees() {
            loop {
                match fs::remove_dir(tree.join(&self.path)) {
                    Ok(()) => break,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                    // Busy: a killed process is still leaving. The kernel offers no event for v1.
                    Err(e) if Instant::now() > end => return Err(e),
                    Err(_) => std::thread::sleep(Duration::from_micros(500)),
                }
            }
        }
        Ok(())
    }

    /// The directory with this controller's files, and whether it is in the v2 tree.
    pub(super) fn dir(&self, controller: Controller) -> Option<(PathBuf, bool)> {
        match self.hierarchy.tree(controller)? {
            Tree::V1(root) => Some((root.join(&self.path), false)),
            Tree::V2(root) => Some((root.join(&self.path), true)),
        }
    }
}

pub(super) fn write(dir: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let path = dir.join(file);
    // Without O_CREAT: a file that the kernel does not offer must not turn into an odd "permission denied".
    let mut open = fs::OpenOptions::new().write(true).open(&path)?;
    io::Write::write_all(&mut open, value.to_string().as_bytes())
}

pub(super) fn number(dir: &Path, file: &str) -> u64 {
    fs::read_to_string(dir.join(file)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

pub(super) fn field(dir: &Path, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
