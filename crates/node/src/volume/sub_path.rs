//! subPath mounts: a path below a volume that no symlink a container planted can lead out of. The kernel walks it with
//! `RESOLVE_IN_ROOT`, and what came out is bound to a place of the node's own, so that nothing can be swapped between
//! the walk and the container's mount.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, open, openat2};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

/// The mode of directories made for a subPath that does not exist; upstream's.
const MADE: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP);
/// Tells the places of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A place below a volume, bound where nobody else can reach it until the container has its own mount of it.
#[derive(Debug)]
pub(crate) struct Held(PathBuf);

impl Held {
    pub(crate) fn source(&self) -> &Path {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        // One of the two is what it is; a place that is still mounted is neither.
        let _ = fs::remove_dir(&self.0).or_else(|_| fs::remove_file(&self.0));
    }
}

/// Binds `sub` below `root` to a fresh place in `dir`; missing directories of `sub` are made.
pub(crate) fn hold(root: &Path, sub: &str, dir: &Path) -> io::Result<Held> {
    let found = walk(root, sub)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let place = dir.join(format!("..sub-{}-{number}", std::process::id()));
    let kind = FileType::from_raw_mode(fstat(&found)?.st_mode);
    if kind == FileType::Directory {
        fs::create_dir(&place)?;
    } else {
        fs::write(&place, "")?;
    }
    let held = Held(place);
    mount_bind(format!("/proc/self/fd/{}", found.as_raw_fd()), &held.0)?;
    Ok(held)
}

/// Opens `sub` below `root` for its place alone.
fn walk(root: &Path, sub: &str) -> io::Result<OwnedFd> {
    let mut parts = Vec::new();
    for part in Path::new(sub).components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "subPath leads out of the volume")),
        }
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = open(root, flags | OFlags::DIRECTORY, Mode::empty())?;
    let mut so_far = PathBuf::from(".");
    let mut found = openat2(&root, ".", flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    for name in parts {
        so_far.push(name);
        found = match openat2(&root, &so_far, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::NOENT) => {
                mkdirat(&found, name, MADE)?;
                openat2(&root, &so_far, flags, Mode::empty(), ResolveFlags::IN_ROOT)?
            }
            other => other?,
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn stays_inside() {
        let dir = tempfile::tempdir().expect("a directory");
        let volume = dir.path().join("volume");
        fs::create_dir_all(volume.join("in")).expect("made");
        fs::write(dir.path().join("secret"), "no").expect("written");
        symlink("../secret", volume.join("out")).expect("linked");
        symlink("/etc", volume.join("etc")).expect("linked");
        fs::write(volume.join("in/file"), "yes").expect("written");
        let hold = |sub: &str| hold(&volume, sub, dir.path());
        let read = |sub: &str| fs::read_to_string(hold(sub)?.source());
        assert_eq!(read("in/file").expect("there"), "yes");
        // `out` means `<volume>/secret` here, which does not exist and is not made through the link.
        assert!(read("out").is_err());
        assert!(hold("etc/passwd").is_err() || !volume.join("etc/passwd").is_file());
        assert!(hold("../secret").is_err());
        assert!(hold("new/deep").is_ok() && volume.join("new/deep").is_dir());
        let left =
            fs::read_dir(dir.path()).expect("readable").map(|entry| entry.expect("readable").file_name());
        assert!(
            left.into_iter().all(|name| !name.to_string_lossy().starts_with("..sub")),
            "places are given back"
        );
    }
}
