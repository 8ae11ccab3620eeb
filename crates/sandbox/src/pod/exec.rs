//! A command running in a container.
use super::state::State;
use crate::link::{Link, gone};
use crate::wire::{Answer, Request};
use crate::{Error, ExecSpec, Exit};
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A command running in a container. Dropping it closes its streams; the command itself runs on.
pub struct Exec {
    /// Where to write its standard input, when asked for and without terminal.
    pub stdin: Option<OwnedFd>,
    /// Its standard output, without terminal.
    pub stdout: Option<OwnedFd>,
    /// Its standard error, without terminal.
    pub stderr: Option<OwnedFd>,
    /// The terminal's near end: input and output.
    pub pty: Option<OwnedFd>,
    id: u64,
    pod: String,
    link: Arc<Link>,
    /// A copy of the terminal for [`Exec::resize`], which must work after `pty` was taken.
    terminal: Option<OwnedFd>,
    end: End,
}

enum End {
    Awaited(oneshot::Receiver<Exit>),
    Seen(Exit),
}

impl Exec {
    pub(super) async fn start(
        pod: &str,
        link: &Arc<Link>,
        state: &State,
        name: &str,
        spec: ExecSpec,
    ) -> Result<Exec, Error> {
        let id = link.reserve();
        let end = End::Awaited(state.expect_command(id));
        let (tty, stdin) = (spec.tty, spec.stdin);
        let outcome = link.call_as(id, Request::Exec { name: name.to_owned(), spec }, &[]).await;
        let fds = match outcome {
            Some((Ok(Answer::Exec), fds)) => fds,
            failed => {
                state.forget_command(id);
                return Err(match failed {
                    Some((Err(fault), _)) => fault.into(),
                    _ => gone(pod),
                });
            }
        };
        let mut fds = fds.into_iter();
        let pty = if tty { fds.next() } else { None };
        let stdin = if stdin && !tty { fds.next() } else { None };
        let (stdout, stderr) = (fds.next(), fds.next());
        let terminal = pty
            .as_ref()
            .map(OwnedFd::try_clone)
            .transpose()
            .map_err(Error::io("duplicating the terminal"))?;
        Ok(Exec { stdin, stdout, stderr, pty, id, pod: pod.to_owned(), link: link.clone(), terminal, end })
    }

    /// Waits until the command has ended.
    pub async fn wait(&mut self) -> Result<Exit, Error> {
        match &mut self.end {
            End::Seen(exit) => Ok(*exit),
            End::Awaited(receiver) => {
                let exit = receiver.await.map_err(|_| gone(&self.pod))?;
                self.end = End::Seen(exit);
                Ok(exit)
            }
        }
    }

    /// Kills the command. Fine when it has ended.
    pub async fn kill(&self) {
        self.link.call(Request::KillExec { exec: self.id }, &[]).await;
    }

    /// Tells the terminal its size. Does nothing without a terminal.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), Error> {
        self.terminal.as_ref().map_or(Ok(()), |terminal| resize(terminal, columns, rows))
    }
}

/// Tells a terminal its size.
pub(super) fn resize(terminal: &OwnedFd, columns: u16, rows: u16) -> Result<(), Error> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).map_err(|e| Error::io("resizing the terminal")(e.into()))
}
