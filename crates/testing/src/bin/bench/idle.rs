//! What the idle platform costs: resident memory of all its processes and CPU time over a minute, after the demo's load.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use testing::binary::Dory;

use crate::{Examples, row};

/// Long enough for leases, probes and keep-alives to show.
const WATCHED: Duration = Duration::from_secs(60);
/// The kernel counts process time in these (`sysconf(_SC_CLK_TCK)` is 100 on every Linux architecture dory runs on).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn run(dory: &Dory, _: &Examples) -> Result<()> {
    let pid = dory.pid()?;
    let before = ticks(pid)?;
    std::thread::sleep(WATCHED);
    let share = (ticks(pid)? - before) / TICKS_PER_SECOND / WATCHED.as_secs_f64() * 100.0;
    row::at_most("idle_cpu_percent_of_a_core", share, "%", 1.0);
    row::at_most("idle_resident_memory_mb", resident(dory)?, "MB", 80.0);
    Ok(())
}

fn ticks(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("an odd /proc/PID/stat")?;
    // utime and stime are the 14th and 15th fields; the name, which may hold spaces, was the 2nd.
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok(fields[11].parse::<f64>()? + fields[12].parse::<f64>()?)
}

/// The platform and its supervisors, which are the processes of the same binary; what pods use is theirs. Shared pages
/// are counted once, by proportional set size.
pub(crate) fn resident(dory: &Dory) -> Result<f64> {
    let own = fs::canonicalize(dory.binary())?;
    let mut kilobytes = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        if fs::read_link(path.join("exe")).is_ok_and(|exe| exe == own) && belongs(&path, dory) {
            let rollup = fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default();
            let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            let pss = pss.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
            kilobytes.insert(path, pss.unwrap_or(0.0));
        }
    }
    Ok(kilobytes.values().sum::<f64>() / 1000.0)
}

/// Another platform may run from the same binary: ours name our data directory on their command line.
fn belongs(process: &Path, dory: &Dory) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&*dory.data_dir().to_string_lossy())
}
