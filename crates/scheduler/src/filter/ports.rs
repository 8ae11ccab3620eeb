//! Host ports: two pods of a node cannot listen on the same one.

use serde_json::Value;

use crate::message::Reject;
use crate::snapshot::{NodeInfo, PodInfo};

/// A port of the host that a container asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    address: String,
    protocol: String,
    port: i64,
}

impl HostPort {
    /// The address 0.0.0.0 meets every other one.
    fn meets(&self, other: &HostPort) -> bool {
        let any = |port: &HostPort| port.address == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || any(self) || any(other))
    }
}

pub(crate) fn host_ports(pod: &Value) -> Vec<HostPort> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let sidecars = pod["spec"]["initContainers"].as_array().into_iter().flatten();
    let lasting = containers.chain(sidecars.filter(|container| container["restartPolicy"] == "Always"));
    let ports = lasting.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    ports
        .filter_map(|port| {
            let number = port["hostPort"].as_i64().filter(|number| *number > 0)?;
            let text = |name: &str, otherwise: &str| {
                port[name].as_str().filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned()
            };
            Some(HostPort {
                address: text("hostIP", "0.0.0.0"),
                protocol: text("protocol", "TCP"),
                port: number,
            })
        })
        .collect()
}

pub(super) fn check(pod: &PodInfo, node: &NodeInfo) -> Result<(), Reject> {
    let mut taken = node.pods.values().flat_map(|other| &other.ports);
    if taken.any(|taken| pod.ports.iter().any(|port| port.meets(taken))) {
        return Err(Reject::curable("node(s) didn't have free ports for the requested pod ports"));
    }
    Ok(())
}
