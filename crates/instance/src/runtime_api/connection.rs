//! One connection of a runtime. What runtimes ask for all the time is answered here; the first other request goes on, with
//! its connection, to hyper.
//!
//! A runtime may send its next request without waiting for the answer to the one before, as HTTP/1.1 lets it (RFC 9112,
//! section 9.3.2), and dory's own do: an answer and the wish for the next event come together. Then the word that the
//! answer was accepted, which nobody waits for, goes out with the next event: each invocation wakes the runtime once, and
//! not twice. In between there is nothing that it could do with that word: it is about to be frozen.

use super::request::{self, Reading, Usual};
use super::stream::Stream;
use super::wire::{put_accepted, put_event, put_head};
use super::{Call, ERROR_TYPE_UNKNOWN, accepted};
use crate::instance::{Instance, Refusal};
use bytes::{Buf, Bytes, BytesMut};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Room for one request of a small answer, and the next.
const BUFFER_BYTES: usize = 4096;

/// What is kept of a buffer that had to grow.
const BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// Bodies up to this size are written together with what says so.
const COPIED_BYTES_MAX: usize = 16 * 1024;

pub(super) struct Connection {
    stream: Stream,
    instance: Arc<Instance>,
    /// What was read and is not worked off.
    read: BytesMut,
    /// What is to be written.
    write: BytesMut,
}

/// What follows a step.
enum Then {
    Go,
    /// The other end has closed it.
    End,
    /// The rest is not for this file.
    HandOn,
}

impl Connection {
    pub(super) fn new(stream: Stream, instance: Arc<Instance>) -> Connection {
        let read = BytesMut::with_capacity(BUFFER_BYTES);
        Connection { stream, instance, read, write: BytesMut::new() }
    }

    /// Serves it to its end, or up to a request that is left to others: gives what is read of that one, and the connection.
    pub(super) async fn serve(mut self) -> io::Result<Option<(Bytes, Stream)>> {
        loop {
            match self.step().await? {
                Then::Go => {}
                Then::End => return Ok(None),
                Then::HandOn => {
                    self.flush().await?;
                    return Ok(Some((self.read.freeze(), self.stream)));
                }
            }
        }
    }

    async fn step(&mut self) -> io::Result<Then> {
        let (length, answer) = match request::read(&self.read) {
            Reading::Other => return Ok(Then::HandOn),
            Reading::Part(missing) => return self.fill(missing).await,
            Reading::Usual(Usual { call: Call::Next, length, .. }) => (length, None),
            Reading::Usual(usual) => (usual.length, Some(answer(&self.instance, &usual))),
        };
        self.read.advance(length);
        if self.read.is_empty() && self.read.capacity() > BUFFER_BYTES_KEPT {
            self.read = BytesMut::with_capacity(BUFFER_BYTES);
        }
        match answer {
            None => self.next().await,
            Some(Ok(())) => {
                put_accepted(&mut self.write);
                Ok(Then::Go)
            }
            Some(Err(refusal)) => self.refuse(refusal).await,
        }
    }

    /// Reads more. Whoever has to send it may wait for what is to be written.
    async fn fill(&mut self, missing: usize) -> io::Result<Then> {
        self.flush().await?;
        self.read.reserve(missing.max(BUFFER_BYTES / 2));
        // A body that breaks off is told by who knows how.
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) | Err(_) if !self.read.is_empty() => Ok(Then::HandOn),
            Ok(0) => Ok(Then::End),
            Ok(_) => Ok(Then::Go),
            Err(error) => Err(error),
        }
    }

    /// Waits for an event, for as long as the runtime does. What is to be written waits too.
    async fn next(&mut self) -> io::Result<Then> {
        let instance = self.instance.clone();
        let mut work = pin!(instance.next_of_runtime());
        let answer = loop {
            let room = self.read.len() < BUFFER_BYTES;
            tokio::select! {
                biased;
                work = &mut work => break work,
                ready = self.stream.readable(), if room => {
                    ready?;
                    self.read.reserve(1);
                    match self.stream.try_read_buf(&mut self.read) {
                        Ok(0) => return Ok(Then::End),
                        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        };
        match answer {
            Ok(work) => {
                put_event(&mut self.write, &work);
                self.finish(&work.payload).await
            }
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    async fn refuse(&mut self, refusal: Refusal) -> io::Result<Then> {
        let answer = accepted(Err(refusal));
        put_head(&mut self.write, &answer);
        self.finish(answer.body()).await
    }

    /// Writes what there is to write, and this body. A large one is not copied for it.
    async fn finish(&mut self, body: &Bytes) -> io::Result<Then> {
        let copied = body.len() <= COPIED_BYTES_MAX;
        if copied {
            self.write.extend_from_slice(body);
        }
        self.flush().await?;
        if !copied {
            self.stream.write_all(body).await?;
        }
        Ok(Then::Go)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.write.is_empty() {
            self.stream.write_all(&self.write).await?;
            self.write.clear();
        }
        Ok(())
    }
}

fn answer(instance: &Instance, usual: &Usual<'_>) -> Result<(), Refusal> {
    let body = Bytes::copy_from_slice(usual.body);
    match usual.call {
        Call::Error(id) => instance.fail(id, body, usual.error_type.unwrap_or(ERROR_TYPE_UNKNOWN)),
        Call::Response(id) => instance.respond(id, body, usual.content_type.map(str::to_owned)),
        // The other usual call has no answer yet.
        _ => Err(Refusal::State),
    }
}
