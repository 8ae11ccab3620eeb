//! What earlier processes of the same owner left: dead instances and their control groups at opening, everything at
//! closing. Pods whose supervisor lives are never touched.
use super::Shared;
use crate::Error;
use std::path::PathBuf;

/// At opening: instances never outlive dory, so what is in their groups is dead or about to be.
pub(super) fn open(shared: &Shared) -> Result<(), Error> {
    shared.instances_group().remove().map_err(Error::io("removing dead instances"))?;
    let ids: Vec<String> = pod_dirs(shared).into_iter().map(|(id, _)| id).collect();
    for group in shared.pods_group().below() {
        let id = group.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // A pod that was being removed: its directory has gone first.
        if !ids.contains(&id) {
            group.remove().map_err(Error::io(format!("removing the control groups of pod {id}")))?;
        }
    }
    Ok(())
}

/// Directories of pods, by id.
pub(super) fn pod_dirs(shared: &Shared) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(shared.pods_dir()) else { return Vec::new() };
    let dirs = entries
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join("sandbox")));
    let mut found: Vec<_> = dirs.filter(|(_, dir)| dir.join("pod.json").exists()).collect();
    found.sort();
    found
}

/// At closing: the group of instances, and with `remove` the owner's whole group.
pub(super) fn close(shared: &Shared, remove: bool) -> Result<(), Error> {
    let group = if remove { shared.group.clone() } else { shared.instances_group() };
    group.remove().map_err(Error::io("removing control groups"))
}
