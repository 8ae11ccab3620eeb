//! `/exec/{namespace}/{pod}/{container}`: a command in a running container, its streams over WebSocket.

use std::io;
use std::os::fd::OwnedFd;

use http::Response;
use object::Status;
use sandbox::{Exec, ExecSpec, Exit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::channel::{self, Listener, STDERR, STDOUT, Said, Speaker};
use super::{Call, log};
use crate::node::Body;

/// Output read at once; one message.
const CHUNK_BYTES: usize = 16 * 1024;
/// Messages that wait for a slow client; the command's output waits behind them.
const MESSAGES_MAX: usize = 8;
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
    let (response, upgrade) = channel::open(&mut call.request)?;
    let shown: Vec<u8> = show.into_iter().filter(|(_, shown)| *shown).map(|(channel, _)| channel).collect();
    tokio::spawn(async move {
        let Ok((mut speaker, listener)) = channel::accept(upgrade).await else { return };
        // kubectl waits for a first message to know that the other side is there.
        speaker.say(shown.first().copied().unwrap_or(STDOUT), b"").await;
        match sandbox.exec(&call.container, spec).await {
            Ok(exec) => converse(exec, speaker, listener, &shown).await,
            Err(error) => {
                let status = Status::internal(format!("error executing command in container: {error}"));
                speaker.finish(&status.to_json()).await;
            }
        }
    });
    Ok(response)
}

/// The near end of a terminal or of pipes.
enum Input {
    Pipe(pipe::Sender),
    Terminal(tokio::fs::File),
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
}

/// Carries the streams until the command has ended or the client has left.
async fn converse(mut exec: Exec, mut speaker: Speaker, mut listener: Listener, shown: &[u8]) {
    let (messages, mut outgoing) = mpsc::channel::<(u8, Vec<u8>)>(MESSAGES_MAX);
    let mut input = match take_streams(&mut exec, messages, shown) {
        Ok(input) => input,
        Err(error) => {
            let status = Status::internal(format!("failed to connect the command's streams: {error}"));
            return speaker.finish(&status.to_json()).await;
        }
    };
    let mut output_open = true;
    let mut exit: Option<Exit> = None;
    loop {
        if let (Some(exit), false) = (exit, output_open) {
            let status = if exit.code == 0 { channel::success() } else { channel::exited(exit.code) };
            return speaker.finish(&status).await;
        }
        tokio::select! {
            message = outgoing.recv(), if output_open => match message {
                Some((channel, data)) => {
                    if !speaker.say(channel, &data).await {
                        return exec.kill().await;
                    }
                }
                None => output_open = false,
            },
            said = listener.next() => match said {
                Said::Stdin(data) => {
                    let written = match &mut input {
                        Some(input) => input.write(&data).await,
                        None => Ok(()),
                    };
                    // A command that does not read any more is not an error.
                    if written.is_err() {
                        input = None;
                    }
                }
                Said::StdinClosed => {
                    if let Some(Input::Terminal(terminal)) = &mut input {
                        let _ = terminal.write_all(&[END_OF_TRANSMISSION]).await;
                        let _ = terminal.flush().await;
                    } else {
                        input = None;
                    }
                }
                Said::Resize { columns, rows } => {
                    if let Err(error) = exec.resize(columns, rows) {
                        tracing::debug!(%error, "failed to resize a terminal");
                    }
                }
                Said::Gone => return exec.kill().await,
            },
            ended = exec.wait(), if exit.is_none() => match ended {
                Ok(ended) => exit = Some(ended),
                Err(error) => {
                    let status = Status::internal(format!("failed to wait for the command: {error}"));
                    return speaker.finish(&status.to_json()).await;
                }
            },
        }
    }
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
async fn copy(
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
