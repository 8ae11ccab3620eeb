//! SPDY/3.1 as far as clients of Kubernetes use it for exec, attach and port-forward: streams that the client opens, data
//! both ways, ends of either. No priorities, no push; windows are granted as data is taken, and none is waited for,
//! since those clients (moby/spdystream) keep none.

mod frame;
mod header;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc};

use self::frame::{Frame, Read};
use self::header::{Deflate, Inflate};

/// Events that wait for whoever serves the connection; reading waits behind them.
const EVENTS_MAX: usize = 8;
/// Streams that a client may have open: a port-forward has two for each of its connections.
const STREAMS_MAX: usize = 2048;
/// `REFUSED_STREAM` of the specification.
const REFUSED: u32 = 3;

/// Names a stream of one connection.
pub(super) type Id = u32;

/// What the client does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Opened {
        id: Id,
        headers: Vec<(String, String)>,
    },
    Data {
        id: Id,
        data: Bytes,
    },
    /// It sends no more on this stream.
    Ended {
        id: Id,
    },
}

/// The reading half of a connection, whatever carries it.
pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// The writing half.
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

struct Out {
    writer: Writer,
    deflate: Deflate,
}

/// Sends frames; shared by whoever has something to say on a stream.
#[derive(Clone)]
pub(super) struct Sender(Arc<Mutex<Out>>);

/// Begins to serve a connection. The events end when the client has left.
pub(super) fn serve(reader: Reader, writer: Writer) -> (mpsc::Receiver<Event>, Sender) {
    let sender = Sender(Arc::new(Mutex::new(Out { writer, deflate: Deflate::new() })));
    let (events, received) = mpsc::channel(EVENTS_MAX);
    let answers = sender.clone();
    tokio::spawn(async move {
        let read = listen(Read::new(reader, Inflate::new()), &events, &answers);
        let result = tokio::select! {
            result = read => result,
            () = events.closed() => return,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a SPDY connection ended");
        }
    });
    (received, sender)
}

/// Reads frames until the client leaves; answers what needs no decision.
async fn listen(mut frames: Read, events: &mpsc::Sender<Event>, answers: &Sender) -> io::Result<()> {
    let mut open = HashSet::new();
    while let Some(frame) = frames.next().await? {
        let (event, fin) = match frame {
            Frame::Open { id, .. } if open.len() >= STREAMS_MAX => {
                answers.send(&frame::reset(id, REFUSED)).await?;
                continue;
            }
            Frame::Open { id, headers, fin } => {
                open.insert(id);
                answers.reply(id).await?;
                (Event::Opened { id, headers }, fin.then_some(id))
            }
            Frame::Data { id, data, fin } => {
                let taken = u32::try_from(data.len()).unwrap_or(u32::MAX);
                if taken > 0 && !fin {
                    answers.send(&frame::window(id, taken)).await?;
                }
                if taken > 0 {
                    answers.send(&frame::window(0, taken)).await?;
                }
                (Event::Data { id, data }, fin.then_some(id))
            }
            Frame::Reset { id } => {
                open.remove(&id);
                (Event::Ended { id }, None)
            }
            Frame::Ping { id } => {
                answers.send(&frame::ping(id)).await?;
                continue;
            }
            Frame::GoAway => return Ok(()),
            Frame::Other => continue,
        };
        let empty = matches!(&event, Event::Data { data, .. } if data.is_empty());
        if !empty && events.send(event).await.is_err() {
            return Ok(());
        }
        if let Some(id) = fin {
            open.remove(&id);
            if events.send(Event::Ended { id }).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Sender {
    async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let out = &mut *self.0.lock().await;
        out.writer.write_all(bytes).await?;
        out.writer.flush().await
    }

    async fn reply(&self, id: Id) -> io::Result<()> {
        let out = &mut *self.0.lock().await;
        let block = out.deflate.empty()?;
        out.writer.write_all(&frame::reply(id, &block)).await?;
        out.writer.flush().await
    }

    /// Sends data on a stream; with `fin` nothing more will come on it.
    pub(super) async fn data(&self, id: Id, data: &[u8], fin: bool) -> io::Result<()> {
        let out = &mut *self.0.lock().await;
        out.writer.write_all(&frame::data_head(id, data.len(), fin)).await?;
        out.writer.write_all(data).await?;
        out.writer.flush().await
    }

    /// Ends the connection from this side.
    pub(super) async fn shutdown(&self) {
        // Whoever has left already needs no farewell.
        let _ = self.0.lock().await.writer.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
