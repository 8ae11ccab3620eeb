//! DaemonSets against a running API server with one node.

use anyhow::Result;
use client::k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use client::k8s_openapi::api::core::v1::{Node, Pod};
use client::{Key, Patch};
use serde_json::{Value, json};
use testing::house::{House, house};

const AGENT: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  selector: { matchLabels: { app: agent } }
  revisionHistoryLimit: 1
  template:
    metadata: { labels: { app: agent } }
    spec:
      containers: [{ name: agent, image: example/pause:3.10 }]
";

fn is_complete(set: &Value) -> bool {
    let status = &set["status"];
    status["observedGeneration"] == set["metadata"]["generation"]
        && ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"]
            .iter()
            .all(|name| status[*name] == 1)
}

async fn image(house: &House, image: &str) -> Result<()> {
    let containers = json!([{ "name": "agent", "image": image }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    house.of::<DaemonSet>().patch(&house.key("agent"), Patch::Merge(patch)).await?;
    Ok(())
}

#[tokio::test]
async fn a_pod_on_the_node_and_another_when_the_template_changes() -> Result<()> {
    let house = house().await?;
    house.create::<DaemonSet>(AGENT).await?;
    house.wait::<DaemonSet>("agent", "one of one", is_complete).await?;
    let is_of = |wanted: &'static str| {
        move |pods: &[std::sync::Arc<Value>]| {
            pods.len() == 1 && pods[0]["spec"]["containers"][0]["image"] == wanted
        }
    };
    for tag in ["example/pause:3.9", "example/pause:3.8", "example/pause:3.9"] {
        image(&house, tag).await?;
        house.wait_all::<Pod>("the new pod", is_of(tag)).await?;
        house.wait::<DaemonSet>("agent", "the update", is_complete).await?;
    }
    // The first of three templates is beyond the limit; the second came back as the fourth revision.
    let revisions = house.wait_all::<ControllerRevision>("two revisions", |all| all.len() == 2).await?;
    let mut numbers: Vec<Option<i64>> =
        revisions.iter().map(|revision| revision["revision"].as_i64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(3), Some(4)]);
    house.close().await
}

#[tokio::test]
async fn a_node_is_left_and_taken_again() -> Result<()> {
    let house = house().await?;
    if house.remote {
        return house.close().await;
    }
    house.create::<DaemonSet>(AGENT).await?;
    house.wait::<DaemonSet>("agent", "one of one", is_complete).await?;
    let nodes = house.of::<Node>();
    let taint = |taints: Value| Patch::Merge(json!({ "spec": { "taints": taints } }));
    // A pod that is there stays where a new one would not be made.
    nodes.patch(&Key::cluster("fake"), taint(json!([{ "key": "own", "effect": "NoSchedule" }]))).await?;
    let misplaced = |set: &Value| {
        set["status"]["numberMisscheduled"] == 1 && set["status"]["desiredNumberScheduled"] == 0
    };
    house.wait::<DaemonSet>("agent", "a pod too many", misplaced).await?;
    nodes.patch(&Key::cluster("fake"), taint(json!([{ "key": "own", "effect": "NoExecute" }]))).await?;
    house.wait_all::<Pod>("none", |pods| pods.is_empty()).await?;
    nodes.patch(&Key::cluster("fake"), taint(Value::Null)).await?;
    house.wait::<DaemonSet>("agent", "one of one again", is_complete).await?;
    house.close().await
}
