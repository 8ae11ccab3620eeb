//! Several layers as one tree: what an instance sees at `/opt`. A merged tree lies in the code store beside the archives
//! it is made of, under a name made of theirs, and takes no room: its files are links to those of the layers. Called by
//! the code store only.

use super::{CodeError, Codes, UNFINISHED};
use sigv4::hex_sha256;
use std::fs;
use std::io;
use std::path::Path;

/// The name of the tree that these layers make together: of one layer its own, of several a hash of all in order.
pub(crate) fn merged_name(layers: &[String]) -> Option<String> {
    match layers {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(hex_sha256(several.join("\n").as_bytes())),
    }
}

impl Codes {
    /// Makes the tree of these layers, once. Blocks. Later layers win over earlier ones.
    pub(crate) fn merge(&self, layers: &[String]) -> Result<(), CodeError> {
        let Some(name) = merged_name(layers) else { return Ok(()) };
        if self.task(&name).is_some() {
            return Ok(());
        }
        let unfinished = self.dir.join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()));
        let task = unfinished.join("task");
        fs::create_dir_all(&task)?;
        let laid = layers.iter().try_for_each(|layer| match self.task(layer) {
            Some(tree) => lay(&tree, &task),
            None => Err(io::Error::other(format!("the layer archive {layer} is not in the code store"))),
        });
        let renamed = laid.and_then(|()| fs::rename(&unfinished, self.dir.join(&name)));
        match renamed {
            Ok(()) => Ok(()),
            Err(error) => {
                // Best effort: the next start sweeps what could not be removed now.
                drop(fs::remove_dir_all(&unfinished));
                // Someone else has just made the same tree.
                if self.task(&name).is_some() { Ok(()) } else { Err(error.into()) }
            }
        }
    }

    /// What the files of an archive take when they are unpacked, in bytes. Blocks.
    pub(crate) fn unzipped_bytes(&self, sha256: &str) -> io::Result<u64> {
        self.task(sha256).map_or(Ok(0), |task| weigh(&task))
    }
}

/// Lays one tree over another: directories become one, everything else is replaced.
fn lay(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let there = fs::symlink_metadata(&target).ok();
        if entry.file_type()?.is_dir() {
            if !there.as_ref().is_some_and(fs::Metadata::is_dir) {
                if there.is_some() {
                    fs::remove_file(&target)?;
                }
                fs::create_dir(&target)?;
            }
            lay(&entry.path(), &target)?;
            continue;
        }
        match there {
            Some(meta) if meta.is_dir() => fs::remove_dir_all(&target)?,
            Some(_) => fs::remove_file(&target)?,
            None => {}
        }
        // Links to symbolic links are made of the link itself, not of what it leads to.
        fs::hard_link(entry.path(), &target)?;
    }
    Ok(())
}

fn weigh(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => weigh(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}
