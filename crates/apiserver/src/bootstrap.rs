//! The objects that every cluster has from its first moment: namespaces, the API server's own Service, and the roles
//! that others build on. Made at start where they are missing; what an administrator changed stays.

mod roles;

use crate::{
    admission,
    api::Api,
    attributes::Attributes,
    call::{Call, Target},
    identity::Identity,
    media::Media,
    query::Query,
    server::StartError,
    verb::{
        create,
        revise::{Next, revise},
    },
};
use http::HeaderMap;
use object::{Status, apply};
use serde_json::{Value, json};

const MANAGER: &str = "apiserver";

/// Makes whatever is missing.
pub(crate) async fn run(api: &Api) -> Result<(), StartError> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(api, namespace).await?;
    }
    for (name, value, description) in kinds::SYSTEM_PRIORITIES {
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value, "description": description});
        ensure(api, class).await?;
    }
    ensure(api, storage_class()).await?;
    for object in roles::all() {
        ensure(api, object).await?;
    }
    put(api, authority(api)).await?;
    ensure(api, service(api)).await?;
    if let Some(advertise) = api.config.advertise {
        put(api, endpoints(advertise)).await?;
        put(api, endpoint_slice(advertise)).await?;
    }
    Ok(())
}

/// The call in whose name the server makes its own objects.
pub(crate) fn call() -> Call {
    Call {
        attributes: Attributes::default(),
        query: Query::default(),
        headers: HeaderMap::new(),
        media: Media::JSON,
        identity: Identity::master("system:apiserver"),
        now: jiff::Timestamp::now(),
    }
}

fn target(api: &Api, object: &Value) -> Target {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = kinds::by_name(&text(&object["apiVersion"]), &text(&object["kind"]));
    let kind = kind.expect("bootstrap objects are of kinds in the table");
    let metadata = &object["metadata"];
    Target {
        kind,
        shelf: api.cache.resource(kind.group, kind.plural).clone(),
        namespace: text(&metadata["namespace"]),
        name: text(&metadata["name"]),
    }
}

/// Makes an object if it is not there.
async fn ensure(api: &Api, object: Value) -> Result<(), StartError> {
    let target = target(api, &object);
    if target.shelf.get(&target.namespace, &target.name).is_some() {
        return Ok(());
    }
    let call = call();
    let made = create::insert(api, &call, &target, object, &mut Vec::new(), |object| {
        apply::track(target.kind, None, object, &call.author(MANAGER, None));
        Ok(())
    })
    .await;
    match made {
        Ok(_) => Ok(()),
        Err(status) => Err(failed(&target, &status)),
    }
}

/// Makes an object, or makes it what it should be.
async fn put(api: &Api, object: Value) -> Result<(), StartError> {
    let target = target(api, &object);
    ensure(api, object.clone()).await?;
    let revised = revise(api, &target, false, |current, _| {
        let mut new = current.clone();
        for key in ["addressType", "data", "endpoints", "ports", "subsets"] {
            if let Some(wanted) = object.get(key) {
                new[key] = wanted.clone();
            }
        }
        Ok(Next::Put(new))
    });
    revised.await.map(drop).map_err(|status| failed(&target, &status))
}

fn failed(target: &Target, status: &Status) -> StartError {
    StartError::Bootstrap {
        name: format!("{} {}", target.kind.kind, target.name),
        why: status.message.clone(),
    }
}

/// The class of claims that name none: directories on the node of their first pod.
fn storage_class() -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {object::storage::DEFAULT_CLASS: "true"}},
        "provisioner": object::storage::PROVISIONER, "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true})
}

/// Where upstream publishes the authority that client certificates are checked against.
fn authority(api: &Api) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": api.config.ca_pem}})
}

fn service(api: &Api) -> Value {
    let address = admission::api_address(api);
    let port = api.config.advertise.map_or(6443, |address| address.port());
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}]}})
}

/// The old form of the same, which `kubectl describe service` and older clients read.
fn endpoints(advertise: std::net::SocketAddr) -> Value {
    json!({"apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": advertise.ip().to_string()}],
            "ports": [{"name": "https", "port": advertise.port(), "protocol": "TCP"}]}]})
}

fn endpoint_slice(advertise: std::net::SocketAddr) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [advertise.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "protocol": "TCP", "port": advertise.port()}]})
}
