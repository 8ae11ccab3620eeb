//! The addresses of Services: one ClusterIP from the service range, and node ports. What is taken is read off the
//! stored Services each time, so that nothing can leak or be forgotten.

use crate::{api::Api, call::Target};
use object::{Status, status::Cause};
use serde_json::{Value, json};
use std::{collections::HashSet, net::Ipv4Addr};

/// Addresses at the start of the range that are given only to those who ask for them: `.1` is the API server's,
/// `.10` the DNS server's. Upstream reserves as many in a range of this size.
const STATIC_ADDRESSES: u32 = 256;

/// A range of addresses, such as 10.43.0.0/16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    first: u32,
    size: u32,
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Option<Cidr> {
        let (address, bits) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=28).contains(bits))?;
        let size = 1_u32 << (32 - bits);
        Some(Cidr { first: u32::from(address) & !(size - 1), size })
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        // Neither the network's own address nor the broadcast address is anybody's.
        let offset = u32::from(address).wrapping_sub(self.first);
        offset > 0 && offset < self.size - 1
    }

    pub(crate) fn nth(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first + offset)
    }

    /// A free address, preferably one that nobody would ask for by name.
    fn choose(self, taken: &HashSet<String>, random: u32) -> Option<Ipv4Addr> {
        let reserved = STATIC_ADDRESSES.min(self.size / 16).max(1);
        let dynamic = self.size - 1 - reserved;
        let dynamic = (0..dynamic).map(|step| reserved + (random % dynamic + step) % dynamic);
        let free = |offset: &u32| !taken.contains(&self.nth(*offset).to_string());
        dynamic.chain(1..reserved).find(free).map(|offset| self.nth(offset))
    }
}

fn random() -> u32 {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn service_type(service: &Value) -> &str {
    service["spec"]["type"].as_str().unwrap_or("ClusterIP")
}

fn cluster_ip(service: &Value) -> &str {
    let spec = &service["spec"];
    let single = spec["clusterIP"].as_str().filter(|ip| !ip.is_empty());
    single.or(spec["clusterIPs"][0].as_str()).unwrap_or_default()
}

fn has_node_ports(service: &Value) -> bool {
    match service_type(service) {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// An update that leaves out what was allocated keeps it.
pub(super) fn carry_over(new: &mut Value, old: &Value) {
    if service_type(new) == "ExternalName" || !new["spec"].is_object() {
        return;
    }
    let given = cluster_ip(old);
    if service_type(old) != "ExternalName" && cluster_ip(new).is_empty() && !given.is_empty() {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if new["spec"][key].is_null() && !old["spec"][key].is_null() {
                new["spec"][key] = old["spec"][key].clone();
            }
        }
    }
    let (nodes_old, nodes_new) = (has_node_ports(old), has_node_ports(new));
    for port in ports_mut(new).into_iter().flatten() {
        let before = old["spec"]["ports"].as_array().into_iter().flatten();
        let same = |own: &&Value| {
            own["port"] == port["port"] && protocol(own) == protocol(port) && own["nodePort"].is_u64()
        };
        let found = before.clone().find(same).map(|own| own["nodePort"].clone());
        match found {
            Some(found) if nodes_new && port["nodePort"].as_u64().unwrap_or(0) == 0 => {
                port["nodePort"] = found
            }
            // Going back to ClusterIP gives the ports back, when they are merely repeated.
            Some(found) if !nodes_new && nodes_old && port["nodePort"] == found => {
                if let Some(port) = port.as_object_mut() {
                    port.remove("nodePort");
                }
            }
            _ => {}
        }
    }
}

/// Without making an empty list where there is none.
fn ports_mut(service: &mut Value) -> Option<&mut Vec<Value>> {
    service.get_mut("spec")?.get_mut("ports")?.as_array_mut()
}

fn protocol(port: &Value) -> &str {
    port["protocol"].as_str().unwrap_or("TCP")
}

pub(super) fn allocate(
    api: &Api,
    target: &Target,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let taken = Taken::read(api, &target.namespace, &name);
    let range = Cidr::parse(&api.config.service_cidr);
    let range = range.ok_or_else(|| Status::internal("the range of service addresses is not configured"))?;
    let mut causes = Vec::new();
    allocate_address(object, &taken, range, old, &mut causes);
    allocate_ports(object, &taken, &api.config.node_port_range, &mut causes);
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid("", "Service", &name, causes)) }
}

/// What the other Services have.
struct Taken {
    addresses: HashSet<String>,
    ports: HashSet<u64>,
}

impl Taken {
    fn read(api: &Api, namespace: &str, name: &str) -> Taken {
        let mut taken = Taken { addresses: HashSet::new(), ports: HashSet::new() };
        for item in api.cache.resource("", "services").all("") {
            if item.namespace() == namespace && item.name() == name {
                continue;
            }
            let service = item.value();
            taken.addresses.insert(cluster_ip(&service).to_owned());
            let ports = service["spec"]["ports"].as_array().into_iter().flatten();
            taken.ports.extend(ports.filter_map(|port| port["nodePort"].as_u64()));
        }
        taken
    }
}

fn invalid(field: String, message: String) -> Cause {
    Cause { reason: "FieldValueInvalid", message, field }
}

fn allocate_address(
    object: &mut Value,
    taken: &Taken,
    range: Cidr,
    old: Option<&Value>,
    causes: &mut Vec<Cause>,
) {
    if service_type(object) == "ExternalName" {
        if let Some(spec) = object["spec"].as_object_mut() {
            for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                spec.remove(key);
            }
        }
        return;
    }
    let given = cluster_ip(object).to_owned();
    let kept = old.is_some_and(|old| cluster_ip(old) == given);
    let refuse = |why: String| {
        let message = format!("Invalid value: [\"{given}\"]: failed to allocate IP {given}: {why}");
        invalid("spec.clusterIPs".to_owned(), message)
    };
    let address = match given.as_str() {
        "None" => given.clone(),
        "" => match range.choose(&taken.addresses, random()) {
            Some(address) => address.to_string(),
            None => {
                let why = "Internal error: failed to allocate a serviceIP: range is full".to_owned();
                return causes.push(Cause {
                    reason: "InternalError",
                    message: why,
                    field: "spec.clusterIPs".into(),
                });
            }
        },
        _ if kept => given.clone(),
        text => match text.parse::<Ipv4Addr>() {
            Ok(address) if !range.contains(address) => {
                let first = range.nth(0);
                let bits = 32 - range.size.trailing_zeros();
                return causes.push(refuse(format!(
                    "the provided network does not match the current range: the range of valid IPs is {first}/{bits}"
                )));
            }
            Ok(_) if taken.addresses.contains(text) => {
                return causes.push(refuse("provided IP is already allocated".to_owned()));
            }
            Ok(_) => given.clone(),
            Err(_) => return causes.push(refuse("provided IP is not an IPv4 address".to_owned())),
        },
    };
    let spec = &mut object["spec"];
    spec["clusterIPs"] = json!([address]);
    spec["clusterIP"] = address.into();
    for (key, value) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))] {
        if spec[key].is_null() {
            spec[key] = value;
        }
    }
}

fn allocate_ports(
    object: &mut Value,
    taken: &Taken,
    range: &std::ops::RangeInclusive<u16>,
    causes: &mut Vec<Cause>,
) {
    if !has_node_ports(object) {
        return;
    }
    let (first, last) = (u64::from(*range.start()), u64::from(*range.end()));
    let mut used = taken.ports.clone();
    let mut own: Vec<(u64, String)> = Vec::new();
    for (index, port) in ports_mut(object).into_iter().flatten().enumerate() {
        let field = || format!("spec.ports[{index}].nodePort");
        match port["nodePort"].as_u64().filter(|given| *given != 0) {
            Some(given) if given < first || given > last => causes.push(invalid(
                field(),
                format!(
                    "Invalid value: {given}: provided port is not in the valid range. The range of valid ports is \
                     {first}-{last}"
                ),
            )),
            // The same number may serve TCP and UDP of one Service.
            Some(given) if taken.ports.contains(&given) || own.contains(&(given, protocol(port).into())) => causes
                .push(invalid(field(), format!("Invalid value: {given}: provided port is already allocated"))),
            Some(given) => {
                used.insert(given);
                own.push((given, protocol(port).to_owned()));
            }
            None => {
                let size = last - first + 1;
                let start = u64::from(random());
                let mut free = (0..size).map(|step| first + (start + step) % size);
                let Some(chosen) = free.find(|port| !used.contains(port)) else {
                    causes.push(invalid(field(), "Invalid value: 0: range is full".to_owned()));
                    continue;
                };
                used.insert(chosen);
                own.push((chosen, protocol(port).to_owned()));
                port["nodePort"] = chosen.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_chosen_behind_the_reserved_ones() {
        let range = Cidr::parse("10.43.0.0/16").expect("a range");
        let chosen = range.choose(&HashSet::new(), 0).expect("room");
        assert_eq!(chosen, Ipv4Addr::new(10, 43, 1, 0));
        assert!(range.contains(chosen) && !range.contains(range.nth(0)) && !range.contains(range.nth(65535)));
        let small = Cidr::parse("10.0.0.0/28").expect("a range");
        let mut taken = HashSet::new();
        for _ in 0..14 {
            let address = small.choose(&taken, random()).expect("room");
            assert!(small.contains(address) && taken.insert(address.to_string()));
        }
        assert_eq!(small.choose(&taken, 0), None);
    }

    #[test]
    fn an_update_keeps_what_it_leaves_out() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.43.1.1", "clusterIPs": ["10.43.1.1"],
            "ports": [{"port": 80, "nodePort": 30001}]}});
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        carry_over(&mut new, &old);
        assert_eq!(new["spec"], old["spec"]);
        let mut new = json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30001}]}});
        carry_over(&mut new, &old);
        assert_eq!(new["spec"]["ports"], json!([{"port": 80}]));
    }
}
