//! `/attach/{namespace}/{pod}/{container}`: a running container's output from now on, and its standard input where the
//! container has one.

use std::io;
use std::os::fd::OwnedFd;

use http::Response;
use object::Status;
use sandbox::{Attach, Exit};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::channel::{self, STDERR, STDIN, STDOUT};
use super::exec::{Input, MESSAGES_MAX, Peer, converse, copy};
use super::{Call, log};
use crate::node::Body;

pub(super) async fn attach(mut call: Call) -> Result<Response<Body>, Status> {
    let view = call.pods.find(&call.key).ok_or_else(|| Status::not_found("", "pods", &call.key.name))?;
    let container = log::find_container(&call, &view)?;
    let (Some(sandbox), true) = (view.sandbox, container.running) else {
        return Err(Status::bad_request(format!("container {} is not running", call.container)));
    };
    let (stdin, tty) = (call.flag(&["stdin", "input"]), call.flag(&["tty"]));
    let show = [(STDOUT, call.flag(&["stdout", "output"])), (STDERR, call.flag(&["stderr", "error"]))];
    let shown: Vec<u8> = show.into_iter().filter(|(_, shown)| *shown).map(|(channel, _)| channel).collect();
    let channels = shown.iter().copied().chain(stdin.then_some(STDIN)).collect();
    let (response, door) = channel::open(&mut call.request, channels, tty)?;
    tokio::spawn(async move {
        let Some((mut speaker, listener)) = channel::accept(door).await else { return };
        speaker.say(shown.first().copied().unwrap_or(STDOUT), b"").await;
        let attached = sandbox.attach(&call.container, stdin).await.map_err(|error| error.to_string());
        let (messages, outgoing) = mpsc::channel(MESSAGES_MAX);
        let taken = attached.and_then(|attach| {
            take_streams(attach, messages, &shown, stdin).map_err(|error| error.to_string())
        });
        match taken {
            Ok((input, running)) => converse(running, input, outgoing, speaker, listener).await,
            Err(error) => {
                let status = Status::internal(format!("error attaching to the container: {error}"));
                speaker.finish(&status.to_json(), listener).await;
            }
        }
    });
    Ok(response)
}

/// A container that is listened to: it goes on when the client leaves, and its end is the end of its output.
struct Running {
    terminal: Option<OwnedFd>,
}

impl Peer for Running {
    async fn end(&mut self) -> Result<Exit, sandbox::Error> {
        Ok(Exit { code: 0, signal: None, oom: false })
    }

    async fn leave(&self) {}

    fn resize(&self, columns: u16, rows: u16) -> Result<(), sandbox::Error> {
        self.terminal.as_ref().map_or(Ok(()), |terminal| Attach::resize(terminal, columns, rows))
    }
}

/// Starts listening; gives the container's input.
fn take_streams(
    attach: Attach,
    messages: mpsc::Sender<(u8, Vec<u8>)>,
    shown: &[u8],
    stdin: bool,
) -> io::Result<(Option<Input>, Running)> {
    for (channel, end) in [(STDOUT, attach.stdout), (STDERR, attach.stderr)] {
        if let Some(end) = end.filter(|_| shown.contains(&channel)) {
            tokio::spawn(copy(pipe::Receiver::from_owned_fd(end)?, channel, messages.clone()));
        }
    }
    let input = match (&attach.terminal, attach.stdin) {
        (Some(terminal), _) if stdin => {
            Some(Input::Terminal(tokio::fs::File::from_std(terminal.try_clone()?.into())))
        }
        (_, Some(end)) => Some(Input::Pipe(pipe::Sender::from_owned_fd(end)?)),
        _ => None,
    };
    Ok((input, Running { terminal: attach.terminal }))
}
