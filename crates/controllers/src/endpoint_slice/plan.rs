//! Which EndpointSlices a Service should have: pure. Endpoints stay in the slice that they are in, so that
//! a change of one pod is a change of one slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{ApiResource, Key, owner};
use serde_json::{Map, Value, json};

use crate::pod;
use crate::service;

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// A slice holds so many endpoints, so that one change does not rewrite a large object (upstream's figure).
const ENDPOINTS_MAX: usize = 100;

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Create(Value),
    /// A merge patch.
    Update(Arc<Value>, Value),
    Delete(Arc<Value>),
}

/// What one slice should say.
struct Wanted {
    ports: Value,
    endpoints: Vec<Value>,
}

/// Compares the slices of a Service with its pods.
pub(super) fn plan(
    service: &Value,
    resource: &ApiResource,
    pods: Vec<Arc<Value>>,
    slices: Vec<Arc<Value>>,
) -> Vec<Step> {
    let mut groups: BTreeMap<String, Wanted> = BTreeMap::new();
    for pod in service::backends(service, pods) {
        let ports = service::ports(service, &pod);
        let group =
            groups.entry(ports.to_string()).or_insert_with(|| Wanted { ports, endpoints: Vec::new() });
        group.endpoints.push(endpoint(service, &pod));
    }
    if groups.is_empty() {
        // A Service without pods keeps one empty slice: its watchers see that it is known.
        groups.insert(String::new(), Wanted { ports: json!([]), endpoints: Vec::new() });
    }
    let mut spare = slices;
    let (mut steps, mut homeless) = (Vec::new(), Vec::new());
    for wanted in groups.into_values() {
        homeless.extend(fill(service, wanted, &mut spare, &mut steps));
    }
    for wanted in homeless {
        // A slice that is left over is rewritten rather than deleted and made anew.
        match spare.pop() {
            Some(slice) => steps.extend(update(service, slice, wanted)),
            None => steps.push(Step::Create(new_slice(service, resource, wanted))),
        }
    }
    steps.extend(spare.into_iter().map(Step::Delete));
    steps
}

/// Lets the endpoints stay where they are and puts new ones where there is room; answers what needs
/// slices of its own. The slices that are used are taken out of `spare`.
fn fill(service: &Value, wanted: Wanted, spare: &mut Vec<Arc<Value>>, steps: &mut Vec<Step>) -> Vec<Wanted> {
    let Wanted { ports, endpoints } = wanted;
    let uid = |endpoint: &Value| endpoint["targetRef"]["uid"].as_str().unwrap_or_default().to_owned();
    let nobody = endpoints.is_empty();
    let mut left: BTreeMap<String, Value> =
        endpoints.into_iter().map(|endpoint| (uid(&endpoint), endpoint)).collect();
    let (fitting, others): (Vec<_>, Vec<_>) = spare.drain(..).partition(|slice| slice["ports"] == ports);
    *spare = others;
    let mut kept: Vec<(Arc<Value>, Vec<Value>)> = Vec::new();
    for slice in fitting {
        let present = slice["endpoints"].as_array().into_iter().flatten();
        let staying: Vec<Value> = present.filter_map(|endpoint| left.remove(&uid(endpoint))).collect();
        kept.push((slice, staying));
    }
    let mut coming = left.into_values().peekable();
    for (_, endpoints) in kept.iter_mut().filter(|(_, endpoints)| !endpoints.is_empty()) {
        while endpoints.len() < ENDPOINTS_MAX
            && let Some(endpoint) = coming.next()
        {
            endpoints.push(endpoint);
        }
    }
    for (slice, mut endpoints) in kept {
        if endpoints.is_empty() {
            endpoints.extend(coming.by_ref().take(ENDPOINTS_MAX));
        }
        if endpoints.is_empty() && !nobody {
            spare.push(slice);
        } else {
            steps.extend(update(service, slice, Wanted { ports: ports.clone(), endpoints }));
            if nobody {
                return Vec::new();
            }
        }
    }
    let mut homeless = Vec::new();
    while coming.peek().is_some() || (nobody && homeless.is_empty()) {
        let endpoints = coming.by_ref().take(ENDPOINTS_MAX).collect();
        homeless.push(Wanted { ports: ports.clone(), endpoints });
    }
    homeless
}

fn endpoint(service: &Value, pod: &Value) -> Value {
    let (serving, terminating) = (pod::is_ready(pod), pod::is_deleting(pod));
    let ready = service::publishes_unready(service) || (serving && !terminating);
    let mut endpoint = json!({
        "addresses": [service::address(pod)],
        "conditions": { "ready": ready, "serving": serving, "terminating": terminating },
        "targetRef": service::target_reference(pod),
    });
    if let Some(node) = pod::node(pod) {
        endpoint["nodeName"] = node.into();
    }
    if let Some(hostname) = service::hostname(service, pod) {
        endpoint["hostname"] = hostname.into();
    }
    endpoint
}

fn labels(service: &Value) -> Map<String, Value> {
    let mut labels = service::inherited_labels(service, &[SERVICE_NAME, MANAGED_BY, HEADLESS]);
    labels.insert(SERVICE_NAME.into(), service["metadata"]["name"].clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if service::is_headless(service) {
        labels.insert(HEADLESS.into(), "".into());
    }
    labels
}

fn update(service: &Value, slice: Arc<Value>, wanted: Wanted) -> Option<Step> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut patch = Map::new();
    if list(&slice["ports"]) != list(&wanted.ports) {
        patch.insert("ports".into(), wanted.ports);
    }
    if list(&slice["endpoints"]) != wanted.endpoints {
        patch.insert("endpoints".into(), wanted.endpoints.into());
    }
    if let Some(change) = client::merge_patch(&slice["metadata"]["labels"], &Value::Object(labels(service))) {
        patch.insert("metadata".into(), json!({ "labels": change }));
    }
    (!patch.is_empty()).then_some(Step::Update(slice, Value::Object(patch)))
}

fn new_slice(service: &Value, resource: &ApiResource, wanted: Wanted) -> Value {
    let reference = owner::controller_reference(service, resource);
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", Key::of(service).name),
            "labels": labels(service),
            "ownerReferences": [reference],
        },
        "addressType": "IPv4",
        "endpoints": wanted.endpoints,
        "ports": wanted.ports,
    })
}
