//! Cluster DNS: a UDP and TCP server that asks a [`Zone`] for cluster names and forwards all other names to the
//! host's resolvers. `node` owns the zone's content and the pods' search domains.

mod answer;
mod forward;
mod server;

use std::net::Ipv4Addr;

pub use server::{Error, Server};

/// How long a client may keep an answer of the zone, in seconds. Upstream's cluster DNS uses 30; endpoints of
/// headless services change faster than that here.
pub const TTL_SECONDS: u32 = 5;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address; the cluster has none, so names that exist answer "no data".
    Aaaa,
    /// A service's port and target.
    Srv,
    /// The name of an address.
    Ptr,
    /// Text.
    Txt,
    /// Any other type.
    Other,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// A port of a service at `target` (absolute, e.g. `10-42-0-7.web.default.svc.cluster.local.`).
    Srv {
        /// The lower the sooner.
        priority: u16,
        /// The share among equals.
        weight: u16,
        /// The port.
        port: u16,
        /// The name that has the address.
        target: String,
    },
    /// The absolute name of an address.
    Ptr(String),
    /// An alias (ExternalName services); the server follows it.
    Cname(String),
    /// Text.
    Txt(String),
}

/// What a zone knows of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not a name of the zone: ask the host's resolvers.
    Foreign,
    /// A name of the zone that does not exist.
    Missing,
    /// The name exists; the records of the type asked for, perhaps none.
    Records(Vec<Record>),
}

/// The cluster's names, answered from memory.
pub trait Zone: Send + Sync + 'static {
    /// The zone's own name, e.g. `cluster.local.`: the owner of the SOA record in negative answers.
    fn origin(&self) -> &str;
    /// `name` is absolute and lower case, with the final dot, e.g. `web.default.svc.cluster.local.` or
    /// `7.0.42.10.in-addr.arpa.`.
    fn lookup(&self, name: &str, kind: RecordType) -> Answer;
}
