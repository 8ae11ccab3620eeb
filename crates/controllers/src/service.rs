//! Which pods stand behind a Service, at which ports: what EndpointSlice and Endpoints have in common.
//! Pure, apart from the mapping of pods to the Services that select them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use client::{Cache, Change, Key};
use object::selector::LabelSelector;
use serde_json::{Value, json};

use crate::pod;

/// Whether a Service asks for endpoints to be kept; without a selector somebody else keeps them.
pub(crate) fn has_endpoints(service: &Value) -> bool {
    let selects = service["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    selects && service["spec"]["type"] != "ExternalName"
}

pub(crate) fn is_headless(service: &Value) -> bool {
    service["spec"]["clusterIP"] == "None"
}

pub(crate) fn publishes_unready(service: &Value) -> bool {
    service["spec"]["publishNotReadyAddresses"] == true
}

pub(crate) fn selects(service: &Value, pod: &Value) -> bool {
    has_endpoints(service)
        && LabelSelector::from_labels(&service["spec"]["selector"]).matches(&pod["metadata"]["labels"])
}

/// The Services that select a pod as it was or as it is.
pub(crate) fn services_of_pod(services: &Cache, change: &Change) -> Vec<Key> {
    let pods = [&change.old, &change.new];
    let all = services.list_in(&change.key.namespace);
    let concerned = all
        .iter()
        .filter(|service| pods.iter().any(|pod| pod.as_ref().is_some_and(|pod| selects(service, pod))));
    concerned.map(|service| Key::of(service)).collect()
}

/// The IPv4 address of a pod, if it has one yet.
pub(crate) fn address(pod: &Value) -> Option<&str> {
    let all =
        pod["status"]["podIPs"].as_array().into_iter().flatten().filter_map(|entry| entry["ip"].as_str());
    all.chain(pod["status"]["podIP"].as_str()).find(|address| address.parse::<Ipv4Addr>().is_ok())
}

/// The pods that a Service may send traffic to, now or while they end.
pub(crate) fn backends(service: &Value, pods: Vec<Arc<Value>>) -> Vec<Arc<Value>> {
    let mut backends = pods;
    backends.retain(|pod| selects(service, pod) && !pod::is_terminal(pod) && address(pod).is_some());
    backends
}

/// The ports of a Service as one pod has them; a name that the pod does not have is left out.
pub(crate) fn ports(service: &Value, pod: &Value) -> Value {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports
        .filter_map(|port| {
            let number = target_port(port, pod)?;
            let mut entry = json!({ "port": number, "protocol": port["protocol"].as_str().unwrap_or("TCP") });
            entry["name"] = port["name"].as_str().unwrap_or_default().into();
            if port["appProtocol"].is_string() {
                entry["appProtocol"] = port["appProtocol"].clone();
            }
            Some(entry)
        })
        .collect()
}

fn target_port(port: &Value, pod: &Value) -> Option<i64> {
    let target = &port["targetPort"];
    let Some(name) = target.as_str() else {
        return target.as_i64().filter(|number| *number > 0).or_else(|| port["port"].as_i64());
    };
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
    let containers = lists.into_iter().filter_map(Value::as_array).flatten();
    let mut named = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let found = named.find(|candidate| {
        candidate["name"] == name && candidate["protocol"].as_str().unwrap_or("TCP") == protocol
    })?;
    found["containerPort"].as_i64()
}

/// The name that a pod has in the DNS of a headless Service, if it asks for one.
pub(crate) fn hostname<'a>(service: &Value, pod: &'a Value) -> Option<&'a str> {
    let spec = &pod["spec"];
    let joined = spec["subdomain"].is_string() && spec["subdomain"] == service["metadata"]["name"];
    spec["hostname"].as_str().filter(|name| joined && !name.is_empty())
}

pub(crate) fn target_reference(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    json!({ "kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"] })
}

/// The labels of a Service without those that are `ours` to set.
pub(crate) fn inherited_labels(service: &Value, ours: &[&str]) -> serde_json::Map<String, Value> {
    let labels = service["metadata"]["labels"].as_object().into_iter().flatten();
    let copied = labels.filter(|(name, _)| !ours.contains(&name.as_str()));
    copied.map(|(name, value)| (name.clone(), value.clone())).collect()
}
