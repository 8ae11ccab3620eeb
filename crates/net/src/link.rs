//! Links, addresses and routes of one network namespace, by rtnetlink. Creates and removes what it is told; decides
//! nothing. Blocking: `slot` and the pool's maker thread call it.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use libc::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

use crate::netlink::{Body, Socket, attribute, number, string};

/// `VETH_INFO_PEER`: how the other end of a veth pair is described.
const VETH_INFO_PEER: u16 = 1;
/// `RTNH_F_ONLINK`: take the gateway for reachable on the link without a route to it.
const ROUTE_ONLINK: u32 = 4;

/// Two seconds: the kernel may put off what it thinks is not urgent by one.
const OPERATIONAL_TRIES_MAX: usize = 1000;
const OPERATIONAL_PAUSE: Duration = Duration::from_millis(2);

/// A rtnetlink socket, bound to the namespace of the thread that opened it.
pub(crate) struct Links {
    socket: Socket,
}

/// A hardware (Ethernet) address.
pub(crate) type Hardware = [u8; 6];

/// One end of a veth pair.
pub(crate) struct End<'a> {
    pub(crate) name: &'a str,
    pub(crate) hardware: Hardware,
}

impl End<'_> {
    fn write(&self, body: &mut Body<'_>) {
        body.raw(&link_header(libc::AF_UNSPEC, 0, 0));
        body.text(libc::IFLA_IFNAME, self.name).attr(libc::IFLA_ADDRESS, &self.hardware);
    }
}

/// A link as the kernel lists it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) alias: String,
}

/// A range of addresses that the host uses or routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: Ipv4Addr,
    pub(crate) prefix: u8,
}

impl Range {
    /// Whether the two share an address. The default route shares none: it is where everything else goes.
    pub(crate) fn overlaps(&self, other: &Range) -> bool {
        let prefix = self.prefix.min(other.prefix);
        prefix > 0 && (self.first.to_bits() ^ other.first.to_bits()) >> (32 - u32::from(prefix)) == 0
    }
}

impl Links {
    /// A socket in the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Links> {
        // Protocol `None` is NETLINK_ROUTE, whose number is zero.
        Ok(Links { socket: Socket::open(None)? })
    }

    /// The index of a link.
    pub(crate) fn index(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(self.socket.fd(), name)?)
    }

    /// A bridge without ports, down; fails if the name is taken.
    pub(crate) fn create_bridge(&mut self, name: &str, group: u32) -> io::Result<()> {
        self.socket.request(libc::RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |body| {
            body.raw(&link_header(libc::AF_UNSPEC, 0, 0));
            body.text(libc::IFLA_IFNAME, name).u32(libc::IFLA_GROUP, group);
            body.nest(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "bridge");
            });
        })
    }

    /// A veth pair: `here` in this namespace and `there` directly in `namespace` (moving it there later would cost ten
    /// times as much).
    pub(crate) fn create_veth(
        &mut self,
        here: &End<'_>,
        there: &End<'_>,
        namespace: BorrowedFd<'_>,
        group: u32,
    ) -> io::Result<()> {
        self.socket.request(libc::RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |body| {
            here.write(body);
            body.u32(libc::IFLA_GROUP, group).nest(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "veth");
                info.nest(libc::IFLA_INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |peer| {
                        there.write(peer);
                        peer.u32(libc::IFLA_NET_NS_FD, namespace.as_raw_fd() as u32);
                    });
                });
            });
        })
    }

    /// Says which hardware address a neighbour has, so that nobody needs to ask on the link.
    pub(crate) fn add_neighbour(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        hardware: Hardware,
    ) -> io::Result<()> {
        self.socket.request(libc::RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, |body| {
            let mut header = [0; 12];
            header[0] = libc::AF_INET as u8;
            header[4..8].copy_from_slice(&index.to_ne_bytes());
            header[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
            body.raw(&header).attr(libc::NDA_DST, &address.octets()).attr(libc::NDA_LLADDR, &hardware);
        })
    }

    /// Brings a link up.
    pub(crate) fn up(&mut self, index: u32) -> io::Result<()> {
        self.socket.request(libc::RTM_NEWLINK, 0, |body| {
            body.raw(&link_header(libc::AF_UNSPEC, index, libc::IFF_UP as u32));
        })
    }

    /// Waits until a link that is up also carries packets. The kernel switches that on in its own time, which under
    /// load is long enough for a pod's first packet to be dropped; asking makes it happen (Linux 6.8), or shows it.
    pub(crate) fn wait_until_operational(&mut self, index: u32) -> io::Result<()> {
        const OPER_UP: u8 = 6;
        for _ in 0..OPERATIONAL_TRIES_MAX {
            let mut state = None;
            self.socket.get(
                libc::RTM_GETLINK,
                |body| {
                    body.raw(&link_header(libc::AF_UNSPEC, index, 0));
                },
                |message| {
                    let rest = message.get(LINK_HEADER_LEN..).unwrap_or(&[]);
                    state = attribute(rest, libc::IFLA_OPERSTATE).and_then(|value| value.first().copied());
                },
            )?;
            if state == Some(OPER_UP) {
                return Ok(());
            }
            std::thread::sleep(OPERATIONAL_PAUSE);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the link does not become operational"))
    }

    /// Writes a link's alias, where an instance finds its own bridge again.
    pub(crate) fn set_alias(&mut self, index: u32, alias: &str) -> io::Result<()> {
        self.socket.request(libc::RTM_NEWLINK, 0, |body| {
            body.raw(&link_header(libc::AF_UNSPEC, index, 0)).attr(libc::IFLA_IFALIAS, alias.as_bytes());
        })
    }

    /// Gives a link an address.
    pub(crate) fn add_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        self.socket.request(libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, |body| {
            let mut header = [libc::AF_INET as u8, prefix, 0, libc::RT_SCOPE_UNIVERSE, 0, 0, 0, 0];
            header[4..].copy_from_slice(&index.to_ne_bytes());
            body.raw(&header).attr(libc::IFA_LOCAL, &address.octets());
            if prefix < 31 {
                let broadcast = address.to_bits() | (u32::MAX >> prefix);
                body.attr(libc::IFA_BROADCAST, &broadcast.to_be_bytes());
            }
        })
    }

    /// The default route by `gateway`, which need not lie in a range of the link.
    pub(crate) fn add_default_route(&mut self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        self.add_route(0, libc::RT_SCOPE_UNIVERSE, ROUTE_ONLINK, |body| {
            body.attr(libc::RTA_GATEWAY, &gateway.octets()).u32(libc::RTA_OIF, index);
        })
    }

    /// A route of `range` out of a link, with `source` as the address of packets that the host itself sends there.
    pub(crate) fn add_link_route(&mut self, index: u32, range: Range, source: Ipv4Addr) -> io::Result<()> {
        self.add_route(range.prefix, libc::RT_SCOPE_LINK, 0, |body| {
            body.attr(libc::RTA_DST, &range.first.octets()).attr(libc::RTA_PREFSRC, &source.octets());
            body.u32(libc::RTA_OIF, index);
        })
    }

    fn add_route(
        &mut self,
        prefix: u8,
        scope: u8,
        flags: u32,
        rest: impl FnOnce(&mut Body<'_>),
    ) -> io::Result<()> {
        self.socket.request(libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, |body| {
            let family = libc::AF_INET as u8;
            let mut header = [
                family,
                prefix,
                0,
                0,
                libc::RT_TABLE_MAIN,
                libc::RTPROT_STATIC,
                scope,
                libc::RTN_UNICAST,
                0,
                0,
                0,
                0,
            ];
            header[8..].copy_from_slice(&flags.to_ne_bytes());
            rest(body.raw(&header));
        })
    }

    /// Every link here.
    pub(crate) fn list(&mut self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        self.socket.dump(
            libc::RTM_GETLINK,
            |body| {
                body.raw(&link_header(libc::AF_UNSPEC, 0, 0));
            },
            |message| {
                let rest = message.get(LINK_HEADER_LEN..).unwrap_or(&[]);
                let text = |kind| attribute(rest, kind).map(string).unwrap_or_default();
                links.push(Link { name: text(libc::IFLA_IFNAME), alias: text(libc::IFLA_IFALIAS) });
            },
        )?;
        Ok(links)
    }

    /// The ranges that addresses and routes of this host take, except the default route.
    pub(crate) fn ranges_in_use(&mut self) -> io::Result<Vec<Range>> {
        let mut ranges = Vec::new();
        let inet = libc::AF_INET as u8;
        self.socket.dump(
            libc::RTM_GETROUTE,
            |body| {
                body.raw(&[inet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            },
            |message| {
                let (Some(&prefix), Some(rest)) = (message.get(1), message.get(12..)) else { return };
                if let Some(first) = attribute(rest, libc::RTA_DST).and_then(number) {
                    ranges.push(Range { first: Ipv4Addr::from_bits(u32::from_be(first)), prefix });
                }
            },
        )?;
        Ok(ranges)
    }

    /// Removes every link of a group in one go, which costs the kernel's waiting once rather than per link.
    pub(crate) fn delete_group(&mut self, group: u32) -> io::Result<()> {
        self.socket.request(libc::RTM_DELLINK, 0, |body| {
            body.raw(&link_header(libc::AF_UNSPEC, 0, 0)).u32(libc::IFLA_GROUP, group);
        })
    }
}

/// Length of `struct ifinfomsg`.
const LINK_HEADER_LEN: usize = 16;

/// `struct ifinfomsg`; `flags` are both what to set and the mask of it.
fn link_header(family: i32, index: u32, flags: u32) -> [u8; LINK_HEADER_LEN] {
    let mut header = [0; LINK_HEADER_LEN];
    header[0] = family as u8;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        let range = |a, b, c, d, prefix| Range { first: [a, b, c, d].into(), prefix };
        let pods = range(10, 42, 0, 0, 16);
        assert!(pods.overlaps(&range(10, 42, 7, 0, 24)));
        assert!(pods.overlaps(&range(10, 0, 0, 0, 8)));
        assert!(pods.overlaps(&range(10, 42, 0, 1, 32)));
        assert!(!pods.overlaps(&range(10, 43, 0, 0, 16)));
        assert!(!pods.overlaps(&range(0, 0, 0, 0, 0)));
    }
}
