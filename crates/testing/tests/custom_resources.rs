//! Kinds that are made at run time, seen by the controllers: what they own goes with them, and they go with their
//! namespace and with their definition.

use std::sync::Arc;

use anyhow::Result;
use apiserver::{ApiServer, Identity};
use client::k8s_openapi::api::core::v1::ConfigMap;
use client::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use client::{Body, Cache, Caches, Deletion, Key, Objects, kube};
use futures::FutureExt;
use serde_json::{Value, json};
use testing::house::{House, as_user, bare_server, house};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower::util::BoxCloneService;

fn definition() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gears.house.example.com"},
        "spec": {"group": "house.example.com", "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

async fn gears(house: &House) -> Result<Objects> {
    house.of::<CustomResourceDefinition>().create("", &definition()).await?;
    let established = |crd: &Value| {
        let conditions = crd["status"]["conditions"].as_array();
        conditions
            .is_some_and(|all| all.iter().any(|one| one["type"] == "Established" && one["status"] == "True"))
    };
    let definitions = house.caches.of::<CustomResourceDefinition>();
    let key = Key::cluster("gears.house.example.com");
    let wanted = |cache: &Cache| cache.get(&key).filter(|crd| established(crd));
    house.wait_in(&definitions, "an established kind", wanted).await?;
    Ok(house.objects("house.example.com/v1", "Gear", "gears"))
}

async fn make(house: &House, gears: &Objects, name: &str) -> Result<Value> {
    let gear = json!({"apiVersion": "house.example.com/v1", "kind": "Gear", "metadata": {"name": name}});
    Ok(gears.create(&house.namespace, &gear).await?)
}

#[tokio::test]
async fn what_a_custom_object_owns_goes_with_it() -> Result<()> {
    let house = house().await?;
    let gears = gears(&house).await?;
    own_a_map(&house, &gears).await?;
    gears.delete(&house.key("owner"), &Deletion::default()).await?;
    no_owned_map(&house).await?;
    house.close().await
}

/// Makes an owner, and a map that it owns.
async fn own_a_map(house: &House, gears: &Objects) -> Result<()> {
    let owner = make(house, gears, "owner").await?;
    let owned = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "house.example.com/v1", "kind": "Gear", "name": "owner", "uid": owner["metadata"]["uid"]}]}});
    house.of::<ConfigMap>().create(&house.namespace, &owned).await?;
    Ok(())
}

async fn no_owned_map(house: &House) -> Result<()> {
    let gone = |all: &[Arc<Value>]| all.iter().all(|map| map["metadata"]["name"] != "owned");
    house.wait_all::<ConfigMap>("no owned map", gone).await?;
    Ok(())
}

/// A client for which the list of gears does not come: they are as new as can be. It says when it has read one of them.
fn without_lists(server: &Arc<ApiServer>, read: Arc<Notify>) -> kube::Client {
    let service = server.service(Identity::master("system:kube-controller-manager"));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let path = request.uri().path().to_owned();
        let (answer, read) = (service.clone().oneshot(request).boxed(), read.clone());
        async move {
            if path.ends_with("/gears") {
                std::future::pending::<()>().await;
            }
            let answer = answer.await;
            if path.ends_with("/gears/owner") {
                read.notify_one();
            }
            answer
        }
    });
    client::in_process(BoxCloneService::new(service))
}

/// The kind is new, and its objects come and go before the collector has their list.
#[tokio::test]
async fn what_an_object_owns_that_no_watch_has_shown_goes_with_it_too() -> Result<()> {
    let server = bare_server().await?;
    let read = Arc::new(Notify::new());
    let _running = controllers::start(without_lists(&server, read.clone()), controllers::Options::default());
    let client = as_user(&server, "admin");
    let house =
        House { caches: Caches::new(client.clone()), client, namespace: "default".into(), remote: false };
    let gears = gears(&house).await?;
    own_a_map(&house, &gears).await?;
    read.notified().await;
    gears.delete(&house.key("owner"), &Deletion::default()).await?;
    no_owned_map(&house).await
}

#[tokio::test]
async fn a_definition_goes_when_its_objects_are_gone() -> Result<()> {
    let house = house().await?;
    let gears = gears(&house).await?;
    make(&house, &gears, "one").await?;
    let definitions = house.of::<CustomResourceDefinition>();
    let key = Key::cluster("gears.house.example.com");
    definitions.delete(&key, &Deletion::default()).await?;
    let cache = house.caches.of::<CustomResourceDefinition>();
    house.wait_in(&cache, "no definition", |cache| cache.get(&key).is_none().then_some(())).await?;
    let error = gears.get(&house.key("one")).await.expect_err("the kind is gone");
    assert!(client::is_not_found(&error), "{error}");
    house.close().await
}
