//! What a runtime calls over: a connection that it has made, or the two pipes that it was handed. Between two processes of
//! one machine a message through a pipe costs an eighth of one over TCP. A Unix socket costs a quarter, and more than that
//! in truth: whoever takes a message out of it wakes the one who sent it, to say that there is room.

use bytes::BufMut;
use sandbox::Pipes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::unix::pipe::{Receiver, Sender};

pub(crate) enum Stream {
    Tcp(TcpStream),
    Pipes(Receiver, Sender),
}

impl Stream {
    pub(crate) fn piped(pipes: Pipes) -> io::Result<Stream> {
        Ok(Stream::Pipes(Receiver::from_owned_fd(pipes.reader)?, Sender::from_owned_fd(pipes.writer)?))
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.readable().await,
            Stream::Pipes(reader, _) => reader.readable().await,
        }
    }

    pub(super) fn try_read_buf(&self, into: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_read_buf(into),
            Stream::Pipes(reader, _) => reader.try_read_buf(into),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, into),
            Stream::Pipes(reader, _) => Pin::new(reader).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, data),
            Stream::Pipes(_, writer) => Pin::new(writer).poll_write(context, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Pipes(_, writer) => Pin::new(writer).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Pipes(_, writer) => Pin::new(writer).poll_shutdown(context),
        }
    }
}
