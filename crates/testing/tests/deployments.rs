//! Deployments and ReplicaSets against a running API server.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use client::k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use client::k8s_openapi::api::core::v1::Pod;
use client::{Deletion, Patch};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use testing::house::{House, house};

const REVISION: &str = "deployment.kubernetes.io/revision";

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
      containers: [{ name: web, image: example/pause:3.10 }]
";

fn is_complete(deployment: &Value) -> bool {
    let status = &deployment["status"];
    let replicas = &deployment["spec"]["replicas"];
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|name| &status[*name] == replicas)
}

#[tokio::test]
async fn three_of_three_and_a_rolling_update() -> Result<()> {
    let house = house().await?;
    let start = std::time::Instant::now();
    house.create::<Deployment>(WEB).await?;
    house.wait::<Deployment>("web", "3 of 3", is_complete).await?;
    println!("apply to 3 of 3: {:?}", start.elapsed());
    let image = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example/pause:3.9" }]);
    let start = std::time::Instant::now();
    house.of::<Deployment>().patch(&house.key("web"), Patch::Json(image)).await?;
    let updated = |deployment: &Value| {
        deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
            && is_complete(deployment)
    };
    house.wait::<Deployment>("web", "the update", updated).await?;
    println!("rolling update: {:?}", start.elapsed());
    house.wait_all::<ReplicaSet>("two sets", |sets| sets.len() == 2).await?;
    house.wait_all::<Pod>("three pods", |pods| pods.len() == 3).await?;
    house.close().await
}

/// WEB with `replicas` and more of a spec, merged in as a patch would be.
async fn patch(house: &House, spec: Value) -> Result<()> {
    house.of::<Deployment>().patch(&house.key("web"), Patch::Merge(json!({ "spec": spec }))).await?;
    Ok(())
}

fn image(image: &str) -> Value {
    json!({ "template": { "spec": { "containers": [{ "name": "web", "image": image }] } } })
}

fn active(pods: &[Arc<Value>]) -> usize {
    pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count()
}

#[tokio::test]
async fn recreate_never_mixes_templates() -> Result<()> {
    let house = house().await?;
    let mut web: Value = serde_saphyr::from_str(WEB)?;
    web["spec"]["strategy"] = json!({ "type": "Recreate" });
    house.of::<Deployment>().create(&house.namespace, &web).await?;
    house.wait::<Deployment>("web", "3 of 3", is_complete).await?;
    let pods = house.caches.of::<Pod>();
    pods.synced().await;
    let mut changes = pods.subscribe();
    patch(&house, image("example/pause:3.9")).await?;
    let updated = |web: &Value| web["metadata"]["annotations"][REVISION] == "2" && is_complete(web);
    house.wait::<Deployment>("web", "the update", updated).await?;
    // Every state of the cache that was seen on the way had pods of one template only.
    while let Some(Some(_)) = changes.next().now_or_never() {
        let images: BTreeSet<String> = pods
            .list_in(&house.namespace)
            .iter()
            .map(|pod| pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(images.len() <= 1, "{images:?} run together");
    }
    house.close().await
}

#[tokio::test]
async fn paused_resumed_undone_and_forgotten() -> Result<()> {
    let house = house().await?;
    house.create::<Deployment>(WEB).await?;
    house.wait::<Deployment>("web", "3 of 3", is_complete).await?;
    patch(&house, json!({ "paused": true, "revisionHistoryLimit": 1 })).await?;
    patch(&house, image("example/pause:3.9")).await?;
    patch(&house, json!({ "replicas": 4 })).await?;
    let paused = |web: &Value| {
        web["status"]["availableReplicas"] == 4
            && web["status"]["updatedReplicas"].is_null()
            && web["status"]["conditions"].to_string().contains("DeploymentPaused")
    };
    house.wait::<Deployment>("web", "4 of the old template", paused).await?;
    assert_eq!(house.of::<ReplicaSet>().list(&house.namespace).await?.len(), 1);
    patch(&house, json!({ "paused": false })).await?;
    let at = |revision: &'static str| {
        move |web: &Value| web["metadata"]["annotations"][REVISION] == revision && is_complete(web)
    };
    house.wait::<Deployment>("web", "the update", at("2")).await?;
    // `kubectl rollout undo` puts the old template back.
    patch(&house, image("example/pause:3.10")).await?;
    house.wait::<Deployment>("web", "the way back", at("3")).await?;
    let sets = house.wait_all::<ReplicaSet>("the old set again", |sets| sets.len() == 2).await?;
    let histories: Vec<&Value> = sets
        .iter()
        .map(|set| &set["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"])
        .collect();
    assert!(histories.contains(&&json!("1")), "{histories:?}");
    patch(&house, image("example/pause:3.8")).await?;
    house.wait::<Deployment>("web", "another update", at("4")).await?;
    house.wait_all::<ReplicaSet>("the history to be cut", |sets| sets.len() == 2).await?;
    house.close().await
}

#[tokio::test]
async fn never_a_pod_too_many() -> Result<()> {
    const MOST: usize = 10;
    let house = house().await?;
    let mut set: Value = serde_saphyr::from_str(WEB)?;
    (set["kind"], set["spec"]["replicas"]) = ("ReplicaSet".into(), 1.into());
    let sets = house.of::<ReplicaSet>();
    sets.create(&house.namespace, &set).await?;
    let pods = house.caches.of::<Pod>();
    pods.synced().await;
    let mut changes = pods.subscribe();
    let mut most = 0;
    for turn in 0..30_usize {
        let replicas = [MOST, 3, 7, 1, MOST, 0][turn % 6];
        sets.patch(&house.key("web"), Patch::Merge(json!({ "spec": { "replicas": replicas } }))).await?;
        // Sometimes there is time to follow, sometimes not.
        for _ in 0..turn % 7 {
            tokio::task::yield_now().await;
            while let Some(Some(_)) = changes.next().now_or_never() {
                most = most.max(active(&pods.list_in(&house.namespace)));
            }
        }
    }
    sets.patch(&house.key("web"), Patch::Merge(json!({ "spec": { "replicas": MOST } }))).await?;
    house.wait_all::<Pod>("ten pods", |pods| pods.len() == MOST && active(pods) == MOST).await?;
    let settled = |set: &Value| set["status"]["availableReplicas"] == MOST;
    house.wait::<ReplicaSet>("web", "ten available", settled).await?;
    let there = active(&pods.list_in(&house.namespace));
    assert!(most <= MOST && there == MOST, "{most} at once, {there} in the end");
    house.close().await
}

#[tokio::test]
async fn a_lost_pod_is_replaced_and_a_stranger_adopted() -> Result<()> {
    let house = house().await?;
    house.create::<Deployment>(WEB).await?;
    house.wait::<Deployment>("web", "3 of 3", is_complete).await?;
    let pods = house.wait_all::<Pod>("three pods", |pods| active(pods) == 3).await?;
    let lost = pods[0]["metadata"]["uid"].clone();
    house.of::<Pod>().delete(&client::Key::of(&pods[0]), &Deletion::default()).await?;
    let replaced =
        |pods: &[Arc<Value>]| pods.len() == 3 && pods.iter().all(|pod| pod["metadata"]["uid"] != lost);
    house.wait_all::<Pod>("the replacement", replaced).await?;
    // A pod that looks like one of them is taken over, and then there is one too many.
    let mut stranger = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "stranger" } });
    stranger["metadata"]["labels"] = pods[0]["metadata"]["labels"].clone();
    stranger["spec"] = json!({ "containers": [{ "name": "web", "image": "example/pause:3.10" }] });
    house.of::<Pod>().create(&house.namespace, &stranger).await?;
    let taken = |pods: &[Arc<Value>]| {
        pods.len() == 3 && pods.iter().all(|pod| client::owner::controller(pod).is_some())
    };
    house.wait_all::<Pod>("three of four", taken).await?;
    house.close().await
}

#[tokio::test]
async fn what_cannot_be_made_is_told() -> Result<()> {
    let house = house().await?;
    let mut web: Value = serde_saphyr::from_str(WEB)?;
    web["spec"]["template"]["spec"]["serviceAccountName"] = "nobody".into();
    house.of::<Deployment>().create(&house.namespace, &web).await?;
    let told = |web: &Value| {
        let conditions = web["status"]["conditions"].to_string();
        conditions.contains("FailedCreate") && conditions.contains("serviceaccount \\\"nobody\\\" not found")
    };
    house.wait::<Deployment>("web", "the failure", told).await?;
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "nobody" } });
    house.objects("v1", "ServiceAccount", "serviceaccounts").create(&house.namespace, &account).await?;
    house.wait::<Deployment>("web", "3 of 3", is_complete).await?;
    house.close().await
}
