//! The directories of volumes, one for each, in a directory that only the platform can enter. What is to go is renamed first:
//! a removal that is broken off is finished later, and never leaves half a volume under its name.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Whoever the containers run as may write, as in an emptyDir; nobody else comes this far.
const MODE: u32 = 0o777;
/// What is on its way out begins with this; no volume is called so.
const LEAVING: &str = "..leaving-";

/// The directory of all volumes of a node.
#[derive(Clone, Debug)]
pub(crate) struct Directories(PathBuf);

impl Directories {
    /// Makes it where it is missing.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Directories> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Directories(dir))
    }

    /// Where a volume lies.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a volume's directory; one that is there already stays as it is. It is on the disk when this returns.
    pub(super) fn make(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        fs::set_permissions(&path, Permissions::from_mode(MODE))?;
        File::open(&self.0)?.sync_all()?;
        Ok(path)
    }

    /// Removes a volume and all that is on it.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let leaving = self.0.join(format!("{LEAVING}{name}"));
        match fs::rename(self.path(name), &leaving) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        forget(&leaving)
    }

    /// Finishes removals that were broken off, and takes away directories that were made for a volume that never came to
    /// be: those are empty. What holds data stays.
    pub(super) fn sweep(&self, known: &BTreeSet<String>) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let done = if name.starts_with(LEAVING) {
                forget(&entry.path())
            } else if known.contains(&name) {
                Ok(())
            } else {
                // Fails for one that is not empty, which is meant.
                fs::remove_dir(entry.path()).or(Ok(()))
            };
            if let Err(error) = done {
                tracing::warn!(volume = name, %error, "failed to remove a volume that is not wanted any more");
            }
        }
    }
}

fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_kept_and_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let directories = Directories::open(dir.path().join("volumes")).expect("made");
        let path = directories.make("one").expect("made");
        fs::write(path.join("file"), "x").expect("written");
        assert_eq!(directories.make("one").expect("there"), path);
        assert!(path.join("file").exists());
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&dir.path().join("volumes"))), (0o777, 0o700));
        // A platform that ended in the middle of things.
        directories.make("never").expect("made");
        fs::create_dir_all(dir.path().join("volumes/..leaving-two/x")).expect("made");
        directories.sweep(&BTreeSet::new());
        let left: Vec<_> = fs::read_dir(dir.path().join("volumes"))
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(left, ["one"]);
        directories.remove("one").expect("removed");
        directories.remove("one").expect("removed before");
        assert!(!path.exists());
    }
}
