//! The expressions rules are made of, and how the kernel wants each written (`linux/netfilter/nf_tables.h`).

use std::time::Duration;

use crate::netlink::Body;

/// One of the sixteen 32-bit registers. A key of several fields lies in consecutive registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Register(pub(crate) u32);

impl Register {
    /// `NFT_REG32_00` and those after it.
    fn number(self) -> u32 {
        8 + self.0
    }
}

/// A field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Source,
    Destination,
    DestinationPort,
}

/// A fact about a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaKey {
    TransportProtocol = 16,
    /// The link group it came in by.
    InputGroup = 21,
    /// The link group it goes out by.
    OutputGroup = 22,
}

/// A fact about a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CtKey {
    State = 0,
}

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    Accept,
    Drop,
    Goto(&'a str),
}

/// One step of a rule. A comparison that fails ends the rule.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expression<'a> {
    Load(Field, Register),
    Meta(MetaKey, Register),
    Connection(CtKey, Register),
    /// The kind of route to the destination (`RTN_LOCAL`: the host's own address).
    DestinationKind(Register),
    Value(Register, &'a [u8]),
    Mask(Register, [u8; 4]),
    Equal(Register, &'a [u8]),
    NotEqual(Register, &'a [u8]),
    /// Goes on if the set holds the key that starts at the register.
    Member(&'a str, Register),
    /// Goes on with the map's data in the second register, if the map holds the key.
    Lookup(&'a str, Register, Register),
    /// Goes where the verdict map leads, or on.
    Dispatch(&'a str, Register),
    Random(Register, u32),
    /// Keeps (key, data) in a map for a while; starts the while anew if it is there.
    Remember(&'a str, Register, Register, Duration),
    Verdict(Verdict<'a>),
    /// To the address in the first and the port in the second register.
    Dnat(Register, Register),
    /// From the address in the register.
    Snat(Register),
    /// From whichever address the host has on the link it goes out by.
    Masquerade,
    /// TCP reset.
    Reset,
    /// ICMP port unreachable.
    Unreachable,
}

impl Verdict<'_> {
    /// As the inside of `NFTA_*_DATA`.
    pub(crate) fn write(&self, data: &mut Body<'_>) {
        const GOTO: i32 = -4;
        data.nest(2, |verdict| match self {
            Verdict::Accept => {
                verdict.be32(1, libc::NF_ACCEPT as u32);
            }
            Verdict::Drop => {
                verdict.be32(1, libc::NF_DROP as u32);
            }
            Verdict::Goto(chain) => {
                verdict.be32(1, GOTO as u32).text(2, chain);
            }
        });
    }
}

impl Expression<'_> {
    /// As the inside of a list element: the expression's name and its attributes.
    pub(crate) fn write(&self, element: &mut Body<'_>) {
        element.text(1, self.name()).nest(2, |data| self.write_data(data));
    }

    fn name(&self) -> &'static str {
        match self {
            Expression::Load(..) => "payload",
            Expression::Meta(..) => "meta",
            Expression::Connection(..) => "ct",
            Expression::DestinationKind(_) => "fib",
            Expression::Value(..) | Expression::Verdict(_) => "immediate",
            Expression::Mask(..) => "bitwise",
            Expression::Equal(..) | Expression::NotEqual(..) => "cmp",
            Expression::Member(..) | Expression::Lookup(..) | Expression::Dispatch(..) => "lookup",
            Expression::Random(..) => "numgen",
            Expression::Remember(..) => "dynset",
            Expression::Dnat(..) | Expression::Snat(_) => "nat",
            Expression::Masquerade => "masq",
            Expression::Reset | Expression::Unreachable => "reject",
        }
    }

    fn write_data(&self, data: &mut Body<'_>) {
        const VERDICT_REGISTER: u32 = 0;
        match *self {
            Expression::Load(field, to) => write_load(data, field, to),
            Expression::Meta(key, to) => {
                data.be32(1, to.number()).be32(2, key as u32);
            }
            Expression::Connection(key, to) => {
                data.be32(1, to.number()).be32(2, key as u32);
            }
            Expression::DestinationKind(to) => {
                const ADDRESS_TYPE: u32 = 3;
                const OF_DESTINATION: u32 = 2;
                data.be32(1, to.number()).be32(2, ADDRESS_TYPE).be32(3, OF_DESTINATION);
            }
            Expression::Value(to, value) => write_value(data.be32(1, to.number()), 2, value),
            Expression::Verdict(verdict) => {
                data.be32(1, VERDICT_REGISTER).nest(2, |nested| verdict.write(nested));
            }
            Expression::Mask(register, mask) => {
                data.be32(1, register.number()).be32(2, register.number()).be32(3, 4);
                write_value(data, 4, &mask);
                write_value(data, 5, &[0; 4]);
            }
            Expression::Equal(register, value) => {
                write_value(data.be32(1, register.number()).be32(2, 0), 3, value);
            }
            Expression::NotEqual(register, value) => {
                write_value(data.be32(1, register.number()).be32(2, 1), 3, value);
            }
            Expression::Member(set, key) => {
                data.text(1, set).be32(2, key.number());
            }
            Expression::Lookup(map, key, to) => {
                data.text(1, map).be32(2, key.number()).be32(3, to.number());
            }
            Expression::Dispatch(map, key) => {
                data.text(1, map).be32(2, key.number()).be32(3, VERDICT_REGISTER);
            }
            Expression::Random(to, modulus) => {
                const RANDOM: u32 = 1;
                data.be32(1, to.number()).be32(2, modulus).be32(3, RANDOM);
            }
            Expression::Remember(map, key, value, time) => {
                const UPDATE: u32 = 1;
                data.text(1, map).be32(3, UPDATE).be32(4, key.number()).be32(5, value.number());
                data.be64(6, time.as_millis() as u64);
            }
            Expression::Dnat(address, port) => {
                const DESTINATION: u32 = 1;
                data.be32(1, DESTINATION).be32(2, libc::NFPROTO_IPV4 as u32);
                data.be32(3, address.number()).be32(5, port.number());
            }
            Expression::Snat(address) => {
                const SOURCE: u32 = 0;
                data.be32(1, SOURCE).be32(2, libc::NFPROTO_IPV4 as u32).be32(3, address.number());
            }
            Expression::Masquerade => {}
            Expression::Reset => {
                data.be32(1, 1).attr(2, &[0]);
            }
            Expression::Unreachable => {
                const PORT_UNREACHABLE: u8 = 3;
                data.be32(1, 0).attr(2, &[PORT_UNREACHABLE]);
            }
        }
    }
}

fn write_load(data: &mut Body<'_>, field: Field, to: Register) {
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    // Offsets in the IPv4 header; both TCP and UDP have the destination port at byte 2.
    let (base, offset, length) = match field {
        Field::Source => (NETWORK, 12, 4),
        Field::Destination => (NETWORK, 16, 4),
        Field::DestinationPort => (TRANSPORT, 2, 2),
    };
    data.be32(1, to.number()).be32(2, base).be32(3, offset).be32(4, length);
}

fn write_value(data: &mut Body<'_>, kind: u16, value: &[u8]) {
    data.nest(kind, |nested| {
        nested.attr(1, value);
    });
}
