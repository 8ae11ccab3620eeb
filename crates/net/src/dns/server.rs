//! The sockets of cluster DNS. Zone answers are sent from the receiving task; forwarded queries get tasks of their
//! own, as many as `forward` allows.

use std::io;
use std::net::{IpAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Zone;
use super::answer::{Plan, encode, failure, plan};
use super::forward::Forward;

/// RFC 6891's usual largest query; longer datagrams are cut and then malformed.
const QUERY_MAX: usize = 4096;
/// Clients over TCP at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 128;
/// RFC 7766 §6.2.3 asks for seconds: how long a connection may be silent.
const CONNECTION_IDLE: Duration = Duration::from_secs(10);
/// After a failed accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address could not be bound.
    #[error("listen for DNS on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddrV4,
        /// The cause.
        source: io::Error,
    },
}

/// A running DNS server. Dropping it stops it.
pub struct Server {
    tasks: JoinSet<()>,
}

struct Shared {
    zone: Arc<dyn Zone>,
    forward: Forward,
}

impl Server {
    /// Listens on UDP and TCP at every address (usually port 53 of [`crate::Network::gateway`]). Foreign names go to
    /// the resolvers of `/etc/resolv.conf`.
    pub async fn start(addresses: &[SocketAddrV4], zone: Arc<dyn Zone>) -> Result<Server, Error> {
        Server::with_resolvers(addresses, zone, PathBuf::from("/etc/resolv.conf")).await
    }

    /// As [`Server::start`], with the resolvers of another file.
    pub async fn with_resolvers(
        addresses: &[SocketAddrV4],
        zone: Arc<dyn Zone>,
        resolvers: PathBuf,
    ) -> Result<Server, Error> {
        let own = addresses.iter().map(|address| IpAddr::V4(*address.ip())).collect();
        let shared = Arc::new(Shared { zone, forward: Forward::new(resolvers, own) });
        let mut tasks = JoinSet::new();
        for &address in addresses {
            let failed = |source| Error::Bind { address, source };
            let socket = Arc::new(UdpSocket::bind(address).await.map_err(failed)?);
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            tasks.spawn(serve_udp(Arc::clone(&shared), socket));
            tasks.spawn(serve_tcp(Arc::clone(&shared), listener));
        }
        Ok(Server { tasks })
    }

    /// Stops it; when this returns its addresses are free.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Shared {
    /// The answer, if it can be given without asking anybody; else what must be asked.
    fn answer_now(&self, query: &[u8], udp: bool) -> Result<Option<Vec<u8>>, Plan> {
        match plan(&*self.zone, query) {
            Plan::Answer(message) => Ok(encode(&message, udp)),
            Plan::Drop => Ok(None),
            other => Err(other),
        }
    }

    async fn answer_later(&self, plan: Plan, query: &[u8], udp: bool) -> Option<Vec<u8>> {
        match plan {
            Plan::Forward(request) => match self.forward.pass(query, udp).await {
                Some(answer) => Some(answer),
                None => encode(&failure(&request), udp),
            },
            Plan::Follow(mut response, target) => {
                match self.forward.resolve(target).await {
                    Some((records, code)) => {
                        response.add_answers(records);
                        response.metadata.response_code = code;
                        response.metadata.authoritative = false;
                    }
                    None => *response = failure(&response),
                }
                encode(&response, udp)
            }
            Plan::Answer(message) => encode(&message, udp),
            Plan::Drop => None,
        }
    }
}

async fn serve_udp(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut asking = JoinSet::new();
    let mut buffer = vec![0; QUERY_MAX];
    loop {
        while asking.try_join_next().is_some() {}
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An ICMP answer to something sent earlier; the socket is fine.
            Err(_) => continue,
        };
        let query = &buffer[..length];
        match shared.answer_now(query, true) {
            Ok(Some(answer)) => drop(socket.send_to(&answer, client).await),
            Ok(None) => {}
            Err(plan) => {
                let (shared, socket, query) = (Arc::clone(&shared), Arc::clone(&socket), query.to_vec());
                asking.spawn(async move {
                    if let Some(answer) = shared.answer_later(plan, &query, true).await {
                        drop(socket.send_to(&answer, client).await);
                    }
                });
            }
        }
    }
}

async fn serve_tcp(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = serve_connection(&shared, stream).await {
                        tracing::debug!(%error, "a DNS connection ended");
                    }
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve_connection(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let length = match timeout(CONNECTION_IDLE, stream.read_u16()).await {
            Ok(Ok(length)) => usize::from(length),
            // The client is done, or silent for too long.
            _ => return Ok(()),
        };
        let mut query = vec![0; length];
        timeout(CONNECTION_IDLE, stream.read_exact(&mut query)).await??;
        let answer = match shared.answer_now(&query, false) {
            Ok(answer) => answer,
            Err(plan) => shared.answer_later(plan, &query, false).await,
        };
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        timeout(CONNECTION_IDLE, stream.write_all(&[&length.to_be_bytes(), &answer[..]].concat())).await??;
    }
}
