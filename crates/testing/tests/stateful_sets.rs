//! StatefulSets against a running API server.

use std::sync::Arc;

use anyhow::Result;
use client::Patch;
use client::k8s_openapi::api::apps::v1::StatefulSet;
use client::k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use testing::house::{House, house};

const WEB: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: web }
spec:
  replicas: 3
  serviceName: front
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: web, image: example/pause:3.10 }]
";

fn is_complete(set: &Value) -> bool {
    let status = &set["status"];
    let replicas = &set["spec"]["replicas"];
    status["observedGeneration"] == set["metadata"]["generation"]
        && status["currentRevision"] == status["updateRevision"]
        && ["replicas", "availableReplicas"].iter().all(|name| status[*name] == *replicas)
}

fn names(pods: &[Arc<Value>]) -> Vec<&str> {
    pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default()).collect()
}

async fn patch(house: &House, spec: Value) -> Result<()> {
    house.of::<StatefulSet>().patch(&house.key("web"), Patch::Merge(json!({ "spec": spec }))).await?;
    Ok(())
}

fn template(image: &str) -> Value {
    json!({ "spec": { "containers": [{ "name": "web", "image": image }] } })
}

#[tokio::test]
async fn numbered_pods_come_go_and_come_back() -> Result<()> {
    let house = house().await?;
    house.create::<StatefulSet>(WEB).await?;
    house.wait::<StatefulSet>("web", "three of three", is_complete).await?;
    let pods = house.wait_all::<Pod>("three", |pods| names(pods) == ["web-0", "web-1", "web-2"]).await?;
    assert_eq!(pods[1]["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
    assert_eq!(
        (&pods[1]["spec"]["hostname"], &pods[1]["spec"]["subdomain"]),
        (&json!("web-1"), &json!("front"))
    );
    let uid = pods[1]["metadata"]["uid"].clone();
    house.of::<Pod>().delete(&house.key("web-1"), &client::Deletion::default()).await?;
    let again = |pods: &[Arc<Value>]| pods.len() == 3 && pods[1]["metadata"]["uid"] != uid;
    house.wait_all::<Pod>("another with its name", again).await?;
    let scale = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    house.of::<StatefulSet>().patch_sub(&house.key("web"), "scale", scale).await?;
    house.wait_all::<Pod>("the first alone", |pods| names(pods) == ["web-0"]).await?;
    house.close().await
}

#[tokio::test]
async fn a_partition_keeps_the_old_revision() -> Result<()> {
    let house = house().await?;
    house.create::<StatefulSet>(WEB).await?;
    house.wait::<StatefulSet>("web", "three of three", is_complete).await?;
    let rolling = json!({ "rollingUpdate": { "partition": 2 } });
    patch(&house, json!({ "template": template("example/pause:3.9"), "updateStrategy": rolling })).await?;
    let images = |pods: &[Arc<Value>]| -> Vec<String> {
        let tag = |pod: &Arc<Value>| pod["spec"]["containers"][0]["image"].to_string();
        pods.iter()
            .map(tag)
            .map(|image| image.trim_matches('"').rsplit(':').next().unwrap_or_default().to_owned())
            .collect()
    };
    house.wait_all::<Pod>("the last is new", |pods| images(pods) == ["3.10", "3.10", "3.9"]).await?;
    house.of::<Pod>().delete(&house.key("web-0"), &client::Deletion::default()).await?;
    let back = |set: &Value| set["status"]["availableReplicas"] == 3 && set["status"]["updatedReplicas"] == 1;
    house.wait::<StatefulSet>("web", "the old one back", back).await?;
    house.wait_all::<Pod>("it is as old as it was", |pods| images(pods) == ["3.10", "3.10", "3.9"]).await?;
    patch(&house, json!({ "updateStrategy": { "rollingUpdate": { "partition": 0 } } })).await?;
    house.wait::<StatefulSet>("web", "all new", is_complete).await?;
    house.wait_all::<Pod>("all new", |pods| images(pods) == ["3.9", "3.9", "3.9"]).await?;
    house.close().await
}

#[tokio::test]
async fn in_parallel_a_pod_that_is_not_ready_holds_nobody_back() -> Result<()> {
    let house = house().await?;
    let mut web: Value = serde_saphyr::from_str(WEB)?;
    web["spec"]["template"]["metadata"]["annotations"] = json!({ "testing/unready": "yes" });
    house.of::<StatefulSet>().create(&house.namespace, &web).await?;
    house.wait_all::<Pod>("the first, and nobody else", |pods| names(pods) == ["web-0"]).await?;
    let mut crowd = web.clone();
    crowd["metadata"]["name"] = "crowd".into();
    crowd["spec"]["podManagementPolicy"] = "Parallel".into();
    crowd["spec"]["selector"]["matchLabels"]["app"] = "crowd".into();
    crowd["spec"]["template"]["metadata"]["labels"]["app"] = "crowd".into();
    house.of::<StatefulSet>().create(&house.namespace, &crowd).await?;
    let all = ["crowd-0", "crowd-1", "crowd-2", "web-0"];
    house.wait_all::<Pod>("all of the crowd", |pods| names(pods) == all).await?;
    house.close().await
}
