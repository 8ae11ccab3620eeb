//! Slots, leases, reach between pods, restart and removal.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::host::{PATIENCE, ask, inside, on_a_host, open, serve, settings};
use crate::link::Links;
use crate::{Network, Settings, listen_on, namespace, sockets_in};

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

#[test]
fn pods_reach_each_other_and_the_host_by_routing() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        assert_eq!(network.pod_cidr(), "10.42.0.0/16");
        assert_eq!(network.service_cidr(), "10.43.0.0/16");
        assert_eq!(network.dns_address(), Ipv4Addr::new(10, 43, 0, 10));
        let (one, two) = (network.lease().await.unwrap(), network.lease().await.unwrap());
        assert_ne!(one.address, two.address);
        let (first, second) = (File::open(&one.netns).unwrap(), File::open(&two.netns).unwrap());
        serve(&second, at(Ipv4Addr::UNSPECIFIED, 80), "second");
        let said = ask(&first, at(two.address.unwrap(), 80)).unwrap();
        assert_eq!(said, format!("second {}", one.address.unwrap()), "the pod's own address is seen");
        let host = namespace::current().unwrap();
        serve(&host, at(network.gateway(), 8000), "host");
        assert_eq!(
            ask(&first, at(network.gateway(), 8000)).unwrap(),
            format!("host {}", one.address.unwrap())
        );
        assert_eq!(
            ask(&host, at(two.address.unwrap(), 80)).unwrap(),
            format!("second {}", network.gateway())
        );
    });
}

#[test]
fn isolated_namespaces_have_loopback_only_and_a_listener_reaches_out_of_them() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let lease = network.isolated().await.unwrap();
        assert_eq!(lease.address, None);
        let ready = network.take_sockets(&lease);
        assert_eq!((ready.len(), network.take_sockets(&lease).len()), (2, 0));
        let address = at(Ipv4Addr::LOCALHOST, 9001);
        let listener = listen_on(ready, &[address]).unwrap().remove(0);
        assert!(listen_on(sockets_in(&lease.netns, 1).unwrap(), &[address]).is_err(), "it is taken");
        let inner = File::open(&lease.netns).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut client, b"hello").unwrap();
        });
        assert_eq!(ask(&inner, at(Ipv4Addr::LOCALHOST, 9001)).unwrap(), "hello");
        answering.join().unwrap();
        let refused = ask(&inner, at(network.gateway(), 53)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENETUNREACH));
        let names: Vec<String> = inside(&inner, || {
            Links::open().unwrap().list().unwrap().into_iter().map(|link| link.name).collect()
        });
        assert_eq!(names.iter().filter(|name| *name != "lo").count(), 0, "{names:?}");
    });
}

#[test]
fn instances_share_a_host_and_find_their_own_slot_again() {
    on_a_host(|dir| async move {
        let first = open(&dir, "a").await;
        let second = open(&dir, "b").await;
        assert_eq!((first.name(), second.name()), ("dory0", "dory1"));
        assert_eq!(second.pod_cidr(), "10.44.0.0/16");
        first.close(true).await;
        second.close(false).await;
        let again = open(&dir, "b").await;
        assert_eq!(again.name(), "dory1");
        assert_eq!(open(&dir, "c").await.name(), "dory0", "a slot that was given back is taken again");
    });
}

#[test]
fn a_slot_whose_range_the_host_uses_is_passed_over() {
    on_a_host(|dir| async move {
        let mut links = Links::open().unwrap();
        links.create_bridge("other", 0).unwrap();
        let index = links.index("other").unwrap();
        links.add_address(index, Ipv4Addr::new(10, 43, 7, 1), 24).unwrap();
        links.up(index).unwrap();
        assert_eq!(open(&dir, "a").await.name(), "dory1");
    });
}

#[test]
fn a_restart_adopts_pods_keeps_what_was_ready_and_sweeps_the_rest() {
    on_a_host(|dir| async move {
        let network = open(&dir, "a").await;
        let kept = network.lease().await.unwrap();
        let lost = network.lease().await.unwrap();
        let guest = network.lease_guest().await.unwrap();
        network.close(false).await;
        drop(network);

        let network = open(&dir, "a").await;
        assert_eq!(network.adopt(&kept.name).await.unwrap(), kept);
        assert!(network.adopt(&kept.name).await.is_err(), "a lease is adopted once");
        assert!(network.adopt(&guest.name).await.is_err(), "function instances do not outlive the process");
        assert!(network.adopt("../x").await.is_err());
        network.sweep().await;
        assert!(network.adopt(&lost.name).await.is_err());
        for _ in 0..5 {
            let lease = network.lease().await.unwrap();
            assert_ne!(lease.address, kept.address);
            assert_ne!(lease.address, lost.address);
        }
        for gone in [lost, guest] {
            let deadline = std::time::Instant::now() + PATIENCE;
            while gone.netns.exists() {
                assert!(std::time::Instant::now() < deadline, "{} is still there", gone.name);
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        assert!(kept.netns.exists());
    });
}

#[test]
fn a_lease_given_up_while_waiting_is_not_lost() {
    on_a_host(|dir| async move {
        let network = Network::open(Settings { pool: 0, ..settings(&dir, "a") }).await.unwrap();
        for _ in 0..5 {
            let waiting = network.lease();
            assert!(
                futures::FutureExt::now_or_never(waiting).is_none(),
                "nothing is ready with a pool of none"
            );
        }
        let mut seen = std::collections::HashSet::new();
        for _ in 0..6 {
            seen.insert(network.lease().await.unwrap().address.unwrap().octets()[3]);
        }
        assert_eq!(seen, (2..8).collect(), "the five that were made, and one more");
    });
}

#[test]
fn removal_leaves_nothing_behind() {
    on_a_host(|dir| async move {
        let mounts = || std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let forwarding = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        let names = || -> Vec<String> {
            Links::open().unwrap().list().unwrap().into_iter().map(|link| link.name).collect()
        };
        let before = (mounts(), forwarding(), names());
        let network = Network::open(settings(&dir, "a")).await.unwrap();
        let _lease = network.lease().await.unwrap();
        let _isolated = network.isolated().await.unwrap();
        assert_eq!(forwarding().trim(), "1");
        network.close(true).await;
        assert_eq!((mounts(), forwarding(), names()), before);
        assert!(!dir.join("a").exists());
        assert!(network.lease().await.is_err(), "a closed network leases nothing");
    });
}
