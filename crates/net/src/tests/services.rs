//! Service addresses, node ports and protection rules under real traffic.

use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind::ConnectionRefused;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use super::host::{
    HOST_OUTSIDE, OUTSIDE, SILENCE, ask, ask_udp, ask_within, on_a_host, open, outside, serve, serve_udp,
    settings,
};
use crate::{Error, Lease, Network, PortEntry, Protocol, ServiceEntry, namespace};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const VIP: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 99);

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

/// A pod with its namespace.
struct Pod {
    lease: Lease,
    inside: File,
}

impl Pod {
    async fn new(network: &Network) -> Pod {
        Pod::of(network.lease().await.unwrap())
    }

    fn of(lease: Lease) -> Pod {
        Pod { inside: File::open(&lease.netns).unwrap(), lease }
    }

    fn address(&self) -> Ipv4Addr {
        self.lease.address.unwrap()
    }

    fn serving(self, greeting: &'static str) -> Pod {
        serve(&self.inside, at(ANY, 8080), greeting);
        self
    }

    fn endpoint(&self) -> SocketAddrV4 {
        at(self.address(), 8080)
    }
}

fn tcp(port: u16, node_port: Option<u16>, endpoints: &[SocketAddrV4]) -> PortEntry {
    PortEntry { protocol: Protocol::Tcp, port, node_port, endpoints: endpoints.to_vec() }
}

fn service(ports: Vec<PortEntry>) -> ServiceEntry {
    ServiceEntry { name: "default/web".to_owned(), cluster_ip: VIP, ports, session_affinity: None }
}

/// The servers that answer in many asks, and the client address they see.
fn answers(from: &File, address: SocketAddrV4) -> HashSet<String> {
    (0..40).map(|_| ask(from, address).unwrap()).collect()
}

#[test]
fn a_service_spreads_over_its_endpoints_and_follows_changes() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let (client, host) = (Pod::new(&network).await, namespace::current().unwrap());
        let one = Pod::new(&network).await.serving("one");
        let two = Pod::new(&network).await.serving("two");
        let three = Pod::new(&network).await.serving("three");
        let endpoints = [one.endpoint(), two.endpoint(), three.endpoint()];
        network.apply_services(vec![service(vec![tcp(80, None, &endpoints)])]).await.unwrap();
        let seen = |from: &str, who: &[&str]| -> HashSet<String> {
            who.iter().map(|name| format!("{name} {from}")).collect()
        };
        let (pod, gateway) = (client.address().to_string(), network.gateway().to_string());
        assert_eq!(answers(&client.inside, at(VIP, 80)), seen(&pod, &["one", "two", "three"]));
        assert_eq!(answers(&host, at(VIP, 80)), seen(&gateway, &["one", "two", "three"]));
        // One endpoint less: the count, the chain and the keys change.
        network.apply_services(vec![service(vec![tcp(80, None, &endpoints[1..])])]).await.unwrap();
        assert_eq!(answers(&client.inside, at(VIP, 80)), seen(&pod, &["two", "three"]));
        network.apply_services(vec![service(vec![tcp(80, None, &endpoints[..1])])]).await.unwrap();
        assert_eq!(answers(&client.inside, at(VIP, 80)), seen(&pod, &["one"]));
        assert_eq!(ask(&client.inside, at(VIP, 81)).unwrap_err().kind(), ConnectionRefused, "another port");
        for nothing in [vec![service(vec![tcp(80, None, &[])])], vec![]] {
            network.apply_services(nothing).await.unwrap();
            assert_eq!(ask(&client.inside, at(VIP, 80)).unwrap_err().kind(), ConnectionRefused);
            assert_eq!(ask(&host, at(VIP, 80)).unwrap_err().kind(), ConnectionRefused);
            assert_eq!(ask_udp(&client.inside, at(VIP, 80)).unwrap_err().kind(), ConnectionRefused);
        }
    });
}

#[test]
fn a_pod_reaches_itself_through_its_service() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let pod = Pod::new(&network).await.serving("me");
        network.apply_services(vec![service(vec![tcp(80, None, &[pod.endpoint()])])]).await.unwrap();
        assert_eq!(ask(&pod.inside, at(VIP, 80)).unwrap(), format!("me {}", network.gateway()));
    });
}

#[test]
fn udp_and_tcp_on_one_port_are_two_services() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let pod = Pod::new(&network).await.serving("tcp");
        let client = Pod::new(&network).await;
        serve_udp(&pod.inside, at(ANY, 5300), "udp");
        let udp = PortEntry {
            protocol: Protocol::Udp,
            port: 53,
            node_port: None,
            endpoints: vec![at(pod.address(), 5300)],
        };
        network.apply_services(vec![service(vec![tcp(53, None, &[pod.endpoint()]), udp])]).await.unwrap();
        assert_eq!(ask(&client.inside, at(VIP, 53)).unwrap(), format!("tcp {}", client.address()));
        assert_eq!(ask_udp(&client.inside, at(VIP, 53)).unwrap(), format!("udp {}", client.address()));
    });
}

#[test]
fn a_udp_client_follows_when_its_endpoint_goes() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let (one, two, client) =
            (Pod::new(&network).await, Pod::new(&network).await, Pod::new(&network).await);
        serve_udp(&one.inside, at(ANY, 5300), "one");
        serve_udp(&two.inside, at(ANY, 5300), "two");
        let socket = super::host::inside(&client.inside, || std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(super::host::PATIENCE)).unwrap();
        for (pod, says) in [(&one, "one"), (&two, "two"), (&one, "one")] {
            let endpoints = vec![at(pod.address(), 5300)];
            let udp = PortEntry { protocol: Protocol::Udp, port: 53, node_port: Some(30053), endpoints };
            network.apply_services(vec![service(vec![udp])]).await.unwrap();
            for address in [at(VIP, 53), at(network.gateway(), 30053)] {
                socket.send_to(b"?", address).unwrap();
                let mut buffer = [0; 64];
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                assert!(String::from_utf8_lossy(&buffer[..length]).starts_with(says), "{says} by {address}");
                assert_eq!(from, address.into());
            }
        }
    });
}

#[test]
fn node_ports_answer_on_loopback_and_to_pods_but_outside_only_when_told() {
    on_a_host(|dir| async move {
        let world = outside();
        let host = namespace::current().unwrap();
        let mut settings = settings(&dir, "a");
        for exposed in [false, true] {
            settings.expose_node_ports = exposed;
            let network = Network::open(settings.clone()).await.unwrap();
            let pod = Pod::new(&network).await.serving("web");
            let client = Pod::new(&network).await;
            network
                .apply_services(vec![service(vec![tcp(80, Some(30080), &[pod.endpoint()])])])
                .await
                .unwrap();
            let from_gateway = format!("web {}", network.gateway());
            assert_eq!(ask(&host, at(Ipv4Addr::LOCALHOST, 30080)).unwrap(), from_gateway);
            assert!(ask(&host, at(HOST_OUTSIDE, 30080)).unwrap().starts_with("web "));
            assert_eq!(
                ask(&client.inside, at(network.gateway(), 30080)).unwrap(),
                format!("web {}", client.address())
            );
            assert_eq!(ask(&pod.inside, at(network.gateway(), 30080)).unwrap(), from_gateway, "itself");
            let from_outside = ask(&world, at(HOST_OUTSIDE, 30080));
            if exposed {
                assert_eq!(
                    from_outside.unwrap(),
                    format!("web {OUTSIDE}"),
                    "the client's own address is seen"
                );
            } else {
                assert_eq!(from_outside.unwrap_err().kind(), ConnectionRefused);
            }
            network.close(true).await;
        }
    });
}

#[test]
fn pods_reach_the_outside_by_the_hosts_address() {
    on_a_host(|dir| async move {
        let world = outside();
        let network = open(&dir, "a").await;
        serve(&world, at(OUTSIDE, 80), "world");
        let guest = Pod::of(network.lease_guest().await.unwrap());
        for pod in [Pod::new(&network).await, guest] {
            assert_eq!(ask(&pod.inside, at(OUTSIDE, 80)).unwrap(), format!("world {HOST_OUTSIDE}"));
        }
    });
}

#[test]
fn a_service_may_end_at_a_loopback_listener_that_pods_cannot_reach_otherwise() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let (pod, host) = (Pod::new(&network).await, namespace::current().unwrap());
        serve(&host, at(Ipv4Addr::LOCALHOST, 6443), "api");
        let local = at(Ipv4Addr::LOCALHOST, 6443);
        network.apply_services(vec![service(vec![tcp(443, None, &[local])])]).await.unwrap();
        assert_eq!(ask(&pod.inside, at(VIP, 443)).unwrap(), format!("api {}", pod.address()));
        assert_eq!(ask(&host, at(VIP, 443)).unwrap(), format!("api {}", network.gateway()));
        assert_eq!(ask(&pod.inside, at(network.gateway(), 6443)).unwrap_err().kind(), ConnectionRefused);
        // A pod with NET_ADMIN can route loopback addresses to the host.
        super::host::inside(&pod.inside, || {
            std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").unwrap();
            let mut links = crate::link::Links::open().unwrap();
            let eth0 = links.index("eth0").unwrap();
            let one = crate::link::Range { first: Ipv4Addr::new(127, 0, 0, 2), prefix: 32 };
            links.add_link_route(eth0, one, pod.address()).unwrap();
        });
        serve(&host, at(Ipv4Addr::new(127, 0, 0, 2), 7000), "secret");
        assert!(ask_within(SILENCE, &pod.inside, at(Ipv4Addr::new(127, 0, 0, 2), 7000)).is_err());
    });
}

#[test]
fn guests_reach_neither_cluster_nor_host_except_what_is_allowed() {
    on_a_host(|dir| async move {
        let _world = outside();
        let network = open(&dir, "a").await;
        let host = namespace::current().unwrap();
        let pod = Pod::new(&network).await.serving("pod");
        let guest = Pod::of(network.lease_guest().await.unwrap()).serving("guest");
        let other = Pod::of(network.lease_guest().await.unwrap()).serving("other");
        let port = tcp(80, Some(30080), &[pod.endpoint()]);
        network.apply_services(vec![service(vec![port])]).await.unwrap();
        for port in [53, 4566, 22] {
            serve(&host, at(network.gateway(), port), "host");
        }
        let gateway = network.gateway();
        for forbidden in [pod.endpoint(), other.endpoint(), at(VIP, 80), at(gateway, 30080), at(gateway, 22)]
        {
            let refused = ask(&guest.inside, forbidden).unwrap_err();
            assert_eq!(refused.kind(), ConnectionRefused, "{forbidden}");
        }
        assert!(ask(&guest.inside, at(gateway, 53)).is_ok());
        assert!(ask(&guest.inside, at(gateway, 4566)).is_err());
        network.allow_guest_ports(&[4566]).await.unwrap();
        assert!(ask(&guest.inside, at(gateway, 4566)).is_ok());
        network.allow_guest_ports(&[]).await.unwrap();
        assert!(ask(&guest.inside, at(gateway, 4566)).is_err());
        assert_eq!(
            ask(&host, guest.endpoint()).unwrap(),
            format!("guest {gateway}"),
            "the host reaches guests"
        );
        assert_eq!(ask(&pod.inside, guest.endpoint()).unwrap_err().kind(), ConnectionRefused);
    });
}

#[test]
fn session_affinity_keeps_a_clients_endpoint_while_it_lives() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let client = Pod::new(&network).await;
        let pods = [
            Pod::new(&network).await.serving("one"),
            Pod::new(&network).await.serving("two"),
            Pod::new(&network).await.serving("three"),
        ];
        let apply = async |endpoints: &[SocketAddrV4]| {
            let affinity = Some(Duration::from_secs(10_800));
            let port = tcp(80, Some(30080), endpoints);
            let entry = ServiceEntry { session_affinity: affinity, ..service(vec![port]) };
            network.apply_services(vec![entry]).await.unwrap();
        };
        apply(&pods.each_ref().map(Pod::endpoint)).await;
        for address in [at(VIP, 80), at(network.gateway(), 30080)] {
            assert_eq!(answers(&client.inside, address).len(), 1, "{address}");
        }
        let had = ask(&client.inside, at(VIP, 80)).unwrap();
        let rest: Vec<SocketAddrV4> = pods
            .iter()
            .zip(["one", "two", "three"])
            .filter(|(_, name)| !had.starts_with(&format!("{name} ")))
            .map(|(pod, _)| pod.endpoint())
            .collect();
        apply(&rest).await;
        let has = answers(&client.inside, at(VIP, 80));
        assert!(has.len() == 1 && !has.contains(&had), "{had} then {has:?}");
    });
}

#[test]
fn a_restart_keeps_services_working_and_replaces_them_at_the_first_change() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let pod = Pod::new(&network).await.serving("pod");
        let client = Pod::new(&network).await;
        network.apply_services(vec![service(vec![tcp(80, None, &[pod.endpoint()])])]).await.unwrap();
        network.close(false).await;
        drop(network);
        let network = open(&dir, "a").await;
        assert!(ask(&client.inside, at(VIP, 80)).is_ok());
        network.apply_services(vec![service(vec![tcp(81, None, &[pod.endpoint()])])]).await.unwrap();
        assert!(ask(&client.inside, at(VIP, 80)).is_err());
        assert!(ask(&client.inside, at(VIP, 81)).is_ok());
    });
}

#[test]
fn what_cannot_be_is_refused_by_name_and_changes_nothing() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let pod = Pod::new(&network).await.serving("pod");
        let good = service(vec![tcp(80, Some(30080), &[pod.endpoint()])]);
        network.apply_services(vec![good.clone()]).await.unwrap();
        let elsewhere = ServiceEntry { cluster_ip: Ipv4Addr::new(10, 96, 0, 1), ..good.clone() };
        let mut twice = ServiceEntry { cluster_ip: Ipv4Addr::new(10, 43, 0, 7), ..good.clone() };
        twice.name = "default/twice".to_owned();
        let forever = ServiceEntry { session_affinity: Some(Duration::from_secs(86_401)), ..good.clone() };
        for (bad, name) in [(elsewhere, "default/web"), (twice, "default/twice"), (forever, "default/web")] {
            match network.apply_services(vec![good.clone(), bad]).await {
                Err(Error::Service { name: said, .. }) => assert_eq!(said, name),
                other => panic!("{other:?}"),
            }
        }
        assert!(ask(&pod.inside, at(VIP, 80)).is_ok());
    });
}

/// What `nft` prints, where it is installed: the table is readable for whoever debugs a host.
#[test]
fn nft_lists_the_table_and_removal_takes_it_away() {
    on_a_host(|dir| async move {
        let list = || {
            let nft = Path::new("/usr/sbin/nft");
            nft.exists().then(|| std::process::Command::new(nft).args(["list", "ruleset"]).output().unwrap())
        };
        let network = open(&dir, "a").await;
        let endpoint = at(Ipv4Addr::new(10, 42, 0, 7), 8080);
        network.apply_services(vec![service(vec![tcp(80, None, &[endpoint])])]).await.unwrap();
        if let Some(output) = list() {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("10.43.0.99 . tcp . 80 : goto pick-1"), "{text}");
            assert!(text.contains("dnat ip to numgen random mod 1"), "{text}");
        }
        network.close(true).await;
        if let Some(output) = list() {
            assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    });
}
