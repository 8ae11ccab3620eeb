//! The part of the table that services do not change: sets, hooks, masquerade and protection.

use crate::link::Range;
use crate::nft::{
    Batch, CtKey, Expression, Field, Hook, MetaKey, Register, SET_DYNAMIC, SET_MAP, SET_TIMEOUT, Set,
    TYPE_VERDICT, Verdict,
};
use crate::slot::Slot;

// Types as `nft list` knows them; six bits each in a concatenation. The kernel stores them and looks at none.
const ADDRESS: u32 = 7;
const PROTOCOL: u32 = 12;
const PORT: u32 = 13;
const MARK: u32 = 19;

const fn joined(types: &[u32]) -> u32 {
    let mut all = 0;
    let mut at = 0;
    while at < types.len() {
        all = all << 6 | types[at];
        at += 1;
    }
    all
}

const ENDPOINT: (u32, u32) = (joined(&[ADDRESS, PORT]), 8);
/// How many clients session affinity remembers at once; later ones are spread at random. 100 bytes each.
const AFFINITY_MAX: u32 = 65_536;

pub(super) const SERVICES: Set = Set {
    name: "services",
    flags: SET_MAP,
    key: (joined(&[ADDRESS, PROTOCOL, PORT]), 12),
    data: Some((TYPE_VERDICT, 0)),
    size: 0,
};
pub(super) const NODE_PORTS: Set = Set {
    name: "node-ports",
    flags: SET_MAP,
    key: (joined(&[PROTOCOL, PORT]), 8),
    data: Some((TYPE_VERDICT, 0)),
    size: 0,
};
pub(super) const ENDPOINTS: Set = Set {
    name: "endpoints",
    flags: SET_MAP,
    key: (joined(&[MARK, ADDRESS, PROTOCOL, PORT]), 16),
    data: Some(ENDPOINT),
    size: 0,
};
pub(super) const HAIRPIN: Set =
    Set { name: "hairpin", flags: 0, key: (joined(&[ADDRESS, ADDRESS]), 8), data: None, size: 0 };
pub(super) const AFFINITY: Set = Set {
    name: "affinity",
    flags: SET_MAP | SET_TIMEOUT | SET_DYNAMIC,
    key: (joined(&[ADDRESS, ADDRESS, PROTOCOL, PORT]), 16),
    data: Some(ENDPOINT),
    size: AFFINITY_MAX,
};
pub(super) const GUEST_PORTS: Set =
    Set { name: "guest-ports", flags: 0, key: (PORT, 2), data: None, size: 0 };

const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;
/// Before connection tracking and address translation.
const RAW: i32 = -300;
const DNAT: i32 = -100;
const FILTER: i32 = 0;
const SNAT: i32 = 100;

const TCP: [u8; 1] = [libc::IPPROTO_TCP as u8];
const UDP: [u8; 1] = [libc::IPPROTO_UDP as u8];
const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);
const REFUSE: Expression<'static> = Expression::Verdict(Verdict::Goto("refuse"));
const ACCEPT: Expression<'static> = Expression::Verdict(Verdict::Accept);
/// Every bit of `NFT_CT_STATE` for connections that are under way: established (2) and related (4).
const UNDER_WAY: [u8; 4] = 6u32.to_ne_bytes();
const LOOPBACK: Range = Range { first: std::net::Ipv4Addr::new(127, 0, 0, 0), prefix: 8 };
/// Where clouds put the machine's own credentials.
const LINK_LOCAL: Range = Range { first: std::net::Ipv4Addr::new(169, 254, 0, 0), prefix: 16 };

/// Writes the sets, chains and rules of an instance without services.
pub(super) fn write(batch: &mut Batch, slot: &Slot, expose_node_ports: bool) {
    for set in [&SERVICES, &NODE_PORTS, &ENDPOINTS, &HAIRPIN, &AFFINITY, &GUEST_PORTS] {
        batch.add_set(set);
    }
    for chain in ["refuse", "from-guest", "guest-to-host", "to-guest"] {
        batch.add_chain(chain, None);
    }
    let tcp = Expression::Equal(R0, &TCP);
    batch.add_rule("refuse", &[Expression::Meta(MetaKey::TransportProtocol, R0), tcp, Expression::Reset]);
    batch.add_rule("refuse", &[Expression::Unreachable]);
    write_translation(batch, slot, expose_node_ports);
    write_protection(batch, slot);
    write_guests(batch, slot);
}

/// Service addresses and node ports to endpoints, and back out with an address that answers find their way to.
fn write_translation(batch: &mut Batch, slot: &Slot, expose_node_ports: bool) {
    let group = slot.group().to_ne_bytes();
    let from_pods = [Expression::Meta(MetaKey::InputGroup, R0), Expression::Equal(R0, &group)];
    let to_pods = [Expression::Meta(MetaKey::OutputGroup, R0), Expression::Equal(R0, &group)];
    let service = [
        Expression::Load(Field::Destination, R0),
        Expression::Meta(MetaKey::TransportProtocol, R1),
        Expression::Load(Field::DestinationPort, R2),
        Expression::Dispatch(SERVICES.name, R0),
    ];
    let local = [libc::RTN_LOCAL, 0, 0, 0];
    let node_port = [
        Expression::DestinationKind(R0),
        Expression::Equal(R0, &local),
        Expression::Meta(MetaKey::TransportProtocol, R0),
        Expression::Load(Field::DestinationPort, R1),
        Expression::Dispatch(NODE_PORTS.name, R0),
    ];
    base(batch, "prerouting", "nat", PREROUTING, DNAT);
    batch.add_rule("prerouting", &[&from_pods[..], &service].concat());
    let gate: &[Expression<'_>] = if expose_node_ports { &[] } else { &from_pods };
    batch.add_rule("prerouting", &[gate, &node_port].concat());

    base(batch, "output", "nat", OUTPUT, DNAT);
    batch.add_rule("output", &service);
    batch.add_rule("output", &node_port);

    base(batch, "postrouting", "nat", POSTROUTING, SNAT);
    let gateway = slot.gateway().octets();
    let as_gateway = [Expression::Value(R0, &gateway), Expression::Snat(R0)];
    // A node port on 127.0.0.1: no pod could answer to that address.
    with_range(R1, Field::Source, LOOPBACK, |from_loopback| {
        batch.add_rule("postrouting", &[&to_pods[..], from_loopback, &as_gateway].concat());
    });
    let itself = [
        Expression::Load(Field::Source, R0),
        Expression::Load(Field::Destination, R1),
        Expression::Member(HAIRPIN.name, R0),
    ];
    batch.add_rule("postrouting", &[&itself[..], &as_gateway].concat());
    let leaving = [Expression::Meta(MetaKey::OutputGroup, R0), Expression::NotEqual(R0, &group)];
    with_range(R1, Field::Source, slot.pods(), |from_pod| {
        batch.add_rule("postrouting", &[&leaving[..], from_pod, &[Expression::Masquerade]].concat());
    });
}

/// The host's loopback stays the host's, and service addresses that lead nowhere refuse rather than hang: what was
/// translated has another destination by then.
fn write_protection(batch: &mut Batch, slot: &Slot) {
    let group = slot.group().to_ne_bytes();
    let from_pods = [Expression::Meta(MetaKey::InputGroup, R0), Expression::Equal(R0, &group)];
    base(batch, "guard", "filter", PREROUTING, RAW);
    for field in [Field::Source, Field::Destination] {
        with_range(R1, field, LOOPBACK, |loopback| {
            let drop = [Expression::Verdict(Verdict::Drop)];
            batch.add_rule("guard", &[&from_pods[..], loopback, &drop].concat());
        });
    }
    base(batch, "forward", "filter", FORWARD, FILTER);
    base(batch, "filter-output", "filter", OUTPUT, FILTER);
    with_range(R1, Field::Destination, slot.services(), |nowhere| {
        batch.add_rule("forward", &[nowhere, &[REFUSE]].concat());
        batch.add_rule("filter-output", &[nowhere, &[REFUSE]].concat());
    });
}

/// Guests reach the outside and the name server; of the host the allowed ports; nothing of the cluster.
fn write_guests(batch: &mut Batch, slot: &Slot) {
    let group = slot.group().to_ne_bytes();
    let from_pods = [Expression::Meta(MetaKey::InputGroup, R0), Expression::Equal(R0, &group)];
    base(batch, "input", "filter", INPUT, FILTER);
    with_range(R1, Field::Source, slot.guests(), |guest| {
        let goto = |chain| [Expression::Verdict(Verdict::Goto(chain))];
        batch.add_rule("input", &[&from_pods[..], guest, &goto("guest-to-host")].concat());
        batch.add_rule("forward", &[&from_pods[..], guest, &goto("from-guest")].concat());
    });
    with_range(R1, Field::Destination, slot.guests(), |guest| {
        batch.add_rule("forward", &[guest, &[Expression::Verdict(Verdict::Goto("to-guest"))]].concat());
    });
    let under_way = [
        Expression::Connection(CtKey::State, R0),
        Expression::Mask(R0, UNDER_WAY),
        Expression::NotEqual(R0, &[0; 4]),
        ACCEPT,
    ];
    for chain in ["guest-to-host", "from-guest", "to-guest"] {
        batch.add_rule(chain, &under_way);
    }
    let gateway = slot.gateway().octets();
    let to_gateway = [Expression::Load(Field::Destination, R0), Expression::Equal(R0, &gateway)];
    let dns = [Expression::Load(Field::DestinationPort, R1), Expression::Equal(R1, &[0, 53]), ACCEPT];
    for protocol in [&TCP, &UDP] {
        let over = [Expression::Meta(MetaKey::TransportProtocol, R1), Expression::Equal(R1, protocol)];
        batch.add_rule("guest-to-host", &[&to_gateway[..], &over, &dns].concat());
    }
    let over_tcp = [Expression::Meta(MetaKey::TransportProtocol, R1), Expression::Equal(R1, &TCP)];
    let allowed =
        [Expression::Load(Field::DestinationPort, R1), Expression::Member(GUEST_PORTS.name, R1), ACCEPT];
    batch.add_rule("guest-to-host", &[&to_gateway[..], &over_tcp, &allowed].concat());
    for range in [slot.pods(), LINK_LOCAL] {
        with_range(R1, Field::Destination, range, |there| {
            batch.add_rule("from-guest", &[there, &[REFUSE]].concat())
        });
    }
    batch.add_rule("guest-to-host", &[REFUSE]);
    batch.add_rule("to-guest", &[REFUSE]);
}

fn base(batch: &mut Batch, name: &str, kind: &'static str, number: u32, priority: i32) {
    batch.add_chain(name, Some(Hook { kind, number, priority }));
}

/// Hands `then` the expressions that ask whether a field lies in a range.
fn with_range(register: Register, field: Field, range: Range, then: impl FnOnce(&[Expression<'_>])) {
    let mask = (u32::MAX << (32 - u32::from(range.prefix))).to_be_bytes();
    let first = range.first.octets();
    then(&[
        Expression::Load(field, register),
        Expression::Mask(register, mask),
        Expression::Equal(register, &first),
    ]);
}
