//! Makes and unmakes one pooled network. Runs on the pool's own thread, which it moves through namespaces.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::name::{Kind, Name};
use crate::link::{End, Hardware, Links, Range};
use crate::namespace::{self, Pins};
use crate::slot::Slot;
use crate::{Error, sysctl};

/// The interface every pod sees.
const POD_LINK: &str = "eth0";
/// What the start of a function instance takes: two that listen.
const SOCKETS: usize = 2;
/// The loopback interface is the first of every namespace.
const LOOPBACK: u32 = 1;

/// What making a network takes.
pub(crate) struct Maker {
    slot: Slot,
    pins: Pins,
    host: File,
    links: Links,
}

impl Maker {
    /// Works for the network namespace of the calling thread.
    pub(crate) fn new(slot: Slot, pins: Pins) -> io::Result<Maker> {
        Ok(Maker { slot, pins, host: namespace::current()?, links: Links::open()? })
    }

    /// A complete network, pinned under its name as the last step: whatever is pinned is whole, and what fails on the
    /// way vanishes with the thread's leaving it.
    /// Gives sockets of it.
    pub(crate) fn make(&mut self, name: Name) -> Result<Vec<OwnedFd>, Error> {
        let made = self.make_inside(name).map_err(Error::kernel("make a network namespace"));
        if let Err(error) = namespace::enter(&self.host) {
            // Every later step would work on the wrong host.
            return Err(Error::kernel("return to the host's network namespace")(error));
        }
        made
    }

    fn make_inside(&mut self, name: Name) -> io::Result<Vec<OwnedFd>> {
        namespace::unshare()?;
        let mut inside = Links::open()?;
        inside.up(LOOPBACK)?;
        if name.kind != Kind::Isolated {
            self.link(name, &mut inside)?;
        }
        let sockets = namespace::sockets(if name.kind == Kind::Pod { 0 } else { SOCKETS })?;
        self.pins.pin(&name.to_string())?;
        Ok(sockets)
    }

    /// The pair of links between host and pod, with everything each end needs to know of the other, so that the first
    /// packet of a pod waits for nothing.
    fn link(&mut self, name: Name, inside: &mut Links) -> io::Result<()> {
        let (link, address, gateway) =
            (link_name(&self.slot, name), self.slot.pod_address(name.number), self.slot.gateway());
        let host_end = End { name: &link, hardware: hardware(b'h', &self.slot, name) };
        let pod_end = End { name: POD_LINK, hardware: hardware(b'p', &self.slot, name) };
        let here = namespace::current()?;
        self.links.create_veth(&host_end, &pod_end, here.as_fd(), self.slot.group())?;

        sysctl::prepare_pod()?;
        let eth0 = inside.index(POD_LINK)?;
        inside.add_address(eth0, address, 32)?;
        inside.up(eth0)?;
        inside.add_default_route(eth0, gateway)?;
        inside.add_neighbour(eth0, gateway, host_end.hardware)?;

        // The settings under /proc are those of the thread's namespace.
        namespace::enter(&self.host)?;
        sysctl::prepare_link(&link)?;
        namespace::enter(&here)?;
        let host_link = self.links.index(&link)?;
        self.links.up(host_link)?;
        self.links.add_link_route(host_link, Range { first: address, prefix: 32 }, gateway)?;
        self.links.add_neighbour(host_link, address, pod_end.hardware)?;
        inside.wait_until_operational(eth0)?;
        self.links.wait_until_operational(host_link)
    }

    /// Lets the kernel take a network away.
    pub(crate) fn unmake(&self, name: Name) {
        if let Err(error) = self.pins.unpin(&name.to_string()) {
            tracing::warn!(%name, %error, "could not remove a network namespace");
        }
    }
}

/// Locally administered, and telling end, slot and pod to whoever reads a packet dump.
fn hardware(end: u8, slot: &Slot, name: Name) -> Hardware {
    let [high, low] = name.number.to_be_bytes();
    [0x0a, b'd', end, slot.number, high, low]
}

/// The host's end of a pod's veth pair.
pub(crate) fn link_name(slot: &Slot, name: Name) -> String {
    format!("{}-{name}", slot.name())
}
