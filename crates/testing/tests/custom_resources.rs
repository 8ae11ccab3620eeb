//! Kinds that are made at run time, seen by the controllers: what they own goes with them, and they go with their
//! namespace and with their definition.

use anyhow::Result;
use client::k8s_openapi::api::core::v1::ConfigMap;
use client::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use client::{Cache, Deletion, Key, Objects};
use serde_json::{Value, json};
use testing::house::{House, house};

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
    let owner = make(&house, &gears, "owner").await?;
    let owned = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "house.example.com/v1", "kind": "Gear", "name": "owner", "uid": owner["metadata"]["uid"]}]}});
    house.of::<ConfigMap>().create(&house.namespace, &owned).await?;
    gears.delete(&house.key("owner"), &Deletion::default()).await?;
    house
        .wait_all::<ConfigMap>("no owned map", |all| all.iter().all(|map| map["metadata"]["name"] != "owned"))
        .await?;
    house.close().await
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
