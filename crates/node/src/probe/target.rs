//! Where a probe or hook connects to. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use client::k8s_openapi::api::core::v1 as api;
use client::k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The number of a port that is given by number or by the name of one of the container's.
pub(crate) fn port(port: &IntOrString, container: &api::Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    number.ok_or_else(|| match port {
        IntOrString::Int(number) => format!("invalid port number: {number}"),
        IntOrString::String(name) => format!("couldn't find port: {name}"),
    })
}

/// The pod's own address, or the host that was named instead.
pub(crate) fn address(host: Option<&str>, pod: Ipv4Addr, port: u16) -> Result<SocketAddr, String> {
    let address = match host {
        None | Some("") => IpAddr::V4(pod),
        Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(host) => {
            host.parse().map_err(|_| format!("host {host} is not an address; names are not supported"))?
        }
    };
    Ok(SocketAddr::new(address, port))
}
