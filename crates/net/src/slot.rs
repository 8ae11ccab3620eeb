//! Which bridge `dory<k>` and which address ranges are this instance's, so that several instances share a host.
//! A slot is taken by creating its bridge exclusively, and found again after a restart by the bridge's alias.
//!
//! The bridge holds the gateway's address and the route of the service addresses. The pods' links are no ports of it
//! but routed one by one: where the host bridges through its packet filter (`br_netfilter`, which Docker and kubelets
//! switch on), translated packets would go from port to port past the routing; and a link of its own lets the kernel
//! check every pod's source address.

use std::net::Ipv4Addr;

use crate::Error;
use crate::link::{Links, Range};
use crate::sysctl;

/// Slot k uses 10.(42+2k).0.0/16 for pods and 10.(43+2k).0.0/16 for services; the last one ends at 10.253.
const SLOTS: u8 = 106;
const FIRST_SECOND_OCTET: u8 = 42;
/// Link groups `dory` + k: all links of an instance are removed by one request.
const GROUP_BASE: u32 = 0x646f_7200;

/// One instance's share of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) number: u8,
    /// The bridge's interface index.
    pub(crate) bridge: u32,
    /// Whether this process created the bridge.
    pub(crate) fresh: bool,
}

impl Slot {
    /// The bridge's and the nftables table's name.
    pub(crate) fn name(&self) -> String {
        name(self.number)
    }

    /// The pods' range; its upper half belongs to guests.
    pub(crate) fn pods(&self) -> Range {
        pods(self.number)
    }

    /// The range of networks for code that is not trusted: rules match it by prefix, so leasing one writes no rule.
    pub(crate) fn guests(&self) -> Range {
        let Range { first, .. } = self.pods();
        Range { first: Ipv4Addr::from_bits(first.to_bits() | 0x8000), prefix: 17 }
    }

    /// The services' range.
    pub(crate) fn services(&self) -> Range {
        services(self.number)
    }

    /// The host's address on the bridge.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.pod_address(1)
    }

    /// The address number `offset` of the pods' range.
    pub(crate) fn pod_address(&self, offset: u16) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.pods().first.to_bits() | u32::from(offset))
    }

    /// The link group of everything this instance creates.
    pub(crate) fn group(&self) -> u32 {
        GROUP_BASE + u32::from(self.number)
    }
}

/// Finds the owner's bridge, or takes the first slot whose ranges collide with nothing on the host; then makes sure
/// that it is set up, also when an earlier process died half-way.
pub(crate) fn take(links: &mut Links, owner: &str) -> Result<Slot, Error> {
    let alias = alias(owner);
    let listed = links.list().map_err(Error::kernel("list the host's links"))?;
    let own = listed.iter().filter(|link| link.alias == alias).find_map(|link| number(&link.name));
    let (number, fresh) = match own {
        Some(number) => (number, false),
        None => (create(links, &alias)?, true),
    };
    let bridge = links.index(&name(number)).map_err(Error::kernel("find the bridge"))?;
    let slot = Slot { number, bridge, fresh };
    set_up(links, &slot)?;
    Ok(slot)
}

/// How many other instances have a bridge here.
pub(crate) fn others(links: &mut Links, slot: &Slot) -> usize {
    let listed = links.list().unwrap_or_default();
    listed.iter().filter(|link| number(&link.name).is_some_and(|number| number != slot.number)).count()
}

fn create(links: &mut Links, alias: &str) -> Result<u8, Error> {
    let used = links.ranges_in_use().map_err(Error::kernel("list the host's routes"))?;
    for number in 0..SLOTS {
        if used.iter().any(|range| range.overlaps(&pods(number)) || range.overlaps(&services(number))) {
            continue;
        }
        match links.create_bridge(&name(number), GROUP_BASE + u32::from(number)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                return Err(Error::missing("bridge devices are", "load the kernel module `bridge`"));
            }
            Err(error) => return Err(Error::kernel("create a bridge (this needs root)")(error)),
        }
        let bridge = links.index(&name(number)).map_err(Error::kernel("find the bridge"))?;
        links.set_alias(bridge, alias).map_err(Error::kernel("sign the bridge"))?;
        return Ok(number);
    }
    Err(Error::Exhausted("address range 10.42.0.0/16 … 10.253.0.0/16"))
}

fn set_up(links: &mut Links, slot: &Slot) -> Result<(), Error> {
    let step = "set up the bridge";
    match links.add_address(slot.bridge, slot.gateway(), slot.pods().prefix) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::kernel(step)(error));
        }
        _ => {}
    }
    sysctl::prepare_link(&slot.name()).map_err(Error::kernel("set the bridge's sysctls"))?;
    links.up(slot.bridge).map_err(Error::kernel(step))?;
    // Without a route the host itself could not even try to connect to a service address.
    links.add_link_route(slot.bridge, slot.services(), slot.gateway()).map_err(Error::kernel(step))
}

fn alias(owner: &str) -> String {
    format!("dory {owner}")
}

fn name(number: u8) -> String {
    format!("dory{number}")
}

fn number(name: &str) -> Option<u8> {
    name.strip_prefix("dory")?.parse().ok().filter(|number| *number < SLOTS)
}

fn pods(number: u8) -> Range {
    Range { first: Ipv4Addr::new(10, FIRST_SECOND_OCTET + 2 * number, 0, 0), prefix: 16 }
}

fn services(number: u8) -> Range {
    Range { first: Ipv4Addr::new(10, FIRST_SECOND_OCTET + 2 * number + 1, 0, 0), prefix: 16 }
}

const _: () = assert!(FIRST_SECOND_OCTET as u32 + 2 * SLOTS as u32 <= 254);
