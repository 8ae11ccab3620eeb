//! What `node` tells this room about a Service: its address, ports and ready endpoints. Values only; `rules`
//! turns them into packets' fate.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// A transport protocol that a service port can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One Service with a virtual address. A service without endpoints refuses connections instead of letting them hang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// `namespace/name`, for error texts only.
    pub name: String,
    /// The virtual address. It must lie in [`crate::Network::service_cidr`].
    pub cluster_ip: Ipv4Addr,
    /// The ports; (protocol, port) is unique within a service, (protocol, node port) within the instance.
    pub ports: Vec<PortEntry>,
    /// `sessionAffinity: ClientIP` with its timeout: a client keeps its endpoint that long after its last new connection.
    pub session_affinity: Option<Duration>,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortEntry {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port on the virtual address.
    pub port: u16,
    /// The same port on the host's own addresses: loopback and the gateway always, the others if
    /// [`crate::Settings::expose_node_ports`] says so.
    pub node_port: Option<u16>,
    /// Where connections go, each with the same chance. `127.0.0.1:<port>` names a listener on the host's loopback
    /// (the API server, say); pods reach it through the service address only.
    pub endpoints: Vec<SocketAddrV4>,
}
