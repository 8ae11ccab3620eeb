//! The namespaces that a supervisor holds for its pod.
use crate::fork::{self, Child};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Joins the network namespace behind a file.
pub fn join_network(path: &Path) -> io::Result<()> {
    let file = std::fs::File::open(path)?;
    fork::join(file.as_fd(), libc::CLONE_NEWNET)
}

/// Moves this process into its own mount namespace, into which later mounts of the host come and out of which none
/// go. Returns the one it leaves.
pub fn leave_mounts() -> io::Result<OwnedFd> {
    let host = fork::open_namespace("/proc/self/ns/mnt")?;
    fork::unshare(libc::CLONE_NEWNS)?;
    let slave = rustix::mount::MountPropagationFlags::DOWNSTREAM | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave)?;
    Ok(host)
}

/// Fresh IPC and host name namespaces, with this host name; without `ipc` the host's IPC stays.
pub fn fresh_ipc_and_uts(hostname: &str, ipc: bool) -> io::Result<()> {
    fork::unshare(libc::CLONE_NEWUTS | if ipc { libc::CLONE_NEWIPC } else { 0 })?;
    Ok(rustix::system::sethostname(hostname.as_bytes())?)
}

/// A process namespace that all later children of this process belong to, with a first process that does nothing but
/// collect orphans. When that ends, everything in the namespace ends.
pub fn share_processes() -> io::Result<Child> {
    let Some(reaper) = fork::fork(libc::CLONE_NEWPID, None)? else { collect_orphans() };
    fork::join(reaper.pidfd.as_fd(), libc::CLONE_NEWPID)?;
    Ok(reaper)
}

/// Ends never, and does nothing but collect orphans.
pub(crate) fn collect_orphans() -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::thread::set_name(c"pause");
    // The copies of its parent's descriptors would keep sockets and pipes alive.
    fork::close_from(0);
    fork::pause_reaping()
}
