//! `/exec/{namespace}/{pod}/{container}`: a command in a running container, its streams over WebSocket or SPDY.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use http::Response;
use object::Status;
use sandbox::{Exec, ExecSpec, Exit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::channel::{self, Listener, STDERR, STDIN, STDOUT, Said, Speaker};
use super::{Call, log};
use crate::node::Body;

/// Output read at once; one message.
const CHUNK_BYTES: usize = 16 * 1024;
/// Messages that wait for a slow client; the command's output waits behind them.
pub(super) const MESSAGES_MAX: usize = 8;
/// What a terminal takes for the end of input.
const END_OF_TRANSMISSION: u8 = 4;

pub(super) async fn exec(mut call: Call) -> Result<Response<Body>, Status> {
    let spec = ExecSpec {
        argv: call.all("command"),
        tty: call.flag(&["tty"]),
        stdin: call.flag(&["stdin", "input"]),
        ..ExecSpec::default()
    };
    if spec.argv.is_empty() {
        return Err(Status::bad_request("you must specify at least one command for the container"));
    }
    let show = [(STDOUT, call.flag(&["stdout", "output"])), (STDERR, call.flag(&["stderr", "error"]))];
    if !spec.stdin && !show.iter().any(|(_, shown)| *shown) {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let view = call.pods.find(&call.key).ok_or_else(|| Status::not_found("", "pods", &call.key.name))?;
    let container = log::find_container(&call, &view)?;
    let (Some(sandbox), true) = (view.sandbox, container.running) else {
        return Err(Status::bad_request(format!("container not found (\"{}\")", call.container)));
    };
    let shown: Vec<u8> = show.into_iter().filter(|(_, shown)| *shown).map(|(channel, _)| channel).collect();
    let channels = shown.iter().copied().chain(spec.stdin.then_some(STDIN)).collect();
    let (response, door) = channel::open(&mut call.request, channels, spec.tty)?;
    tokio::spawn(async move {
        let Some((mut speaker, listener)) = channel::accept(door).await else { return };
        // kubectl waits for a first message to know that the other side is there.
        speaker.say(shown.first().copied().unwrap_or(STDOUT), b"").await;
        match sandbox.exec(&call.container, spec).await {
            Ok(mut exec) => {
                let (messages, outgoing) = mpsc::channel(MESSAGES_MAX);
                match take_streams(&mut exec, messages, &shown) {
                    Ok(input) => converse(exec, input, outgoing, speaker, listener).await,
                    Err(error) => {
                        let why = format!("failed to connect the command's streams: {error}");
                        speaker.finish(&Status::internal(why).to_json(), listener).await;
                    }
                }
            }
            Err(error) => {
                let status = Status::internal(format!("error executing command in container: {error}"));
                speaker.finish(&status.to_json(), listener).await;
            }
        }
    });
    Ok(response)
}

/// The near end of a terminal or of pipes.
pub(super) enum Input {
    Pipe(pipe::Sender),
    Terminal(tokio::fs::File),
}

/// What goes into it.
pub(super) enum Fed {
    Data(Bytes),
    End,
}

impl Input {
    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Input::Pipe(pipe) => pipe.write_all(data).await,
            Input::Terminal(terminal) => {
                terminal.write_all(data).await?;
                terminal.flush().await
            }
        }
    }

    /// Takes what is fed until its end. A command that does not read any more is not an error.
    async fn take(mut self, mut fed: mpsc::Receiver<Fed>) {
        loop {
            match fed.recv().await {
                Some(Fed::Data(data)) => {
                    if self.write(&data).await.is_err() {
                        return;
                    }
                }
                Some(Fed::End) => break,
                // The client has left without a word.
                None => return,
            }
        }
        if let Input::Terminal(_) = &self {
            let _ = self.write(&[END_OF_TRANSMISSION]).await;
        }
    }
}

/// What a client converses with: a command, or a container that runs anyway.
pub(super) trait Peer: Send {
    /// How it ended; asked once.
    fn end(&mut self) -> impl Future<Output = Result<Exit, sandbox::Error>> + Send;
    /// The client has left.
    fn leave(&self) -> impl Future<Output = ()> + Send;
    fn resize(&self, columns: u16, rows: u16) -> Result<(), sandbox::Error>;
}

impl Peer for Exec {
    async fn end(&mut self) -> Result<Exit, sandbox::Error> {
        self.wait().await
    }

    async fn leave(&self) {
        self.kill().await;
    }

    fn resize(&self, columns: u16, rows: u16) -> Result<(), sandbox::Error> {
        Exec::resize(self, columns, rows)
    }
}

/// Carries the streams until the command has ended or the client has left.
pub(super) async fn converse(
    mut exec: impl Peer,
    input: Option<Input>,
    mut outgoing: mpsc::Receiver<(u8, Vec<u8>)>,
    mut speaker: Speaker,
    mut listener: Listener,
) {
    // Input is written beside the rest: a command may wait for its output to be read before it reads more.
    let (feed, fed) = mpsc::channel::<Fed>(1);
    if let Some(input) = input {
        tokio::spawn(input.take(fed));
    }
    let mut feed = Some(feed);
    let mut waiting: Option<Fed> = None;
    let mut output_open = true;
    let mut exit: Option<Exit> = None;
    loop {
        if let (Some(exit), false) = (exit, output_open) {
            let status = if exit.code == 0 { channel::success() } else { channel::exited(exit.code) };
            return speaker.finish(&status, listener).await;
        }
        tokio::select! {
            message = outgoing.recv(), if output_open => match message {
                Some((channel, data)) => {
                    if !speaker.say(channel, &data).await {
                        return exec.leave().await;
                    }
                }
                None => output_open = false,
            },
            said = listener.next(), if waiting.is_none() => match said {
                Said::Stdin(data) => waiting = Some(Fed::Data(data)),
                Said::StdinClosed => waiting = Some(Fed::End),
                Said::Resize { columns, rows } => {
                    if let Err(error) = exec.resize(columns, rows) {
                        tracing::debug!(%error, "failed to resize a terminal");
                    }
                }
                Said::Gone => return exec.leave().await,
            },
            more = pass(feed.as_ref(), &mut waiting), if waiting.is_some() => {
                if !more {
                    feed = None;
                }
            },
            ended = exec.end(), if exit.is_none() => match ended {
                Ok(ended) => exit = Some(ended),
                Err(error) => {
                    let status = Status::internal(format!("failed to wait for the command: {error}"));
                    return speaker.finish(&status.to_json(), listener).await;
                }
            },
        }
    }
}

/// Hands on what waits, when there is room; whether more may follow. Nothing is lost when this is given up half-way.
async fn pass(feed: Option<&mpsc::Sender<Fed>>, waiting: &mut Option<Fed>) -> bool {
    let permit = match feed {
        Some(feed) => feed.reserve().await.ok(),
        None => None,
    };
    let ends = matches!(waiting, Some(Fed::End) | None);
    match (permit, waiting.take()) {
        (Some(permit), Some(fed)) => permit.send(fed),
        // Nobody reads it.
        _ => return false,
    }
    !ends
}

/// Starts reading the command's output; gives its input.
fn take_streams(
    exec: &mut Exec,
    messages: mpsc::Sender<(u8, Vec<u8>)>,
    shown: &[u8],
) -> io::Result<Option<Input>> {
    if let Some(pty) = exec.pty.take() {
        let output = tokio::fs::File::from_std(pty.try_clone()?.into());
        tokio::spawn(copy(output, STDOUT, messages));
        return Ok(Some(Input::Terminal(tokio::fs::File::from_std(pty.into()))));
    }
    let streams: [(u8, Option<OwnedFd>); 2] = [(STDOUT, exec.stdout.take()), (STDERR, exec.stderr.take())];
    for (channel, end) in streams {
        if let Some(end) = end.filter(|_| shown.contains(&channel)) {
            tokio::spawn(copy(pipe::Receiver::from_owned_fd(end)?, channel, messages.clone()));
        }
    }
    exec.stdin.take().map(|end| pipe::Sender::from_owned_fd(end).map(Input::Pipe)).transpose()
}

/// Reads one stream to its end.
pub(super) async fn copy(
    mut from: impl tokio::io::AsyncRead + Unpin,
    channel: u8,
    messages: mpsc::Sender<(u8, Vec<u8>)>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    // A terminal whose last process is gone answers with an error instead of an end.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if messages.send((channel, buffer[..count].to_vec())).await.is_err() {
            return;
        }
    }
}
