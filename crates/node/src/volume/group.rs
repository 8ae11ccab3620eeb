//! `fsGroup` on volumes that outlive pods: everything in them is given to the group, and the group may read and write it.
//! Pods may be using the volume meanwhile, so every file is opened before it is changed, and no link is followed.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use client::k8s_openapi::api::core::v1 as api;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, chmod, chownat, fstat, open, openat};

/// What the group may do with files, and with directories, where new files become its own too; upstream's figures.
const FILE: u32 = 0o660;
const DIRECTORY: u32 = 0o2770;
/// Directories of a tree that lie in each other: deeper ones are refused rather than running out of descriptors.
const DEPTH_MAX: usize = 512;

/// Whom a pod's volumes belong to, and whether those that do already are gone through again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) gid: u32,
    only_on_mismatch: bool,
}

impl Group {
    /// The group of a pod, if it has one.
    pub(crate) fn of(spec: &api::PodSpec) -> Option<Group> {
        let context = spec.security_context.as_ref()?;
        let gid = u32::try_from(context.fs_group?).ok()?;
        let only_on_mismatch = context.fs_group_change_policy.as_deref() == Some("OnRootMismatch");
        Some(Group { gid, only_on_mismatch })
    }

    /// Gives the volume to the group.
    pub(crate) fn take(&self, root: &Path) -> io::Result<()> {
        let root = open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        if self.only_on_mismatch && self.has(&fstat(&root)?, DIRECTORY) {
            return Ok(());
        }
        self.walk(&root, 0)
    }

    fn has(&self, found: &Stat, mode: u32) -> bool {
        found.st_gid == self.gid && found.st_mode & mode == mode
    }

    /// What is inside first: when the root has the group, everything has.
    fn walk(&self, dir: &OwnedFd, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(io::Error::other(format!("directories lie more than {DEPTH_MAX} deep")));
        }
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            match self.entry(dir.as_fd(), entry.file_name(), depth) {
                // Another pod took it away meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        self.give(dir, DIRECTORY)
    }

    fn entry(&self, dir: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(dir, name, flags, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&found)?.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                self.walk(&openat(dir, name, flags, Mode::empty())?, depth + 1)
            }
            // A link has no mode of its own, and where it leads to may lie elsewhere.
            FileType::Symlink => own(found.as_fd(), self.gid),
            _ => self.give(&found, FILE),
        }
    }

    fn give(&self, file: &OwnedFd, mode: u32) -> io::Result<()> {
        let found = fstat(file)?;
        if self.has(&found, mode) {
            return Ok(());
        }
        own(file.as_fd(), self.gid)?;
        let wanted = Mode::from_raw_mode(found.st_mode & 0o7777 | mode);
        Ok(chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), wanted)?)
    }
}

fn own(file: BorrowedFd<'_>, gid: u32) -> io::Result<()> {
    Ok(chownat(file, c"", None, Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn everything_in_a_volume_and_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let volume = dir.path().join("volume");
        fs::create_dir_all(volume.join("a/b")).expect("made");
        fs::write(volume.join("a/b/file"), "x").expect("written");
        let outside = dir.path().join("outside");
        fs::write(&outside, "x").expect("written");
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).expect("set");
        symlink(&outside, volume.join("link")).expect("linked");
        let group = |only_on_mismatch| Group { gid: 4321, only_on_mismatch };
        group(false).take(&volume).expect("given");
        let seen = |path: &Path| {
            let found = fs::symlink_metadata(path).expect("there");
            (found.gid(), found.mode() & 0o7777)
        };
        assert_eq!(seen(&volume.join("a/b")), (4321, 0o2775));
        assert_eq!(seen(&volume.join("a/b/file")), (4321, 0o664));
        assert_eq!(seen(&volume.join("link")).0, 4321);
        assert_eq!(seen(&outside).1, 0o600);
        assert_ne!(seen(&outside).0, 4321);
        fs::write(volume.join("later"), "x").expect("written");
        fs::set_permissions(volume.join("later"), fs::Permissions::from_mode(0o600)).expect("set");
        group(true).take(&volume).expect("looked at");
        assert_eq!(seen(&volume.join("later")).1, 0o600, "the root has the group already");
        group(false).take(&volume).expect("given");
        assert_eq!(seen(&volume.join("later")).1, 0o660);
    }
}
