//! Making processes and namespaces: the few system calls that Rust has no safe words for. Only for single-threaded
//! processes (the supervisor and the spawner): there a forked child may run ordinary code. dory itself never forks.
use crate::cgroup::Group;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Start in the v2 control group given; the C library's constant is an `int`, in which it does not fit.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A forked process, as its parent sees it.
#[derive(Debug)]
pub struct Child {
    /// Process id in the parent's process namespace.
    pub pid: u32,
    /// Refers to the process even after its id is reused; readable once it has ended.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Child {
    /// Takes note of its end without waiting; `None` while it runs.
    pub fn reap(&self) -> io::Result<Option<Ended>> {
        self.wait(rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOHANG)
    }

    /// Waits for its end.
    pub fn wait_blocking(&self) -> io::Result<Option<Ended>> {
        self.wait(rustix::process::WaitIdOptions::EXITED)
    }

    fn wait(&self, options: rustix::process::WaitIdOptions) -> io::Result<Option<Ended>> {
        let id = rustix::process::WaitId::PidFd(self.pidfd.as_fd());
        let status = loop {
            match rustix::process::waitid(id.clone(), options) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        Ok(status.map(|status| match status.exit_status() {
            Some(code) => Ended { code, signal: None },
            None => {
                let signal = status.terminating_signal().unwrap_or(libc::SIGKILL);
                Ended { code: 128 + signal, signal: Some(signal) }
            }
        }))
    }

    /// Sends a signal; fine when it has ended.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = rustix::process::Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Kills it.
    pub fn kill(&self) {
        let _ = self.signal(libc::SIGKILL);
    }
}

/// Forks: `Some` in the parent, `None` in the child. `namespaces` are `CLONE_NEW*` flags; `cgroup` is a v2 directory
/// that the child starts in. The caller must be single-threaded.
pub(crate) fn fork(namespaces: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Option<Child>> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid `clone_args`: every field is an integer whose zero means "not used".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = (libc::CLONE_PIDFD | namespaces) as u32 as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a plain fork: the child gets a copy of the address space and continues on a
    // copy of this stack. The process is single-threaded, so no lock can be held by a thread that is not copied.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => {
            // SAFETY: the kernel made this descriptor for us (CLONE_PIDFD) and nobody else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Child { pid: pid as u32, pidfd }))
        }
    }
}

/// Goes on as a child born in the v2 part of `group` (where there is one), out of the group of whoever started this
/// process; the first process ends. Being born there is free; moving there would wait for a grace period of RCU.
pub fn reborn_in(group: &Group) -> io::Result<()> {
    let v2 = group.open_v2()?;
    match fork(0, v2.as_ref().map(AsFd::as_fd))? {
        Some(_) => exit_now(0),
        None => Ok(()),
    }
}

/// Moves the calling process (its children, for the process namespace) into fresh namespaces (`CLONE_NEW*`).
pub(crate) fn unshare(namespaces: i32) -> io::Result<()> {
    // SAFETY: without CLONE_FILES and CLONE_FS no memory or descriptor that Rust knows of changes.
    if unsafe { libc::unshare(namespaces) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Joins namespaces: all of `kinds` (`CLONE_NEW*`) of the process behind a pidfd, or the one behind a file.
pub(crate) fn join(namespace: BorrowedFd<'_>, kinds: i32) -> io::Result<()> {
    // SAFETY: takes two integers; affects only namespaces of the calling, single-threaded process.
    if unsafe { libc::setns(namespace.as_raw_fd(), kinds) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Ends this process without running any destructor or exit handler: those belong to the process it was copied from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` only ends the process.
    unsafe { libc::_exit(code) }
}

/// Gives every signal its default action and lets all through: what is ignored or blocked stays so across `execve`
/// (Rust ignores SIGPIPE).
pub(crate) fn default_signals() {
    // SAFETY: plain system calls on integers and on a set that lives on this stack; the default action refers to no
    // code of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Marks every descriptor from `first` up to be closed by `execve`.
pub(crate) fn close_on_exec_from(first: u32) {
    // SAFETY: changes a flag of descriptors, closes nothing.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Has these descriptors stay open across `execve`, under the numbers from `first` on. What had those is closed.
pub(crate) fn keep_from(first: i32, fds: &[OwnedFd]) -> io::Result<()> {
    // First out of the way of each other.
    let free = first + fds.len() as i32;
    let moved: Vec<OwnedFd> =
        fds.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, free)).collect::<Result<_, _>>()?;
    for (number, fd) in (first..).zip(moved) {
        // SAFETY: only called in a forked child whose owner of `number`, if it has one, is not used again.
        if unsafe { libc::dup2(fd.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Closes every descriptor from `first` up, in a child that is about to do nothing but wait.
pub(crate) fn close_from(first: u32) {
    // SAFETY: only called in a forked child that uses none of these descriptors, or values owning them, again.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Collects ended children for ever, sleeping in between.
pub(crate) fn pause_reaping() -> ! {
    // SAFETY: works on signal sets on this stack; SIGCHLD is blocked before the first wait, so that none is missed
    // between looking and sleeping.
    unsafe {
        let mut chld: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut chld);
        libc::sigaddset(&raw mut chld, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const chld, std::ptr::null_mut());
        loop {
            while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
            libc::sigwaitinfo(&raw const chld, std::ptr::null_mut());
        }
    }
}

/// A user namespace in which ids 0..`count` are `base`..`base + count` of the host. Made through a short-lived child,
/// because only somebody outside may map more than one id.
pub fn user_namespace(base: u32, count: u32) -> io::Result<OwnedFd> {
    let Some(child) = fork(libc::CLONE_NEWUSER, None)? else {
        // Waits to be killed; dies with its parent otherwise.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        loop {
            let _ = rustix::thread::nanosleep(&rustix::fs::Timespec { tv_sec: 3600, tv_nsec: 0 });
        }
    };
    let map = || -> io::Result<OwnedFd> {
        for file in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{}/{file}", child.pid), format!("0 {base} {count}\n"))?;
        }
        open_namespace(&format!("/proc/{}/ns/user", child.pid))
    };
    let namespace = map();
    child.kill();
    let _ = child.wait_blocking();
    namespace
}

/// Opens a namespace file.
pub fn open_namespace(path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
