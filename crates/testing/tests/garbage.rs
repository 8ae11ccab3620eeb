//! What goes when its owner goes, and what stays.

use anyhow::Result;
use client::k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use client::k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use client::{Deletion, Key, Patch, Propagation};
use serde_json::json;
use testing::house::{House, house};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: web, image: example/pause:3.10 }]
";

async fn ready(house: &House) -> Result<()> {
    house.create::<Deployment>(WEB).await?;
    house.wait::<Deployment>("web", "2 of 2", |web| web["status"]["availableReplicas"] == 2).await?;
    Ok(())
}

async fn delete(house: &House, propagation: Propagation) -> Result<()> {
    let deletion = Deletion { propagation: Some(propagation), ..Deletion::default() };
    house.of::<Deployment>().delete(&house.key("web"), &deletion).await?;
    house.wait_all::<Deployment>("no deployment", |all| all.is_empty()).await?;
    Ok(())
}

#[tokio::test]
async fn in_the_background_everything_goes() -> Result<()> {
    let house = house().await?;
    ready(&house).await?;
    delete(&house, Propagation::Background).await?;
    house.wait_all::<ReplicaSet>("no sets", |all| all.is_empty()).await?;
    house.wait_all::<Pod>("no pods", |all| all.is_empty()).await?;
    house.close().await
}

#[tokio::test]
async fn in_the_foreground_the_dependents_go_first() -> Result<()> {
    let house = house().await?;
    ready(&house).await?;
    let sets = house.caches.of::<ReplicaSet>();
    sets.synced().await;
    delete(&house, Propagation::Foreground).await?;
    // Other caches may lag, so the API itself is asked.
    assert!(house.of::<ReplicaSet>().list(&house.namespace).await?.is_empty());
    assert!(house.of::<Pod>().list(&house.namespace).await?.is_empty());
    house.close().await
}

#[tokio::test]
async fn orphans_stay_and_are_adopted_again() -> Result<()> {
    let house = house().await?;
    ready(&house).await?;
    delete(&house, Propagation::Orphan).await?;
    let orphaned = |all: &[std::sync::Arc<serde_json::Value>]| {
        all.len() == 1 && client::owner::references(&all[0]).is_empty()
    };
    let sets = house.wait_all::<ReplicaSet>("an orphan", orphaned).await?;
    ready(&house).await?;
    let adopted = house.wait_all::<ReplicaSet>("an adoption", |all| !orphaned(all)).await?;
    assert_eq!(adopted.len(), 1);
    assert_eq!(adopted[0]["metadata"]["uid"], sets[0]["metadata"]["uid"]);
    house.close().await
}

#[tokio::test]
async fn an_owner_that_never_was_takes_its_dependent_along() -> Result<()> {
    let house = house().await?;
    let map = |name: &str, owner: &str, uid: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "ownerReferences": [
                { "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid },
            ]},
        })
    };
    let maps = house.of::<ConfigMap>();
    let root =
        house.create::<ConfigMap>("{ apiVersion: v1, kind: ConfigMap, metadata: { name: root } }").await?;
    let uid = root["metadata"]["uid"].as_str().expect("every object has a uid");
    maps.create(&house.namespace, &map("child", "root", uid)).await?;
    maps.create(&house.namespace, &map("stray", "nobody", "11111111-2222-3333-4444-555555555555")).await?;
    let cache = house.caches.of::<ConfigMap>();
    let gone = |name: &str| {
        let key = house.key(name);
        let cache = cache.clone();
        let house = &house;
        async move { house.wait_in(&cache, "its end", |cache| cache.get(&key).is_none().then_some(())).await }
    };
    gone("stray").await?;
    assert!(maps.get(&house.key("child")).await.is_ok(), "an owned object stays while its owner is there");
    maps.delete(&house.key("root"), &Deletion::default()).await?;
    gone("child").await?;
    house.close().await
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() -> Result<()> {
    let house = house().await?;
    ready(&house).await?;
    let held = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "held", "finalizers": ["example.com/hold"] } });
    house.of::<ConfigMap>().create(&house.namespace, &held).await?;
    let (namespaces, key) = (house.of::<Namespace>(), Key::cluster(house.namespace.as_str()));
    namespaces.delete(&key, &Deletion::default()).await?;
    let cache = house.caches.of::<Namespace>();
    let says = |cache: &client::Cache| {
        let namespace = cache.get(&key)?;
        let text = namespace["status"]["conditions"].to_string();
        text.contains("example.com/hold in 1 resource instances").then_some(())
    };
    house.wait_in(&cache, "the condition", says).await?;
    assert!(house.of::<Pod>().list(&house.namespace).await?.is_empty());
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    house.of::<ConfigMap>().patch(&house.key("held"), release).await?;
    house
        .wait_in(&cache, "the end of the namespace", |cache| cache.get(&key).is_none().then_some(()))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_of_many_objects_goes_page_by_page() -> Result<()> {
    let house = house().await?;
    let maps = house.of::<ConfigMap>();
    // The first page and a later one have an object that stays.
    let map = |n: usize| {
        let finalizers = if n.is_multiple_of(700) { json!(["example.com/hold"]) } else { json!([]) };
        let metadata = json!({ "name": format!("map-{n:04}"), "finalizers": finalizers });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata })
    };
    let objects: Vec<_> = (0..1200).map(map).collect();
    futures::future::try_join_all(objects.iter().map(|object| maps.create(&house.namespace, object))).await?;
    let everything = Deletion::default();
    maps.delete_all(&house.namespace, &everything).await?;
    let mut left = Vec::new();
    maps.each_metadata(&house.namespace, |object| {
        left.push((Key::of(object).name, object["metadata"]["deletionTimestamp"].is_string()));
    })
    .await?;
    // Every namespace has one more, which its controller makes again.
    left.retain(|(name, _)| name.starts_with("map-"));
    assert_eq!(left, [("map-0000".to_owned(), true), ("map-0700".to_owned(), true)]);
    let (namespaces, key) = (house.of::<Namespace>(), Key::cluster(house.namespace.as_str()));
    for (name, _) in &left {
        let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        maps.patch(&house.key(name), release).await?;
    }
    futures::future::try_join_all(objects[1..600].iter().map(|object| maps.create(&house.namespace, object)))
        .await?;
    namespaces.delete(&key, &everything).await?;
    let cache = house.caches.of::<Namespace>();
    house
        .wait_in(&cache, "the end of the namespace", |cache| cache.get(&key).is_none().then_some(()))
        .await?;
    Ok(())
}
