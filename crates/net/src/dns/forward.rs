//! Names that are not the cluster's: the query goes on to the host's resolvers as it came, and their answer back. How
//! many are under way and how long each may take is bounded.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::Record;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many forwarded queries are under way at once; each holds a socket. More are answered with a failure.
const FORWARDS_MAX: usize = 256;
/// How long one resolver gets; clients themselves try again after 5 s, three resolvers fit into that.
const RESOLVER_PATIENCE: Duration = Duration::from_millis(1600);
/// `resolv.conf(5)`: resolvers after the third are not asked.
const RESOLVERS_MAX: usize = 3;
const ANSWER_MAX: usize = 65_535;

/// The way to the host's resolvers.
pub(super) struct Forward {
    config: PathBuf,
    /// Ourselves: a host whose resolver is this server must not make it ask itself.
    own: Vec<IpAddr>,
    under_way: Semaphore,
}

impl Forward {
    /// Asks the resolvers of the file `config`, read anew for every query because hosts change networks.
    pub(super) fn new(config: PathBuf, own: Vec<IpAddr>) -> Forward {
        Forward { config, own, under_way: Semaphore::new(FORWARDS_MAX) }
    }

    /// The first answer any resolver gives to the bytes of a query.
    pub(super) async fn pass(&self, query: &[u8], udp: bool) -> Option<Vec<u8>> {
        let _permit = self.under_way.try_acquire().ok()?;
        let text = tokio::fs::read_to_string(&self.config).await.unwrap_or_default();
        for resolver in resolvers(&text, &self.own) {
            let asked =
                async { if udp { ask_udp(resolver, query).await } else { ask_tcp(resolver, query).await } };
            match timeout(RESOLVER_PATIENCE, asked).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%resolver, %error, "a resolver failed"),
                Err(_) => tracing::debug!(%resolver, "a resolver did not answer"),
            }
        }
        None
    }

    /// The records of a foreign name that one of ours is an alias of.
    pub(super) async fn resolve(&self, query: Query) -> Option<(Vec<Record>, ResponseCode)> {
        let mut request = Message::query();
        request.metadata.recursion_desired = true;
        request.add_query(query);
        let answer = self.pass(&request.to_vec().ok()?, false).await?;
        let answer = Message::from_vec(&answer).ok()?;
        Some((answer.answers, answer.metadata.response_code))
    }
}

/// The `nameserver` lines of a resolv.conf, without ourselves. Without any the resolver is on this host, as in libc.
fn resolvers(config: &str, own: &[IpAddr]) -> Vec<SocketAddr> {
    let lines = config.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    // An IPv6 zone (`fe80::1%eth0`) means nothing here; such a resolver is left out.
    let mut found: Vec<IpAddr> =
        lines.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).collect();
    if found.is_empty() {
        found.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    found.retain(|address| !own.contains(address));
    found.truncate(RESOLVERS_MAX);
    found.into_iter().map(|address| SocketAddr::new(address, 53)).collect()
}

async fn ask_udp(resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    // A fresh socket, and so a port nobody can guess, for every query.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut answer = vec![0; ANSWER_MAX];
    loop {
        let length = socket.recv(&mut answer).await?;
        if length > 2 && answer.get(..2) == query.get(..2) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::resolvers;

    #[test]
    fn resolvers_are_read_as_libc_does() {
        let own = ["10.42.0.1".parse().unwrap()];
        let text =
            |config| -> Vec<String> { resolvers(config, &own).iter().map(ToString::to_string).collect() };
        let three = "# nameserver 9.9.9.9\nsearch x\nnameserver 10.42.0.1\nnameserver 1.1.1.1\n nameserver\t::1 \n\
                     nameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver fe80::1%eth0";
        assert_eq!(text(three), ["1.1.1.1:53", "[::1]:53", "2.2.2.2:53"]);
        assert_eq!(text("options edns0"), ["127.0.0.1:53"]);
    }
}
