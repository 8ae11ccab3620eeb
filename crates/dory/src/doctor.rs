//! `dory doctor`: what this host offers, what it lacks, and the command that mends it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::Environment;
use crate::data_dir::DataDir;

/// One thing looked at.
struct Check {
    what: String,
    /// What to do, when something is missing.
    fix: Option<String>,
    /// Whether `dory up` works without it.
    needed: bool,
}

impl Check {
    fn needed(what: &str, fine: bool, fix: &str) -> Check {
        Check { what: what.to_owned(), fix: (!fine).then(|| fix.to_owned()), needed: true }
    }

    fn optional(what: String, fix: Option<String>) -> Check {
        Check { what, fix, needed: false }
    }
}

pub fn run(data: &DataDir, environment: &Environment) -> Result<()> {
    let mut checks = vec![Check::needed("root", environment.root, "run dory as root: `sudo dory up`")];
    checks.extend(kernel());
    if environment.root {
        checks.extend(net::check().into_iter().map(|finding| Check {
            what: finding.what,
            fix: Some(finding.fix),
            needed: finding.fatal,
        }));
    }
    checks.push(space(data));
    checks.extend(interpreters(environment));
    for check in &checks {
        match (&check.fix, check.needed) {
            (None, _) => println!("  ok       {}", check.what),
            (Some(fix), true) => println!("  MISSING  {}: {fix}", check.what),
            (Some(fix), false) => println!("  absent   {}: {fix}", check.what),
        }
    }
    let missing = checks.iter().filter(|check| check.needed && check.fix.is_some()).count();
    if missing > 0 {
        bail!("{missing} needed things are missing; `dory up` will not work until they are there");
    }
    println!("this host can run dory");
    Ok(())
}

fn kernel() -> Vec<Check> {
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has = |name: &str| filesystems.split_whitespace().any(|word| word == name);
    let namespaces = ["mnt", "net", "pid", "ipc", "uts", "user", "cgroup"];
    let missing: Vec<_> =
        namespaces.iter().filter(|name| !Path::new("/proc/self/ns").join(name).exists()).collect();
    let users: u64 = read_number("/proc/sys/user/max_user_namespaces");
    let cgroups = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    vec![
        Check::needed("overlayfs", has("overlay"), "load it: `modprobe overlay`"),
        Check::needed(
            "namespaces",
            missing.is_empty() && users > 0,
            "use a kernel with all namespaces, and set `sysctl user.max_user_namespaces=65536`",
        ),
        Check::needed(
            "control groups",
            cgroups.contains(" - cgroup2 ") || cgroups.contains(" - cgroup "),
            "mount them: `mount -t cgroup2 none /sys/fs/cgroup`",
        ),
        Check::needed(
            "seccomp filters",
            Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
            "use a kernel built with CONFIG_SECCOMP_FILTER",
        ),
    ]
}

fn read_number(path: &str) -> u64 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Images, logs and the state share the data directory's file system.
fn space(data: &DataDir) -> Check {
    const WANTED_BYTES: u64 = 1_000_000_000;
    let existing = data.path().ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let free = rustix::fs::statvfs(existing).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    let what = format!("{} free for {}", cli::format_bytes(free), data.path().display());
    Check::optional(what, (free < WANTED_BYTES).then(|| "make room, or name another --data-dir".to_owned()))
}

fn interpreters(environment: &Environment) -> Vec<Check> {
    let found =
        |program: &str| environment.path.iter().map(|dir| dir.join(program)).find(|path| path.is_file());
    let check = |program: &str, runtimes: &str| match found(program) {
        Some(path) => {
            let version = Command::new(&path).arg("--version").output();
            let version = version.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
            Check::optional(format!("{} {}", path.display(), version.unwrap_or_default()), None)
        }
        None => Check::optional(program.to_owned(), Some(format!("install it to run {runtimes} functions"))),
    };
    vec![check("node", "nodejs20.x, nodejs22.x and nodejs24.x"), check("python3", "python3.11 to python3.14")]
}
