//! Connections from outside into an instance's network: to a server of its own, say. They need no route and no port of
//! the host, because a socket reaches what the namespace reaches that it was made in.
use super::Instance;
use crate::host::blocking;
use std::io;
use std::net::{SocketAddrV4, TcpStream as StdStream};
use std::os::fd::OwnedFd;
use std::sync::{MutexGuard, PoisonError};
use tokio::net::{TcpSocket, TcpStream};

/// Sockets made in one visit of the namespace, which costs more than the sockets do: whoever waits for a server to come
/// up tries many times.
const SOCKETS_AT_ONCE: usize = 4;

impl Instance {
    /// A connection to an address as seen from inside, such as `127.0.0.1:8080`.
    pub async fn connect(&self, address: SocketAddrV4) -> io::Result<TcpStream> {
        let socket = self.sockets().pop();
        let socket = match socket {
            Some(socket) => socket,
            None => self.make_sockets().await?,
        };
        let stream = TcpSocket::from_std_stream(StdStream::from(socket)).connect(address.into()).await?;
        self.still_there()?;
        Ok(stream)
    }

    async fn make_sockets(&self) -> io::Result<OwnedFd> {
        let netns = self.netns.clone();
        let made = blocking(move || {
            net::sockets_in(&netns, SOCKETS_AT_ONCE).map_err(crate::Error::io("making sockets inside"))
        });
        let mut made = made.await.map_err(io::Error::other)?;
        self.still_there()?;
        let first = made.pop().ok_or_else(|| io::Error::other("no socket was made"))?;
        self.sockets().extend(made);
        Ok(first)
    }

    /// The network goes back to where it came from when the instance has ended: what was made before is its own.
    fn still_there(&self) -> io::Result<()> {
        match self.end.borrow().is_some() {
            true => Err(io::ErrorKind::NotConnected.into()),
            false => Ok(()),
        }
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
