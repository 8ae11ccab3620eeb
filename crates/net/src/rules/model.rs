//! The services as map elements: planned from what is wanted, written as the difference to what is installed. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::fixed::{ENDPOINTS, HAIRPIN, NODE_PORTS, SERVICES};
use super::flows::Gone;
use super::pick::Pick;
use super::port_key;
use crate::link::Range;
use crate::nft::{Batch, Data};
use crate::{Error, PortEntry, Protocol, ServiceEntry};

/// More endpoints than any one service has on one host; a bound for the arithmetic and the rule names.
const ENDPOINTS_MAX: usize = 65_535;
/// Kubernetes' own bound on `sessionAffinityConfig.clientIP.timeoutSeconds`.
const AFFINITY_SECONDS_MAX: u64 = 86_400;

/// An endpoint as map data.
type Target = [u8; 8];

/// All services of an instance, as the kernel's sets hold them.
#[derive(Default)]
pub(super) struct Model {
    services: HashMap<[u8; 12], Pick>,
    node_ports: HashMap<[u8; 8], Pick>,
    endpoints: HashMap<[u8; 16], Target>,
    hairpin: HashSet<[u8; 8]>,
    picks: BTreeSet<Pick>,
}

impl Model {
    /// The elements for these services; an error names the service that cannot be.
    pub(super) fn plan(services: &[ServiceEntry], range: Range) -> Result<Model, Error> {
        let mut model = Model::default();
        for service in services {
            let refuse = |reason: String| Error::Service { name: service.name.clone(), reason };
            let address = Range { first: service.cluster_ip, prefix: 32 };
            if !address.overlaps(&range) {
                let Range { first, prefix } = range;
                return Err(refuse(format!("{} is outside of {first}/{prefix}", service.cluster_ip)));
            }
            let affinity = match service.session_affinity.map(|time| time.as_secs()) {
                Some(seconds @ 1..=AFFINITY_SECONDS_MAX) => Some(seconds as u32),
                Some(other) => {
                    return Err(refuse(format!("a session affinity of {other} s is not in 1..=86400")));
                }
                None => None,
            };
            for port in &service.ports {
                model.add_port(service.cluster_ip, port, affinity).map_err(refuse)?;
            }
        }
        Ok(model)
    }

    fn add_port(&mut self, address: Ipv4Addr, port: &PortEntry, affinity: Option<u32>) -> Result<(), String> {
        if port.endpoints.len() > ENDPOINTS_MAX {
            return Err(format!("{} endpoints are too many", port.endpoints.len()));
        }
        if port.endpoints.is_empty() {
            // No element: the address refuses.
            return Ok(());
        }
        let pick = Pick { endpoints: port.endpoints.len() as u32, node: false, affinity };
        let key = service_key(address, port.protocol, port.port);
        if self.services.insert(key, pick).is_some() {
            return Err(format!("{address} port {} is taken", port.port));
        }
        self.add_endpoints(key, &port.endpoints);
        self.picks.insert(pick);
        let Some(node_port) = port.node_port else { return Ok(()) };
        let pick = Pick { node: true, ..pick };
        let key = service_key(Ipv4Addr::UNSPECIFIED, port.protocol, node_port);
        if self.node_ports.insert(part(&key, 4), pick).is_some() {
            return Err(format!("node port {node_port} is taken"));
        }
        self.add_endpoints(key, &port.endpoints);
        self.picks.insert(pick);
        Ok(())
    }

    fn add_endpoints(&mut self, service: [u8; 12], endpoints: &[SocketAddrV4]) {
        for (index, endpoint) in (0u32..).zip(endpoints) {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&index.to_ne_bytes());
            key[4..].copy_from_slice(&service);
            self.endpoints.insert(key, target(*endpoint));
            let address = endpoint.ip().octets();
            let mut both = [0; 8];
            both[..4].copy_from_slice(&address);
            both[4..].copy_from_slice(&address);
            self.hairpin.insert(both);
        }
    }

    /// Writes what turns this into `wanted`. Chains come before what leads to them and go after it.
    pub(super) fn write_changes(&self, wanted: &Model, batch: &mut Batch) {
        for pick in wanted.picks.difference(&self.picks) {
            pick.write(batch);
        }
        change(batch, HAIRPIN.name, &as_map(&self.hairpin), &as_map(&wanted.hairpin), |()| Data::Nothing);
        change(batch, ENDPOINTS.name, &self.endpoints, &wanted.endpoints, |target| {
            Data::Value(target.to_vec())
        });
        change(batch, SERVICES.name, &self.services, &wanted.services, |pick| Data::Goto(pick.chain()));
        change(batch, NODE_PORTS.name, &self.node_ports, &wanted.node_ports, |pick| Data::Goto(pick.chain()));
        for pick in self.picks.difference(&wanted.picks) {
            batch.delete_chain(&pick.chain());
        }
    }

    /// The endpoints of UDP services that `wanted` has no more.
    pub(super) fn gone_udp(&self, wanted: &Model) -> Vec<Gone> {
        fn udp(model: &Model) -> HashSet<Gone> {
            let endpoints = model.endpoints.iter().filter(|(key, _)| key[8] == libc::IPPROTO_UDP as u8);
            endpoints
                .map(|(key, target)| Gone {
                    service: (part(key, 4), part(key, 12)),
                    endpoint: (part(target, 0), part(target, 4)),
                })
                .collect()
        }
        udp(self).difference(&udp(wanted)).copied().collect()
    }

    /// Whether clients may remember endpoints that `wanted` has no more.
    pub(super) fn stale_affinity(&self, wanted: &Model) -> bool {
        let affine = |pick: &Pick| pick.affinity.is_some();
        if !self.picks.iter().any(affine) {
            return false;
        }
        let gone = |key: &[u8; 16]| wanted.endpoints.get(key) != self.endpoints.get(key);
        self.endpoints.keys().any(|key| {
            let pick = if key[4..8] == [0; 4] {
                self.node_ports.get(&part(key, 8))
            } else {
                self.services.get(&part(key, 4))
            };
            pick.is_some_and(affine) && gone(key)
        })
    }

    /// Whether the service in an affinity's key still has that endpoint and affinity.
    pub(super) fn leads_to(&self, affinity: &[u8], endpoint: &[u8]) -> bool {
        let Ok(affinity) = <[u8; 16]>::try_from(affinity) else { return false };
        let pick =
            self.services.get(&part(&affinity, 4)).or_else(|| self.node_ports.get(&part(&affinity, 8)));
        let Some(pick) = pick.filter(|pick| pick.affinity.is_some()) else { return false };
        (0..pick.endpoints).any(|index| {
            let mut key = affinity;
            key[..4].copy_from_slice(&index.to_ne_bytes());
            self.endpoints.get(&key).is_some_and(|target| target[..] == *endpoint)
        })
    }
}

/// Replaces what differs. An element that leads elsewhere is removed and added in the same transaction: no packet
/// sees it missing.
fn change<const N: usize, T: PartialEq>(
    batch: &mut Batch,
    set: &str,
    from: &HashMap<[u8; N], T>,
    to: &HashMap<[u8; N], T>,
    data: impl Fn(&T) -> Data,
) {
    let gone: Vec<&[u8]> =
        from.iter().filter(|(key, old)| to.get(*key) != Some(old)).map(|(key, _)| &key[..]).collect();
    let new: Vec<(&[u8], Data)> = to
        .iter()
        .filter(|(key, new)| from.get(*key) != Some(new))
        .map(|(key, new)| (&key[..], data(new)))
        .collect();
    batch.delete_elements(set, &gone);
    batch.add_elements(set, &new);
}

fn as_map(set: &HashSet<[u8; 8]>) -> HashMap<[u8; 8], ()> {
    set.iter().map(|key| (*key, ())).collect()
}

fn service_key(address: Ipv4Addr, protocol: Protocol, port: u16) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&address.octets());
    key[4] = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP as u8,
        Protocol::Udp => libc::IPPROTO_UDP as u8,
    };
    key[8..].copy_from_slice(&port_key(port));
    key
}

fn target(endpoint: SocketAddrV4) -> Target {
    let mut target = [0; 8];
    target[..4].copy_from_slice(&endpoint.ip().octets());
    target[4..].copy_from_slice(&port_key(endpoint.port()));
    target
}

/// The bytes of a key from `start` on.
fn part<const N: usize>(key: &[u8], start: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&key[start..start + N]);
    part
}
