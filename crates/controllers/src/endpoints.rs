//! Endpoints: the addresses behind a Service in the old form, for clients that still read it. Called by the
//! loop with the key of a Service, which is the key of its Endpoints too.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use client::{Cache, Caches, Deletion, Key, Objects, Patch, merge_patch};
use futures::FutureExt;
use futures::future::BoxFuture;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::{Map, Value, json};

use crate::pod;
use crate::service;

const WORKERS: usize = 4;
const HEADLESS: &str = "service.kubernetes.io/headless";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";

struct Controller {
    services: Cache,
    pods: Cache,
    endpoints: Cache,
    objects: Objects,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (services, pods, endpoints) = (caches.of::<Service>(), caches.of::<Pod>(), caches.of::<Endpoints>());
    let controller = Controller {
        services: services.clone(),
        pods: pods.clone(),
        endpoints: endpoints.clone(),
        objects: Objects::of::<Endpoints>(caches.client()),
    };
    Loop::new("endpoints", Arc::new(controller), WORKERS)
        .watch_own(&services)
        .watch(&pods, move |change| service::services_of_pod(&services, change))
        .watch_own(&endpoints)
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let existing = self.endpoints.get(&key);
        let Some(service) = self.services.get(&key) else {
            let ours =
                existing.is_some_and(|endpoints| endpoints["metadata"]["labels"][MANAGED_BY] == MANAGER);
            if ours {
                return settled(self.objects.delete(&key, &Deletion::default()).await);
            }
            return Ok(None);
        };
        if pod::is_deleting(&service) || !service::has_endpoints(&service) {
            return Ok(None);
        }
        let wanted = plan(&service, self.pods.list_in(&key.namespace));
        match existing {
            None => {
                let mut endpoints = wanted;
                endpoints["metadata"]["name"] = key.name.as_str().into();
                settled(self.objects.create(&key.namespace, &endpoints).await)
            }
            Some(existing) => {
                let shown = json!({
                    "metadata": { "labels": existing["metadata"]["labels"] },
                    "subsets": existing["subsets"].as_array().cloned().unwrap_or_default(),
                });
                match merge_patch(&shown, &wanted) {
                    Some(patch) => settled(self.objects.patch(&key, Patch::Merge(patch)).await),
                    None => Ok(None),
                }
            }
        }
    }
}

/// What was refused because the cache lags, or everything goes away, settles itself with the next change.
fn settled(answer: Result<Value, client::kube::Error>) -> Outcome {
    match answer {
        Err(error)
            if !client::is_already_exists(&error)
                && !client::is_not_found(&error)
                && !client::is_terminating(&error) =>
        {
            Err(error.into())
        }
        _ => Ok(None),
    }
}

/// Labels and subsets: one subset per set of ports, ready addresses apart from those that are not.
fn plan(service: &Value, pods: Vec<Arc<Value>>) -> Value {
    let everybody = service::publishes_unready(service);
    let mut groups: BTreeMap<String, (Value, Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for pod in service::backends(service, pods) {
        if pod::is_deleting(&pod) && !everybody {
            continue;
        }
        let ports = service::ports(service, &pod);
        let (_, ready, unready) = groups.entry(ports.to_string()).or_insert((ports, Vec::new(), Vec::new()));
        let list = if everybody || pod::is_ready(&pod) { ready } else { unready };
        list.push(address(service, &pod));
    }
    let subsets: Vec<Value> =
        groups.into_values().map(|(ports, ready, unready)| subset(ports, ready, unready)).collect();
    let mut labels = service::inherited_labels(service, &[HEADLESS, MANAGED_BY]);
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if service::is_headless(service) {
        labels.insert(HEADLESS.into(), "".into());
    }
    json!({ "metadata": { "labels": labels }, "subsets": subsets })
}

fn subset(ports: Value, ready: Vec<Value>, unready: Vec<Value>) -> Value {
    let mut subset = Map::new();
    for (name, addresses) in [("addresses", ready), ("notReadyAddresses", unready)] {
        if !addresses.is_empty() {
            subset.insert(name.into(), addresses.into());
        }
    }
    let mut ports = ports;
    for port in ports.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        // Here, unlike in a slice, a port without a name has no such field.
        port.retain(|name, value| name != "name" || value != "");
    }
    if ports.as_array().is_some_and(|ports| !ports.is_empty()) {
        subset.insert("ports".into(), ports);
    }
    Value::Object(subset)
}

fn address(service: &Value, pod: &Value) -> Value {
    let mut address = json!({ "ip": service::address(pod), "targetRef": service::target_reference(pod) });
    if let Some(node) = pod::node(pod) {
        address["nodeName"] = node.into();
    }
    if let Some(hostname) = service::hostname(service, pod) {
        address["hostname"] = hostname.into();
    }
    address
}
