//! One forwarded connection: made inside the pod's network, copied both ways until both sides are done.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::super::spdy::{Id, Sender};
use super::Pod;

/// A port of the pod's own loopback answers at once or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Data read from the pod at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// The two streams of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub(super) error: Id,
    pub(super) data: Id,
}

pub(super) struct Relay {
    pub(super) pod: Pod,
    pub(super) port: u16,
    pub(super) streams: Streams,
    pub(super) sender: Sender,
}

impl Relay {
    pub(super) async fn run(self, data: mpsc::Receiver<Bytes>) {
        let said = match self.connect().await {
            Ok(stream) => {
                let (from, to) = stream.into_split();
                self.copy(from, to, data).await.err()
            }
            Err(error) => Some(error),
        };
        let text = said.map(|error| {
            let Pod { name, uid, .. } = &self.pod;
            format!("error forwarding port {} to pod {name}, uid {uid}: {error}", self.port)
        });
        // A client that has left is told nothing.
        let _ = self.sender.data(self.streams.error, text.unwrap_or_default().as_bytes(), true).await;
        let _ = self.sender.data(self.streams.data, b"", true).await;
    }

    /// Both ways, until the pod has said all it has: older clients wait for the end of both streams then.
    async fn copy(
        &self,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
        data: mpsc::Receiver<Bytes>,
    ) -> io::Result<()> {
        let down = self.down(from);
        tokio::pin!(down);
        tokio::select! {
            result = &mut down => result,
            result = up(to, data) => {
                result?;
                down.await
            }
        }
    }

    /// From inside the pod: what listens on its loopback alone is reached too.
    async fn connect(&self) -> io::Result<TcpStream> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port);
        let Some(netns) = self.pod.netns.clone() else { return TcpStream::connect(address).await };
        let dial = move || net::connect_in(&netns, address, CONNECT_MAX);
        let stream = tokio::task::spawn_blocking(dial).await.map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        TcpStream::from_std(stream)
    }

    /// The pod's words to the client.
    async fn down(&self, mut from: OwnedReadHalf) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            self.sender.data(self.streams.data, &buffer[..count], false).await?;
        }
    }
}

/// The client's words to the pod; an empty piece is their end.
async fn up(mut to: OwnedWriteHalf, mut data: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(piece) = data.recv().await {
        if piece.is_empty() {
            break;
        }
        if let Err(error) = to.write_all(&piece).await {
            // A server that has answered and closed needs no more; what it said is on its way.
            let closed = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
            return if closed { Ok(()) } else { Err(error) };
        }
    }
    to.shutdown().await.or(Ok(()))
}
