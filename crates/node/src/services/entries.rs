//! Services and their EndpointSlices as the network is told of them. Pure.

use std::net::SocketAddrV4;
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;
use client::k8s_openapi::api::discovery::v1 as discovery;
use net::{PortEntry, Protocol, ServiceEntry};

/// The API's default for `sessionAffinity: ClientIP`.
const AFFINITY_SECONDS: i32 = 10_800;

/// A service and the slices that belong to it.
pub(crate) struct Backed<'a> {
    pub(crate) service: &'a api::Service,
    pub(crate) slices: Vec<&'a discovery::EndpointSlice>,
}

/// The service's entry; `None` when it has no virtual address.
pub(crate) fn entry(backed: &Backed<'_>, api_server: SocketAddrV4) -> Option<ServiceEntry> {
    let metadata = &backed.service.metadata;
    let spec = backed.service.spec.as_ref()?;
    let cluster_ip = spec.cluster_ip.as_deref()?.parse().ok()?;
    let (namespace, name) = (metadata.namespace.as_deref()?, metadata.name.as_deref()?);
    let is_api = (namespace, name) == ("default", "kubernetes");
    let ports = spec.ports.iter().flatten().filter_map(|port| {
        let endpoints = if is_api { vec![api_server] } else { endpoints(backed, port) };
        Some(PortEntry {
            protocol: protocol(port.protocol.as_deref())?,
            port: u16::try_from(port.port).ok()?,
            node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
            endpoints,
        })
    });
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        let seconds = config.and_then(|config| config.timeout_seconds).unwrap_or(AFFINITY_SECONDS);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    });
    let ports = ports.collect();
    Some(ServiceEntry { name: format!("{namespace}/{name}"), cluster_ip, ports, session_affinity: affinity })
}

/// SCTP is the one that the network does not carry.
fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name.unwrap_or("TCP") {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        _ => None,
    }
}

/// Where the port's connections go: ready endpoints, or when there are none, those that still serve while they end
/// (KEP-1669).
fn endpoints(backed: &Backed<'_>, port: &api::ServicePort) -> Vec<SocketAddrV4> {
    let collect = |wanted: fn(&discovery::Endpoint) -> bool| {
        let mut found = Vec::new();
        for slice in &backed.slices {
            let number = slice.ports.iter().flatten().find(|candidate| {
                candidate.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default()
                    && candidate.protocol.as_deref().unwrap_or("TCP")
                        == port.protocol.as_deref().unwrap_or("TCP")
            });
            let Some(number) = number.and_then(|port| port.port).and_then(|port| u16::try_from(port).ok())
            else {
                continue;
            };
            for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| wanted(endpoint)) {
                let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
                found.extend(address.map(|address| SocketAddrV4::new(address, number)));
            }
        }
        found.sort();
        found.dedup();
        found
    };
    let ready = collect(is_ready);
    if ready.is_empty() { collect(serves_while_ending) } else { ready }
}

/// Unknown counts as ready, says the API.
pub(crate) fn is_ready(endpoint: &discovery::Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
}

fn serves_while_ending(endpoint: &discovery::Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .is_some_and(|conditions| conditions.serving == Some(true) && conditions.terminating == Some(true))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(service: Value, slices: Value) -> Option<ServiceEntry> {
        let service: api::Service = serde_json::from_value(service).expect("a service");
        let slices: Vec<discovery::EndpointSlice> = serde_json::from_value(slices).expect("slices");
        let backed = Backed { service: &service, slices: slices.iter().collect() };
        entry(&backed, "127.0.0.1:6443".parse().expect("an address"))
    }

    fn service(spec: Value) -> Value {
        json!({ "metadata": { "name": "web", "namespace": "shop" }, "spec": spec })
    }

    #[test]
    fn ready_endpoints_of_the_port_with_the_same_name() {
        let spec = json!({ "clusterIP": "10.43.0.9", "ports": [
            { "name": "http", "port": 80, "nodePort": 30080 }, { "name": "dns", "port": 53, "protocol": "UDP" }] });
        let slices = json!([{ "addressType": "IPv4", "ports": [{ "name": "http", "port": 8080 }], "endpoints": [
            { "addresses": ["10.42.0.3"] },
            { "addresses": ["10.42.0.2"], "conditions": { "ready": true } },
            { "addresses": ["10.42.0.4"], "conditions": { "ready": false } }] }]);
        let entry = made(service(spec), slices).expect("an entry");
        assert_eq!(entry.name, "shop/web");
        assert_eq!((entry.ports[0].port, entry.ports[0].node_port), (80, Some(30080)));
        let expected = ["10.42.0.2:8080", "10.42.0.3:8080"].map(|text| text.parse().expect("an address"));
        assert_eq!(entry.ports[0].endpoints, expected);
        assert!(entry.ports[1].endpoints.is_empty());
    }

    #[test]
    fn ending_endpoints_serve_when_no_other_does() {
        let spec = json!({ "clusterIP": "10.43.0.9", "ports": [{ "port": 80 }] });
        let slices = json!([{ "addressType": "IPv4", "ports": [{ "port": 8080 }], "endpoints": [{
            "addresses": ["10.42.0.3"], "conditions": { "ready": false, "serving": true, "terminating": true } }] }]);
        assert_eq!(made(service(spec), slices).expect("an entry").ports[0].endpoints.len(), 1);
    }

    #[test]
    fn headless_services_have_no_entry_and_the_api_has_its_listener() {
        assert_eq!(made(service(json!({ "clusterIP": "None", "ports": [{ "port": 80 }] })), json!([])), None);
        let api = json!({ "metadata": { "name": "kubernetes", "namespace": "default" },
            "spec": { "clusterIP": "10.43.0.1", "ports": [{ "name": "https", "port": 443 }] } });
        let entry = made(api, json!([])).expect("an entry");
        assert_eq!(entry.ports[0].endpoints, ["127.0.0.1:6443".parse().expect("an address")]);
    }
}
