//! Letting dory listen to a running container as it writes, and write to its standard input.
use super::Supervisor;
use super::container::pipe;
use crate::wire::{Answer, Fault};
use std::io;
use std::os::fd::OwnedFd;

/// What a listener may be behind before output passes it by; the most that a pipe takes without further rights.
const TAP_BYTES: usize = 1 << 20;

impl Supervisor {
    /// Puts what dory reads and writes into `fds`.
    pub(super) fn attach(
        &mut self,
        name: &str,
        stdin: bool,
        fds: &mut Vec<OwnedFd>,
    ) -> Result<Answer, Fault> {
        let container = self.containers.get_mut(name).ok_or_else(|| Fault::NotRunning(name.to_owned()))?;
        let failed = |error: io::Error| Fault::Other(format!("attaching: {error}"));
        for stream in &mut container.streams {
            let (near, far) = pipe().map_err(failed)?;
            rustix::io::ioctl_fionbio(&far, true).map_err(|error| failed(error.into()))?;
            // A smaller pipe serves too.
            let _ = rustix::pipe::fcntl_setpipe_size(&far, TAP_BYTES);
            stream.tap(far);
            fds.push(near);
        }
        if container.tty {
            let Some(terminal) = container.streams.first() else {
                return Err(Fault::NotRunning(name.to_owned()));
            };
            fds.push(terminal.fd().try_clone_to_owned().map_err(failed)?);
            return Ok(Answer::Attached { terminal: true, stdin: false });
        }
        let input = match &container.stdin {
            _ if !stdin => None,
            Some(_) if container.stdin_once => container.stdin.take(),
            Some(own) => Some(own.try_clone().map_err(failed)?),
            None => None,
        };
        let stdin = input.is_some();
        fds.extend(input);
        Ok(Answer::Attached { terminal: false, stdin })
    }
}
