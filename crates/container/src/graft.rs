//! Mounts for a container whose root is entered already: made from the host's paths, then attached inside. Only for
//! single-threaded callers, which step from one mount namespace into the other and back.
use crate::fork;
use crate::mount::{Mount, Prepared};
use crate::process::StartError;
use crate::rootfs::step;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Attaches `mounts` inside the container whose first process is behind `pidfd`. Their places must be there: the root
/// of such a container is read-only.
pub fn graft(pidfd: BorrowedFd<'_>, mounts: &[Mount]) -> Result<(), StartError> {
    let setup = |what| StartError::setup::<io::Error>(what);
    let prepared = prepare(mounts, false)?;
    let home = fork::open_namespace("/proc/self/ns/mnt").map_err(setup("the own mount namespace"))?;
    fork::join(pidfd, libc::CLONE_NEWNS).map_err(setup("joining the mount namespace"))?;
    let attached = inside(prepared);
    if fork::join(home.as_fd(), libc::CLONE_NEWNS).is_err() {
        // A caller that went on with another's files as its own would be dangerous.
        fork::exit_now(1);
    }
    attached
}

/// The same from inside: attaches `mounts` below `root`, in the caller's mount namespace; their sources are paths in the
/// one behind `host`. One after the other, because a place may be in an earlier mount.
pub(crate) fn from_host(
    host: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
    mounts: &[Mount],
    devices: bool,
) -> Result<(), StartError> {
    let setup = |what| StartError::setup::<io::Error>(what);
    if mounts.is_empty() {
        return Ok(());
    }
    let home = fork::open_namespace("/proc/self/ns/mnt").map_err(setup("the own mount namespace"))?;
    fork::join(host, libc::CLONE_NEWNS).map_err(setup("the host's mount namespace"))?;
    let prepared = prepare(mounts, devices);
    if fork::join(home.as_fd(), libc::CLONE_NEWNS).is_err() {
        fork::exit_now(1);
    }
    attach(root, prepared?)
}

fn prepare(mounts: &[Mount], devices: bool) -> Result<Vec<(&Mount, Prepared)>, StartError> {
    let prepare = |mount: &'_ Mount| mount.prepare(devices).map_err(step(mount));
    mounts.iter().map(|mount| Ok((mount, prepare(mount)?))).collect()
}

fn inside(prepared: Vec<(&Mount, Prepared)>) -> Result<(), StartError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).map_err(step("opening the root"))?;
    attach(root.as_fd(), prepared)
}

fn attach(root: BorrowedFd<'_>, prepared: Vec<(&Mount, Prepared)>) -> Result<(), StartError> {
    let mut prepared = prepared.into_iter();
    prepared.try_for_each(|(mount, made)| made.attach(root, &mount.target).map_err(step(mount)))
}
