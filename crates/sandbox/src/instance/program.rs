//! Programs in a held instance.
use super::Instance;
use crate::instance::Spawner;
use crate::{Error, Exit, ProgramSpec};
use container::bundle::Process;
use rustix::pipe::PipeFlags;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A running program in a held instance. It ends with the instance at the latest; dropping this changes nothing.
pub struct Program {
    run: u64,
    spawner: Arc<Spawner>,
    end: watch::Receiver<Option<Exit>>,
    output: Mutex<Option<OwnedFd>>,
    exceeded: Arc<AtomicBool>,
}

impl Program {
    /// The reading end of its standard output and error, merged, once.
    pub fn take_output(&self) -> Option<OwnedFd> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for its end; any number of callers.
    pub async fn wait(&self) -> Exit {
        let mut end = self.end.clone();
        let seen = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        // The spawner is gone: the kernel has killed it.
        let exit = seen.unwrap_or(Exit { code: 137, signal: Some(9), oom: false });
        Exit { oom: exit.oom || self.exceeded.load(Ordering::Acquire), ..exit }
    }

    /// Sends it a signal. Fine when it has ended.
    pub async fn signal(&self, signal: i32) {
        if self.end.borrow().is_none() {
            self.spawner.signal_program(self.run, signal).await;
        }
    }
}

impl Instance {
    /// Starts a program in an instance that is held; returns when the program runs.
    pub async fn run(&self, spec: ProgramSpec) -> Result<Program, Error> {
        let template = self.template.clone().ok_or_else(|| {
            Error::Invalid("the instance runs a command of its own, and no other programs".into())
        })?;
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let (output, writer) = pipe.map_err(|e| Error::io("making a pipe")(e.into()))?;
        let ProgramSpec { argv, env, cwd } = spec;
        let cwd = if cwd.is_empty() { "/".into() } else { cwd };
        let process = Process { argv, env, cwd, ..template };
        let (run, end) = self.spawner.run(&self.id, process, writer.as_fd()).await?;
        let (spawner, exceeded) = (self.spawner.clone(), self.exceeded.clone());
        Ok(Program { run, spawner, end, output: Mutex::new(Some(output)), exceeded })
    }

    /// Asks its first process to end. What has no handler for SIGTERM there is not ended by it: the kernel shields the
    /// first process of a namespace.
    pub async fn terminate(&self) {
        if self.end.borrow().is_none() {
            self.spawner.signal(&self.id, rustix::process::Signal::TERM.as_raw()).await;
        }
    }
}
