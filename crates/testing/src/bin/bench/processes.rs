//! What the processes of a platform hold in memory, as the kernel tells it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::Result;
use testing::binary::Dory;

/// The platform and its supervisors, which are the processes of the same binary; what pods use is theirs. Shared pages
/// are counted once, by proportional set size.
pub(crate) fn resident(dory: &Dory) -> Result<f64> {
    let own = fs::canonicalize(dory.binary())?;
    let mut kilobytes = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        if fs::read_link(path.join("exe")).is_ok_and(|exe| exe == own) && belongs(&path, dory) {
            kilobytes.insert(path.clone(), share_kb(&path));
        }
    }
    Ok(kilobytes.values().sum::<f64>() / 1000.0)
}

/// Another platform may run from the same binary: ours name our data directory on their command line.
fn belongs(process: &Path, dory: &Dory) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&*dory.data_dir().to_string_lossy())
}

/// Interpreters that wait for a function, in MB.
pub(crate) fn booted(dory: &Dory) -> Result<f64> {
    let waiting = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("/var/runtime/waiting.")
    };
    let processes = descendants(dory.pid()?)?.into_iter().map(|pid| Path::new("/proc").join(pid.to_string()));
    Ok(processes.filter(|process| waiting(process)).map(|process| share_kb(&process)).sum::<f64>() / 1000.0)
}

/// What a process holds, shared pages divided among those who share them.
fn share_kb(process: &Path) -> f64 {
    let rollup = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    pss.and_then(|text| text.trim().trim_end_matches(" kB").trim().parse::<f64>().ok()).unwrap_or(0.0)
}

/// Every process below this one, by parent.
pub(crate) fn descendants(root: i32) -> Result<Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let (mut found, mut at) = (vec![root], 0);
    while at < found.len() {
        found.extend(children.remove(&found[at]).unwrap_or_default());
        at += 1;
    }
    Ok(found)
}
