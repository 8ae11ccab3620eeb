//! Facts about the machine, read from /proc and /etc.

use std::fs;
use std::path::Path;

/// What the Node object says of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) cpus: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) disk_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) os_image: String,
    pub(crate) machine_id: String,
    pub(crate) boot_id: String,
}

impl Machine {
    /// Reads the facts; what cannot be read is left empty. `dir` tells which disk counts.
    pub(crate) fn read(dir: &Path) -> Machine {
        let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let disk = rustix::fs::statvfs(dir).map_or(0, |stat| stat.f_blocks * stat.f_frsize);
        Machine {
            cpus: i64::try_from(cpus).unwrap_or(1),
            memory_bytes: memory_bytes(&line("/proc/meminfo")),
            disk_bytes: disk,
            kernel: line("/proc/sys/kernel/osrelease"),
            os_image: os_image(&line("/etc/os-release")),
            machine_id: line("/etc/machine-id"),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
        }
    }
}

/// `MemTotal` of /proc/meminfo, which counts in KiB.
fn memory_bytes(meminfo: &str) -> i64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse::<i64>().ok());
    kib.map_or(0, |kib| kib * 1024)
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there() {
        assert_eq!(memory_bytes("MemTotal:        2048 kB\nMemFree: 1 kB"), 2 << 20);
        assert_eq!(os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\""), "Debian GNU/Linux 12");
        let here = Machine::read(Path::new("/"));
        assert!(here.cpus > 0 && here.memory_bytes > 0 && here.disk_bytes > 0);
    }
}
