//! A volume that a claim stands for: a directory of this machine that outlives the pod. What was found out is kept in a file
//! where other volumes have their directory, so that containers that start later, and a platform that starts again, need not
//! ask; nothing of the volume itself lies there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{group, host_path};

/// Where the volume lies and how it is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claimed {
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    /// For a hostPath its type; a local volume has none and must be there.
    host_path_type: Option<String>,
}

impl Claimed {
    /// Reads a PersistentVolume; a claim that is mounted read-only is `read_only`.
    pub(crate) fn of(volume: &Value, read_only: bool) -> Result<Claimed, String> {
        let spec = &volume["spec"];
        let made = |path: &Value, host_path_type: Option<&Value>| Claimed {
            path: path.as_str().unwrap_or_default().into(),
            read_only,
            host_path_type: host_path_type.map(|kind| kind.as_str().unwrap_or_default().to_owned()),
        };
        if spec["local"].is_object() {
            Ok(made(&spec["local"]["path"], None))
        } else if spec["hostPath"].is_object() {
            Ok(made(&spec["hostPath"]["path"], Some(&spec["hostPath"]["type"])))
        } else {
            Err("its PersistentVolume is neither local nor hostPath".to_owned())
        }
    }

    /// Checks that the volume is there, gives it to the pod's group, and keeps where it is in `file`.
    pub(super) fn set_up(&self, file: &Path, owner: Option<&group::Group>) -> Result<(), String> {
        match &self.host_path_type {
            Some(kind) => host_path::prepare(&self.path, kind)?,
            None => {
                let there = self.path.is_absolute() && self.path.exists();
                if !there {
                    return Err(format!("path \"{}\" does not exist", self.path.display()));
                }
                if let Some(owner) = owner.filter(|_| !self.read_only) {
                    owner.take(&self.path).map_err(|error| {
                        format!("failed to give {} to group {}: {error}", self.path.display(), owner.gid)
                    })?;
                }
            }
        }
        let text = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        write(file, &text).map_err(|error| format!("failed to write {}: {error}", file.display()))
    }

    /// What was kept, if anything was.
    pub(super) fn read(file: &Path) -> Option<Claimed> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }
}

/// Whole or not at all.
fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = file.with_extension("..new");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, file)
}
