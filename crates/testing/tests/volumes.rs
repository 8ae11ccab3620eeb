//! Claims, volumes and pods against a running API server, where the test itself makes the volumes that are asked for.

use anyhow::Result;
use client::k8s_openapi::api::apps::v1::StatefulSet;
use client::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use client::{Deletion, Key, Patch};
use serde_json::{Value, json};
use testing::house::{House, house};

const SELECTED: &str = "volume.kubernetes.io/selected-node";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  containers: [{ name: web, image: example/pause:3.10 }]
  volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }]
";

fn claim(name: &str, class: Option<&str>) -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": "1Gi" } } } })
}

/// What a provisioner makes for a claim.
async fn provide(house: &House, claim: &Value) -> Result<String> {
    let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap_or_default());
    let metadata = &claim["metadata"];
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": name, "annotations": { "pv.kubernetes.io/provisioned-by": "testing" } },
        "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/none" },
            "storageClassName": claim["spec"]["storageClassName"], "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": { "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"] } },
    });
    house.of::<PersistentVolume>().create("", &volume).await?;
    Ok(name)
}

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|own| own == finalizer))
}

async fn wait_phase(house: &House, volume: &str, phase: &str) -> Result<()> {
    let cache = house.caches.of::<PersistentVolume>();
    let key = Key::cluster(volume);
    house
        .wait_in(&cache, phase, |cache| cache.get(&key).filter(|volume| volume["status"]["phase"] == phase))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_claim_waits_for_its_pod_and_goes_after_it() -> Result<()> {
    let house = house().await?;
    let claims = house.of::<PersistentVolumeClaim>();
    let made = claims.create(&house.namespace, &claim("data", None)).await?;
    assert_eq!(made["spec"]["storageClassName"], "standard");
    assert!(has_finalizer(&made, "kubernetes.io/pvc-protection"));
    house.create::<Pod>(POD).await?;
    let selected = |claim: &Value| claim["metadata"]["annotations"].get(SELECTED).is_some();
    let asked = house.wait::<PersistentVolumeClaim>("data", "a node for the claim", selected).await?;
    assert_eq!(asked["metadata"]["annotations"][SELECTED], "fake");
    let volume = provide(&house, &asked).await?;
    house.wait::<Pod>("web", "it runs", |pod| pod["status"]["phase"] == "Running").await?;
    let bound = |claim: &Value| claim["status"]["phase"] == "Bound";
    house.wait::<PersistentVolumeClaim>("data", "bound", bound).await?;
    wait_phase(&house, &volume, "Bound").await?;
    // In use: both stay until their users are gone.
    claims.delete(&house.key("data"), &Deletion::default()).await?;
    house.of::<PersistentVolume>().delete(&Key::cluster(volume.as_str()), &Deletion::default()).await?;
    let going = |claim: &Value| claim["metadata"]["deletionTimestamp"].is_string();
    house.wait::<PersistentVolumeClaim>("data", "on its way out", going).await?;
    house.of::<Pod>().delete(&house.key("web"), &Deletion::default()).await?;
    house.wait_all::<PersistentVolumeClaim>("none", <[_]>::is_empty).await?;
    let volumes = house.caches.of::<PersistentVolume>();
    let key = Key::cluster(volume.as_str());
    house.wait_in(&volumes, "no volume", |cache| cache.get(&key).is_none().then_some(())).await?;
    house.close().await
}

#[tokio::test]
async fn a_volume_that_is_there_is_found() -> Result<()> {
    let house = house().await?;
    let class = house.namespace.clone();
    for (size, storage) in [("small", "2Gi"), ("big", "9Gi"), ("tiny", "1Mi")] {
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": format!("{size}-{class}") },
            "spec": { "capacity": { "storage": storage }, "accessModes": ["ReadWriteOnce"],
                "hostPath": { "path": "/none" }, "storageClassName": class },
        });
        house.of::<PersistentVolume>().create("", &volume).await?;
        wait_phase(&house, &format!("{size}-{class}"), "Available").await?;
    }
    let claims = house.of::<PersistentVolumeClaim>();
    claims.create(&house.namespace, &claim("data", Some(&class))).await?;
    let bound = |claim: &Value| claim["status"]["phase"] == "Bound";
    let found = house.wait::<PersistentVolumeClaim>("data", "bound", bound).await?;
    assert_eq!(found["spec"]["volumeName"], format!("small-{class}"));
    claims.delete(&house.key("data"), &Deletion::default()).await?;
    wait_phase(&house, &format!("small-{class}"), "Released").await?;
    for size in ["small", "big", "tiny"] {
        let key = Key::cluster(format!("{size}-{class}"));
        house.of::<PersistentVolume>().delete(&key, &Deletion::default()).await?;
    }
    house.close().await
}

#[tokio::test]
async fn a_set_has_claims_and_its_policy_says_when_they_go() -> Result<()> {
    let house = house().await?;
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "db" },
        "spec": { "replicas": 2, "serviceName": "db", "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "app": "db" } },
            "persistentVolumeClaimRetentionPolicy": { "whenScaled": "Delete" },
            "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": claim("", None)["spec"] }],
            "template": { "metadata": { "labels": { "app": "db" } }, "spec": { "containers": [
                { "name": "db", "image": "example/pause:3.10", "volumeMounts": [{ "name": "data", "mountPath": "/d" }] }] } } },
    });
    house.of::<StatefulSet>().create(&house.namespace, &set).await?;
    for name in ["data-db-0", "data-db-1"] {
        let selected = |claim: &Value| claim["metadata"]["annotations"].get(SELECTED).is_some();
        let asked = house.wait::<PersistentVolumeClaim>(name, "a node for the claim", selected).await?;
        provide(&house, &asked).await?;
    }
    let ready = |set: &Value| set["status"]["availableReplicas"] == 2;
    house.wait::<StatefulSet>("db", "two of two", ready).await?;
    let scale = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    house.of::<StatefulSet>().patch_sub(&house.key("db"), "scale", scale).await?;
    let first =
        |claims: &[std::sync::Arc<Value>]| claims.len() == 1 && claims[0]["metadata"]["name"] == "data-db-0";
    house.wait_all::<PersistentVolumeClaim>("the first claim alone", first).await?;
    house.of::<StatefulSet>().delete(&house.key("db"), &Deletion::default()).await?;
    house.wait_all::<Pod>("no pods", <[_]>::is_empty).await?;
    house.wait::<PersistentVolumeClaim>("data-db-0", "it stays", |_| true).await?;
    house.close().await
}

#[tokio::test]
async fn an_ephemeral_volume_goes_with_its_pod() -> Result<()> {
    let house = house().await?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "worker" },
        "spec": { "containers": [{ "name": "c", "image": "example/pause:3.10" }], "volumes": [
            { "name": "scratch", "ephemeral": { "volumeClaimTemplate": { "spec": claim("", None)["spec"] } } }] },
    });
    house.of::<Pod>().create(&house.namespace, &pod).await?;
    let selected = |claim: &Value| claim["metadata"]["annotations"].get(SELECTED).is_some();
    let asked = house.wait::<PersistentVolumeClaim>("worker-scratch", "its claim", selected).await?;
    provide(&house, &asked).await?;
    house.wait::<Pod>("worker", "it runs", |pod| pod["status"]["phase"] == "Running").await?;
    house.of::<Pod>().delete(&house.key("worker"), &Deletion::default()).await?;
    house.wait_all::<PersistentVolumeClaim>("none", <[_]>::is_empty).await?;
    house.close().await
}
