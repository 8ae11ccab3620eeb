//! Mounts that are made first and attached later, by descriptor (`open_tree`, `fsopen`, `mount_setattr`,
//! `move_mount`; Linux 5.12). Attributes are set while nobody can reach the mount yet.
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A mount that is not attached anywhere.
#[derive(Debug)]
pub struct Tree(OwnedFd);

/// What to change on a [`Tree`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MS_PRIVATE`, `MS_SLAVE` or nothing.
    pub(crate) propagation: u64,
    /// Also on the mounts below.
    pub(crate) recursive: bool,
}

impl Tree {
    /// A copy of what is mounted at a host path, with everything mounted below it.
    pub fn of(path: &Path) -> io::Result<Tree> {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        Ok(Tree(open_tree(rustix::fs::CWD, path, flags)?))
    }

    /// A fresh file system.
    pub fn fresh(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> io::Result<Tree> {
        let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            fsconfig_set_string(fs.as_fd(), *key, *value)?;
        }
        fsconfig_create(fs.as_fd())?;
        Ok(Tree(fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// Changes attributes and propagation.
    pub(crate) fn change(&self, change: Change) -> io::Result<()> {
        set_attributes(self.0.as_fd(), change)
    }

    /// Attaches it on top of a place.
    pub fn attach(self, target: BorrowedFd<'_>) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(move_mount(self.0.as_fd(), "", target, "", flags)?)
    }

    /// Whether its root is a directory (and not a single file).
    pub(crate) fn is_directory(&self) -> io::Result<bool> {
        Ok(rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&self.0)?.st_mode).is_dir())
    }
}

impl From<OwnedFd> for Tree {
    fn from(fd: OwnedFd) -> Tree {
        Tree(fd)
    }
}

/// `mount_setattr` on the mount whose root this descriptor is.
pub(crate) fn set_attributes(mount: BorrowedFd<'_>, change: Change) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: change.set, attr_clr: 0, propagation: change.propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the kernel reads `size_of` bytes from `attributes` and a terminated empty path; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
