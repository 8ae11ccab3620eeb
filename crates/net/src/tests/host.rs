//! A pretended host, an outside world beside it, and traffic between namespaces.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::UnshareFlags;

use crate::link::{End, Links};
use crate::{Network, Settings, namespace};

/// Longer than any answer takes here, on a busy machine too; a connection that hangs is a failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long it is waited for an answer that must not come.
pub(super) const SILENCE: Duration = Duration::from_secs(2);
/// The host's and the outside world's address on the link between them.
pub(super) const HOST_OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const NEAR: [u8; 6] = [0x0a, 0, 0, 0, 0, 1];
const FAR: [u8; 6] = [0x0a, 0, 0, 0, 0, 2];

/// Runs a test on a host of its own. The directory is for [`settings`].
pub(super) fn on_a_host<F: Future<Output = ()>>(test: impl FnOnce(PathBuf) -> F + Send) {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: this thread alone gets other namespaces; it shares no file system state with other threads
            // afterwards, which none of them relies on.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            Links::open().unwrap().up(1).unwrap();
            // One thread: what the test does asynchronously stays in its namespaces.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test(dir.path().join("net")));
        });
    });
}

pub(super) fn settings(dir: &Path, owner: &str) -> Settings {
    Settings { dir: dir.join(owner), owner: owner.to_owned(), pool: 2, expose_node_ports: false }
}

pub(super) async fn open(dir: &Path, owner: &str) -> Network {
    Network::open(settings(dir, owner)).await.unwrap()
}

/// A namespace linked to the host, as another machine would be. It has no route to pods. Alive while the file is open.
pub(super) fn outside() -> File {
    let host = namespace::current().unwrap();
    let mut here = Links::open().unwrap();
    let outside = std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            namespace::unshare().unwrap();
            let mut links = Links::open().unwrap();
            links.up(1).unwrap();
            let (near, far) = (End { name: "lan0", hardware: NEAR }, End { name: "lan1", hardware: FAR });
            links.create_veth(&near, &far, host.as_fd(), 0).unwrap();
            let lan = links.index("lan0").unwrap();
            links.add_address(lan, OUTSIDE, 24).unwrap();
            links.up(lan).unwrap();
            namespace::current().unwrap()
        });
        made.join().unwrap()
    });
    let lan = here.index("lan1").unwrap();
    here.add_address(lan, HOST_OUTSIDE, 24).unwrap();
    here.up(lan).unwrap();
    outside
}

/// Runs `work` with the thread inside a namespace.
pub(super) fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            namespace::enter(namespace).unwrap();
            work()
        });
        working.join().unwrap()
    })
}

/// A TCP server that greets every client with `greeting` and the client's address. It ends with the test's process;
/// its socket keeps the namespace alive only as long.
pub(super) fn serve(namespace: &File, address: SocketAddrV4, greeting: &'static str) {
    let listener = inside(namespace, || TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let peer = client.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
            let _ = client.write_all(format!("{greeting} {peer}").as_bytes());
        }
    });
}

/// A UDP server that answers every datagram likewise.
pub(super) fn serve_udp(namespace: &File, address: SocketAddrV4, greeting: &'static str) {
    let socket = inside(namespace, || UdpSocket::bind(address).unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{greeting} {}", peer.ip()).as_bytes(), peer);
        }
    });
}

/// What the TCP server at `address` says to a client in `namespace`.
pub(super) fn ask(namespace: &File, address: SocketAddrV4) -> io::Result<String> {
    ask_within(PATIENCE, namespace, address)
}

/// The same, with so much patience.
pub(super) fn ask_within(patience: Duration, namespace: &File, address: SocketAddrV4) -> io::Result<String> {
    inside(namespace, || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::V4(address), patience)?;
        stream.set_read_timeout(Some(patience))?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    })
}

/// What the UDP server at `address` says to a client in `namespace`.
pub(super) fn ask_udp(namespace: &File, address: SocketAddrV4) -> io::Result<String> {
    inside(namespace, || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(b"?")?;
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
}
