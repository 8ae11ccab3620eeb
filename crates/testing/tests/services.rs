//! EndpointSlices and Endpoints behind Services.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use client::k8s_openapi::api::apps::v1::Deployment;
use client::k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use client::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::{Deletion, Key, Patch};
use serde_json::{Value, json};
use testing::house::house;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 3
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - name: web
        image: example/pause:3.10
        ports: [{ name: http, containerPort: 8080 }]
";

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: { name: web, labels: { team: a } }
spec:
  selector: { app: web }
  ports: [{ name: main, port: 80, targetPort: http }]
";

/// The names of the pods behind a list of slices whose endpoints have a condition.
fn targets(slices: &[Arc<Value>], condition: &str) -> BTreeSet<String> {
    let endpoints = slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let holding = endpoints.filter(|endpoint| endpoint["conditions"][condition] == true);
    holding.map(|endpoint| endpoint["targetRef"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn slices_and_endpoints_follow_the_pods() -> Result<()> {
    let house = house().await?;
    house.create::<Service>(SERVICE).await?;
    let empty = house.wait_all::<EndpointSlice>("an empty slice", |slices| slices.len() == 1).await?;
    assert_eq!(empty[0]["endpoints"].as_array().map_or(0, Vec::len), 0);
    house.create::<Deployment>(WEB).await?;
    let slices =
        house.wait_all::<EndpointSlice>("3 ready", |slices| targets(slices, "ready").len() == 3).await?;
    assert_eq!(slices.len(), 1, "the empty slice is used");
    assert_eq!(slices[0]["ports"], json!([{ "name": "main", "port": 8080, "protocol": "TCP" }]));
    assert_eq!(slices[0]["metadata"]["labels"]["kubernetes.io/service-name"], "web");
    assert_eq!(slices[0]["metadata"]["labels"]["team"], "a");
    let full = |endpoints: &Value| {
        endpoints["subsets"][0]["addresses"].as_array().is_some_and(|addresses| addresses.len() == 3)
    };
    let endpoints = house.wait::<Endpoints>("web", "3 addresses", full).await?;
    assert_eq!(
        endpoints["subsets"][0]["ports"],
        json!([{ "name": "main", "port": 8080, "protocol": "TCP" }])
    );
    let patch = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    house.of::<Deployment>().patch(&house.key("web"), patch).await?;
    house.wait_all::<EndpointSlice>("1 ready", |slices| targets(slices, "ready").len() == 1).await?;
    house.of::<Service>().delete(&house.key("web"), &Deletion::default()).await?;
    house.wait_all::<EndpointSlice>("no slices", |slices| slices.is_empty()).await?;
    house.wait_all::<Endpoints>("no endpoints", |endpoints| endpoints.is_empty()).await?;
    house.close().await
}

#[tokio::test]
async fn a_pod_that_is_not_ready_gets_no_traffic() -> Result<()> {
    let house = house().await?;
    house.create::<Service>(SERVICE).await?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "lame", "labels": { "app": "web" }, "annotations": { "testing/unready": "" } },
        "spec": { "containers": [{ "name": "web", "image": "example/pause:3.10",
            "ports": [{ "name": "http", "containerPort": 8080 }] }] },
    });
    if house.remote {
        // A real kubelet does not know the annotation.
        return house.close().await;
    }
    house.of::<Pod>().create(&house.namespace, &pod).await?;
    let known = |slices: &[Arc<Value>]| {
        slices.iter().any(|slice| slice["endpoints"][0]["targetRef"]["name"] == "lame")
    };
    let slices = house.wait_all::<EndpointSlice>("the endpoint", known).await?;
    assert!(targets(&slices, "ready").is_empty() && targets(&slices, "serving").is_empty());
    let publish = Patch::Merge(json!({ "spec": { "publishNotReadyAddresses": true } }));
    house.of::<Service>().patch(&house.key("web"), publish).await?;
    house
        .wait_all::<EndpointSlice>("it to be published", |slices| targets(slices, "ready").len() == 1)
        .await?;
    house.close().await
}

#[tokio::test]
async fn every_namespace_has_its_account_and_its_certificate() -> Result<()> {
    use client::k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
    let house = house().await?;
    house.wait::<ServiceAccount>("default", "the account", |_| true).await?;
    house
        .wait::<ConfigMap>("kube-root-ca.crt", "the certificate", |map| map["data"]["ca.crt"].is_string())
        .await?;
    house.of::<ServiceAccount>().delete(&house.key("default"), &Deletion::default()).await?;
    let broken = Patch::Merge(json!({ "data": { "ca.crt": "tampered" } }));
    house.of::<ConfigMap>().patch(&house.key("kube-root-ca.crt"), broken).await?;
    house.wait::<ServiceAccount>("default", "the account again", |_| true).await?;
    let mended = |map: &Value| map["data"]["ca.crt"] != "tampered";
    house.wait::<ConfigMap>("kube-root-ca.crt", "the certificate again", mended).await?;
    assert_eq!(Key::of(&*house.wait::<ServiceAccount>("default", "it", |_| true).await?).name, "default");
    house.close().await
}
