//! Listening to a running container, and writing to its standard input.
use crate::link::{Link, gone};
use crate::wire::{Answer, Request};
use crate::{Error, pod::exec::resize};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A running container as one listener has it. Dropping it leaves the container as it is.
pub struct Attach {
    /// Where to write its standard input, when asked for and open.
    pub stdin: Option<OwnedFd>,
    /// What it writes from now on; of a terminal, all of it. Ends with the container.
    pub stdout: Option<OwnedFd>,
    /// Its standard error, without terminal.
    pub stderr: Option<OwnedFd>,
    /// The terminal, to write to.
    pub terminal: Option<OwnedFd>,
}

impl Attach {
    pub(super) async fn start(pod: &str, link: &Arc<Link>, name: &str, stdin: bool) -> Result<Attach, Error> {
        let request = Request::Attach { name: name.to_owned(), stdin };
        let (terminal, has_stdin, fds) = match link.call(request, &[]).await {
            Some((Ok(Answer::Attached { terminal, stdin }), fds)) => (terminal, stdin, fds),
            Some((Err(fault), _)) => return Err(fault.into()),
            _ => return Err(gone(pod)),
        };
        let mut fds = fds.into_iter();
        let last = if terminal || has_stdin { fds.next_back() } else { None };
        let (stdout, stderr) = (fds.next(), fds.next());
        let (terminal, stdin) = if terminal { (last, None) } else { (None, last) };
        Ok(Attach { stdin, stdout, stderr, terminal })
    }

    /// Tells a terminal its size. Does nothing without one.
    pub fn resize(terminal: &OwnedFd, columns: u16, rows: u16) -> Result<(), Error> {
        resize(terminal, columns, rows)
    }
}
