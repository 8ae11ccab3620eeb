//! Finding, and where needed making, the place in a root file system where something is mounted. An image may hold
//! any symlinks it likes: every step is resolved by the kernel with the root file system as `/`, and the result is a
//! descriptor, so nothing can be swapped between looking and mounting.
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many symlinks as the kernel follows.
const LINKS_MAX: usize = 40;

/// What to make when nothing is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Directory,
    File,
}

/// Opens `target` inside `root` (as a place, without access to its contents), making what is missing.
pub(crate) fn open(root: BorrowedFd<'_>, target: &Path, missing: Missing) -> io::Result<OwnedFd> {
    match open_existing(root, target) {
        Err(Errno::NOENT) => {}
        other => return Ok(other?),
    }
    let mut todo: VecDeque<OsString> = names(target);
    let mut done = PathBuf::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            done.pop();
            continue;
        }
        let parent = open_existing(root, &done)?;
        match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP.into());
                }
                let link = rustix::fs::readlinkat(&parent, &name, Vec::new())?;
                let link = PathBuf::from(OsString::from_vec(link.into_bytes()));
                if link.is_absolute() {
                    done = PathBuf::new();
                }
                for part in names(&link).into_iter().rev() {
                    todo.push_front(part);
                }
                continue;
            }
            Ok(_) => {}
            Err(Errno::NOENT) => {
                make(&parent, &name, if todo.is_empty() { missing } else { Missing::Directory })?
            }
            Err(e) => return Err(e.into()),
        }
        done.push(name);
    }
    Ok(open_existing(root, &done)?)
}

/// Opens what is at `path` inside `root`, if it is there.
pub(crate) fn open_existing(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn make(parent: &OwnedFd, name: &OsStr, missing: Missing) -> io::Result<()> {
    let made = match missing {
        Missing::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Missing::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        // Another container of the pod may make the same directory in a shared volume.
        Err(Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    fn made(
        links: &[(&str, &str)],
        target: &str,
        missing: Missing,
    ) -> (tempfile::TempDir, io::Result<OwnedFd>) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        for (from, to) in links {
            symlink(to, root.join(from)).unwrap();
        }
        let fd = std::fs::File::open(&root).unwrap();
        let opened = open(fd.as_fd(), Path::new(target), missing);
        (dir, opened)
    }

    #[test]
    fn makes_what_is_missing() {
        let (dir, opened) = made(&[], "/a/b/file", Missing::File);
        opened.unwrap();
        assert!(dir.path().join("root/a/b/file").is_file());
    }

    #[test]
    fn links_stay_inside() {
        for link in ["../../outside", "/outside", "../outside"] {
            let (dir, opened) = made(&[("data", link)], "/data/x", Missing::Directory);
            opened.unwrap();
            assert!(dir.path().join("root/outside/x").is_dir(), "{link}");
            assert!(!dir.path().join("outside").exists(), "{link}");
        }
    }

    #[test]
    fn link_loops_end() {
        let (_dir, opened) = made(&[("a", "b"), ("b", "a")], "/a/x", Missing::Directory);
        assert_eq!(opened.unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn dots_cannot_leave() {
        let (dir, opened) = made(&[], "/../../x", Missing::Directory);
        opened.unwrap();
        assert!(dir.path().join("root/x").is_dir() && !dir.path().join("x").exists());
    }
}
