//! A function instance as dory sees it, and the spawner that they all come from.
mod connect;
mod identity;
mod memory;
mod program;
mod spawner;
mod start;

pub use program::Program;
pub(crate) use spawner::Spawner;

use crate::{Error, Exit};
use container::bundle::Process;
use container::cgroup::{Gauge, Group};
use container::mount::Mount;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How an instance ended, and the most memory it used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    exit: Exit,
    memory_peak_bytes: u64,
}

/// One end of a pipe each way. Blocking mode.
#[derive(Debug)]
pub struct Pipes {
    /// To read from.
    pub reader: OwnedFd,
    /// To write to.
    pub writer: OwnedFd,
}

/// A running instance. Dropping it kills it.
pub struct Instance {
    id: String,
    pid: u32,
    group: Group,
    /// Opened when it is first asked for.
    peak: OnceLock<Gauge>,
    spawner: Arc<Spawner>,
    end: watch::Receiver<Option<End>>,
    listener: Mutex<Option<TcpListener>>,
    door: Mutex<Option<TcpListener>>,
    pipes: Mutex<Option<Pipes>>,
    logs: Mutex<Option<OwnedFd>>,
    /// Whether it was ended for taking more memory than it may.
    exceeded: Arc<AtomicBool>,
    /// How long each step of the start took.
    stages: Vec<(&'static str, Duration)>,
    /// The writing end of its standard input, until it is assigned.
    input: Mutex<Option<OwnedFd>>,
    /// Its network namespace, for connections into it.
    netns: PathBuf,
    /// Sockets of that namespace, made and not used yet.
    sockets: Mutex<Vec<OwnedFd>>,
    /// What the programs of a held instance have in common.
    template: Option<Process>,
}

/// What an unassigned instance may be told: what its pipe holds (64 KiB by default), so that telling it never waits.
const ASSIGNMENT_BYTES_MAX: usize = 64 * 1024;

impl Instance {
    /// The id that it was started with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Process id on the host of its first process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The listener inside its network namespace, once. Blocking mode. `None` when no port was asked for.
    pub fn take_listener(&self) -> Option<TcpListener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The second listener inside, once, likewise.
    pub fn take_door(&self) -> Option<TcpListener> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The near ends of the pipes that its process was handed, once. `None` when none were asked for.
    pub fn take_pipes(&self) -> Option<Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The reading end of its standard output and error, merged, once.
    pub fn take_logs(&self) -> Option<OwnedFd> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How long the steps of its start took, in order.
    pub fn stages(&self) -> &[(&'static str, Duration)] {
        &self.stages
    }

    /// Makes an unassigned instance somebody's, once: `mounts` are there before it reads `text`, then the end, from its
    /// standard input.
    pub async fn assign(&self, mounts: Vec<Mount>, text: &[u8]) -> Result<(), Error> {
        if text.len() > ASSIGNMENT_BYTES_MAX {
            return Err(Error::Invalid(format!("an assignment is at most {ASSIGNMENT_BYTES_MAX} bytes")));
        }
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let input = input.ok_or_else(|| Error::Invalid("the instance is assigned already".into()))?;
        self.spawner.mount(&self.id, mounts).await?;
        let written =
            rustix::io::write(&input, text).map_err(|e| Error::io("telling the instance")(e.into()));
        match written? == text.len() {
            true => Ok(()),
            false => Err(Error::Invalid("the instance's standard input is full".into())),
        }
    }

    /// Waits for its end; any number of callers.
    pub async fn wait(&self) -> Exit {
        let mut end = self.end.clone();
        let seen = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        // The spawner is gone: the kernel has killed the instance.
        let exit = seen.map_or(Exit { code: 137, signal: Some(9), oom: false }, |end| end.exit);
        Exit { oom: exit.oom || self.exceeded.load(Ordering::Acquire), ..exit }
    }

    /// Stops its processes where they are. Takes effect within microseconds, in the background.
    pub fn freeze(&self) -> Result<(), Error> {
        self.group.freeze(true).map_err(Error::io("freezing the instance"))
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<(), Error> {
        self.group.freeze(false).map_err(Error::io("thawing the instance"))
    }

    /// Kills all its processes and returns when they are gone; the rest is cleaned up in the background.
    pub async fn kill(&self) {
        if self.end.borrow().is_none() {
            self.spawner.kill(&self.id).await;
            self.wait().await;
        }
    }

    /// What it uses now; nothing once it has ended.
    pub fn usage(&self) -> crate::Usage {
        if self.end.borrow().is_some() { crate::Usage::default() } else { self.group.usage() }
    }

    /// The most memory it ever used, in bytes; 0 where the kernel does not count it.
    pub fn memory_peak_bytes(&self) -> u64 {
        let ended = *self.end.borrow();
        ended.map_or_else(
            || self.peak.get_or_init(|| self.group.memory_peak()).read(),
            |end| end.memory_peak_bytes,
        )
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.end.borrow().is_none() {
            self.spawner.kill_later(&self.id);
        }
    }
}
