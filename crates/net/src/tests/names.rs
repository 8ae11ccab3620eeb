//! Cluster DNS over real sockets: zone answers, forwarded names, odd queries.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType as Type};

use super::host::{PATIENCE, SILENCE, on_a_host, open};
use crate::dns::{Answer, Record, RecordType, Server, Zone};
use crate::{PortEntry, Protocol, ServiceEntry};

const CLUSTER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);
const UPSTREAM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), 53);

/// A zone of a few fixed names.
struct Fake(&'static str);

impl Zone for Fake {
    fn origin(&self) -> &str {
        self.0
    }

    fn lookup(&self, name: &str, kind: RecordType) -> Answer {
        if (name, kind) == ("7.0.43.10.in-addr.arpa.", RecordType::Ptr) {
            return Answer::Records(vec![Record::Ptr(format!("web.{}", self.0))]);
        }
        let Some(label) = name.strip_suffix(self.0) else { return Answer::Foreign };
        let srv = || Record::Srv { priority: 0, weight: 50, port: 80, target: format!("web.{}", self.0) };
        match (label, kind) {
            ("web.", RecordType::A) => Answer::Records(vec![Record::A(Ipv4Addr::new(10, 43, 0, 7))]),
            ("many.", RecordType::A) => {
                Answer::Records((0..200).map(|n| Record::A([10, 42, 0, n].into())).collect())
            }
            ("_http._tcp.web.", RecordType::Srv) => Answer::Records(vec![srv()]),
            ("web." | "many." | "_http._tcp.web.", _) => Answer::Records(vec![]),
            ("near.", _) => Answer::Records(vec![Record::Cname(format!("web.{}", self.0))]),
            ("far.", _) => Answer::Records(vec![Record::Cname("web.example.".to_owned())]),
            ("loop.", _) => Answer::Records(vec![Record::Cname(format!("loop.{}", self.0))]),
            _ => Answer::Missing,
        }
    }
}

async fn start(dir: &Path) -> (Server, Server) {
    let config = dir.parent().unwrap().join("resolv.conf");
    std::fs::write(&config, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n").unwrap();
    let cluster =
        Server::with_resolvers(&[CLUSTER], Arc::new(Fake("cluster.local.")), config.clone()).await.unwrap();
    let nobody = dir.parent().unwrap().join("nobody.conf");
    std::fs::write(&nobody, "nameserver 127.0.0.2\n").unwrap();
    let upstream = Server::with_resolvers(&[UPSTREAM], Arc::new(Fake("example.")), nobody).await.unwrap();
    (cluster, upstream)
}

fn query(name: &str, kind: Type) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// Asks from a thread, for the server runs on the test's own.
async fn ask(message: Message, udp: bool) -> Message {
    let bytes = message.to_vec().unwrap();
    let answer = tokio::task::spawn_blocking(move || exchange(&bytes, udp, PATIENCE)).await.unwrap().unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.id, message.metadata.id);
    answer
}

fn exchange(bytes: &[u8], udp: bool, patience: Duration) -> std::io::Result<Vec<u8>> {
    let mut answer = vec![0; 65_535];
    if udp {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(patience))?;
        socket.send_to(bytes, CLUSTER)?;
        let (length, _) = socket.recv_from(&mut answer)?;
        answer.truncate(length);
    } else {
        let mut stream = TcpStream::connect(CLUSTER)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), bytes].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        answer.truncate(u16::from_be_bytes(length).into());
        stream.read_exact(&mut answer)?;
    }
    Ok(answer)
}

fn texts(message: &Message) -> Vec<String> {
    message.answers.iter().map(ToString::to_string).collect()
}

#[test]
fn names_of_the_zone() {
    on_a_host(|dir| async move {
        let _servers = start(&dir).await;
        for udp in [true, false] {
            let web = ask(query("Web.Cluster.Local.", Type::A), udp).await;
            assert_eq!(texts(&web), ["Web.Cluster.Local. 5 IN A 10.43.0.7"], "the spelling of the question");
            assert!(web.metadata.authoritative && web.metadata.recursion_available);
            let none = ask(query("web.cluster.local.", Type::AAAA), udp).await;
            assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NoError, 0));
            assert_eq!(none.authorities.len(), 1, "a SOA says how long");
            let missing = ask(query("nope.cluster.local.", Type::A), udp).await;
            assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
            let srv = ask(query("_http._tcp.web.cluster.local.", Type::SRV), udp).await;
            assert_eq!(texts(&srv), ["_http._tcp.web.cluster.local. 5 IN SRV 0 50 80 web.cluster.local."]);
            let reverse = ask(query("7.0.43.10.in-addr.arpa.", Type::PTR), udp).await;
            assert_eq!(texts(&reverse), ["7.0.43.10.in-addr.arpa. 5 IN PTR web.cluster.local."]);
            let alias = ask(query("near.cluster.local.", Type::A), udp).await;
            assert_eq!(alias.answers.len(), 2);
            let alias = ask(query("near.cluster.local.", Type::CNAME), udp).await;
            assert_eq!(texts(&alias), ["near.cluster.local. 5 IN CNAME web.cluster.local."]);
            let circle = ask(query("loop.cluster.local.", Type::A), udp).await;
            assert_eq!(circle.metadata.response_code, ResponseCode::ServFail);
        }
    });
}

#[test]
fn foreign_names_and_aliases_to_them() {
    on_a_host(|dir| async move {
        let (_cluster, upstream) = start(&dir).await;
        for udp in [true, false] {
            let web = ask(query("web.example.", Type::A), udp).await;
            assert_eq!(texts(&web), ["web.example. 5 IN A 10.43.0.7"]);
            let missing = ask(query("nope.example.", Type::A), udp).await;
            assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
            let far = ask(query("far.cluster.local.", Type::A), udp).await;
            assert_eq!(
                texts(&far),
                ["far.cluster.local. 5 IN CNAME web.example.", "web.example. 5 IN A 10.43.0.7"]
            );
            let dead = ask(query("web.elsewhere.", Type::A), udp).await;
            assert_eq!(dead.metadata.response_code, ResponseCode::ServFail, "no resolver knows");
        }
        drop(upstream);
        let gone = ask(query("web.example.", Type::A), true).await;
        assert_eq!(gone.metadata.response_code, ResponseCode::ServFail);
    });
}

#[test]
fn long_answers_are_cut_over_udp_and_whole_over_tcp() {
    on_a_host(|dir| async move {
        let _servers = start(&dir).await;
        let short = ask(query("many.cluster.local.", Type::A), true).await;
        assert!(short.metadata.truncation);
        assert!(short.to_vec().unwrap().len() <= 512);
        let whole = ask(query("many.cluster.local.", Type::A), false).await;
        assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 200));
    });
}

#[test]
fn what_is_no_query_is_told_so_or_dropped() {
    on_a_host(|dir| async move {
        let _servers = start(&dir).await;
        let exchange_within = async |patience, bytes: Vec<u8>| {
            let answer = tokio::task::spawn_blocking(move || exchange(&bytes, true, patience)).await.unwrap();
            answer.map(|answer| Message::from_vec(&answer).unwrap().metadata.response_code)
        };
        let mut torn = query("web.cluster.local.", Type::A).to_vec().unwrap();
        torn.truncate(20);
        assert_eq!(exchange_within(PATIENCE, torn).await.unwrap(), ResponseCode::FormErr);
        let mut update = query("web.cluster.local.", Type::A).to_vec().unwrap();
        update[2] |= 5 << 3;
        assert_eq!(exchange_within(PATIENCE, update).await.unwrap(), ResponseCode::NotImp);
        let mut response = query("web.cluster.local.", Type::A).to_vec().unwrap();
        response[2] |= 0x80;
        assert!(exchange_within(SILENCE, response).await.is_err(), "a response is not answered");
        let fine = exchange_within(PATIENCE, query("web.cluster.local.", Type::A).to_vec().unwrap()).await;
        assert_eq!(fine.unwrap(), ResponseCode::NoError);
    });
}

/// What pods do: ask the DNS service's address, which leads to the gateway.
#[test]
fn pods_and_guests_ask_the_cluster_address() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let at_gateway = SocketAddrV4::new(network.gateway(), 53);
        let _server = Server::start(&[at_gateway], Arc::new(Fake("cluster.local."))).await.unwrap();
        let port = |protocol| PortEntry { protocol, port: 53, node_port: None, endpoints: vec![at_gateway] };
        let dns = ServiceEntry {
            name: "kube-system/kube-dns".to_owned(),
            cluster_ip: network.dns_address(),
            ports: vec![port(Protocol::Udp), port(Protocol::Tcp)],
            session_affinity: None,
        };
        network.apply_services(vec![dns]).await.unwrap();
        let address = SocketAddrV4::new(network.dns_address(), 53);
        for lease in [network.lease().await.unwrap(), network.lease_guest().await.unwrap()] {
            let bytes = query("web.cluster.local.", Type::A).to_vec().unwrap();
            let asked = tokio::task::spawn_blocking(move || {
                let inside = std::fs::File::open(&lease.netns).unwrap();
                super::host::inside(&inside, || {
                    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                    socket.set_read_timeout(Some(PATIENCE)).unwrap();
                    socket.send_to(&bytes, address).unwrap();
                    let mut answer = vec![0; 512];
                    let (length, from) = socket.recv_from(&mut answer).unwrap();
                    assert_eq!(from, address.into(), "answers come from where the question went");
                    Message::from_vec(&answer[..length]).unwrap().answers.len()
                })
            });
            assert_eq!(asked.await.unwrap(), 1);
        }
    });
}
