//! Which process has a layer mounted, if any: taking away a lower directory of a live overlay breaks its container.
//! Reads the mounts of every mount namespace, so it needs no cooperation and survives restarts.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;

use super::digest::Digest;

/// A process that has one of these layers mounted.
pub(crate) struct Use {
    pub pid: u32,
    pub layer: Digest,
}

/// Every layer among `layers` that is mounted somewhere.
pub(crate) fn in_use(layers: &BTreeSet<Digest>) -> Vec<Use> {
    let mut uses = Vec::new();
    if layers.is_empty() {
        return uses;
    }
    let mut namespaces: HashSet<PathBuf> = HashSet::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        // Processes come and go while this looks: those that are gone use nothing.
        let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/mnt")) else { continue };
        if !namespaces.insert(namespace) {
            continue;
        }
        let Ok(mounts) = fs::read_to_string(format!("/proc/{pid}/mountinfo")) else { continue };
        let overlays: Vec<&str> = mounts.lines().filter(|line| line.contains(" - overlay ")).collect();
        let mounted = |layer: &&Digest| overlays.iter().any(|line| line.contains(layer.hex()));
        uses.extend(layers.iter().filter(mounted).map(|layer| Use { pid, layer: layer.clone() }));
    }
    uses
}
