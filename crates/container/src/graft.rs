//! Mounts for a container that runs already: made from the host's paths, then attached inside. Only for single-threaded
//! callers, which step into the container's mount namespace and back.
use crate::fork;
use crate::mount::Mount;
use crate::process::StartError;
use crate::rootfs::step;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Attaches `mounts` inside the container whose first process is behind `pidfd`. Their places must be there: the root
/// of such a container is read-only.
pub fn graft(pidfd: BorrowedFd<'_>, mounts: &[Mount]) -> Result<(), StartError> {
    let setup = |what| StartError::setup::<io::Error>(what);
    let prepared = mounts
        .iter()
        .map(|mount| mount.prepare(false).map(|prepared| (mount, prepared)).map_err(step(mount)))
        .collect::<Result<Vec<_>, _>>()?;
    let home = fork::open_namespace("/proc/self/ns/mnt").map_err(setup("the own mount namespace"))?;
    fork::join(pidfd, libc::CLONE_NEWNS).map_err(setup("joining the mount namespace"))?;
    let attached = inside(prepared);
    if fork::join(home.as_fd(), libc::CLONE_NEWNS).is_err() {
        // A caller that went on with another's files as its own would be dangerous.
        fork::exit_now(1);
    }
    attached
}

fn inside(prepared: Vec<(&Mount, crate::mount::Prepared)>) -> Result<(), StartError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).map_err(step("opening the root"))?;
    prepared
        .into_iter()
        .try_for_each(|(mount, prepared)| prepared.attach(root.as_fd(), &mount.target).map_err(step(mount)))
}
