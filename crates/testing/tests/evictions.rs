//! Evictions and the budgets that they ask, against a running API server.

use anyhow::Result;
use client::Patch;
use client::k8s_openapi::api::apps::v1::Deployment;
use client::k8s_openapi::api::core::v1::Pod;
use client::k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};
use testing::house::house;

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

const BUDGET: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec: { minAvailable: 2, selector: { matchLabels: { app: web } } }
";

#[tokio::test]
async fn a_budget_refuses_grants_once_and_counts_again() -> Result<()> {
    let house = house().await?;
    house.create::<Deployment>(WEB).await?;
    house.wait::<Deployment>("web", "two available", |web| web["status"]["availableReplicas"] == 2).await?;
    house.create::<PodDisruptionBudget>(BUDGET).await?;
    let healthy = |budget: &Value| budget["status"]["currentHealthy"] == 2;
    house.wait::<PodDisruptionBudget>("web", "two healthy", healthy).await?;
    let pods = house.wait_all::<Pod>("two pods", |pods| pods.len() == 2).await?;
    let key = client::Key::of(&pods[0]);
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": key.name } });
    let refused =
        house.of::<Pod>().create_sub(&key, "eviction", &eviction).await.expect_err("two are needed");
    let client::kube::Error::Api(status) = &refused else { panic!("{refused}") };
    assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let why: Vec<_> = causes.map(|cause| cause.message.as_str()).collect();
    assert_eq!(why, ["The disruption budget web needs 2 healthy pods and has 2 currently"]);
    let share = Patch::Merge(json!({ "spec": { "minAvailable": null, "maxUnavailable": "50%" } }));
    house.of::<PodDisruptionBudget>().patch(&house.key("web"), share).await?;
    let one = |budget: &Value| budget["status"]["disruptionsAllowed"] == 1;
    house.wait::<PodDisruptionBudget>("web", "one that may go", one).await?;
    house.of::<Pod>().create_sub(&key, "eviction", &eviction).await?;
    let replaced = |pods: &[std::sync::Arc<Value>]| {
        pods.len() == 2 && pods.iter().all(|pod| pod["metadata"]["name"] != key.name.as_str())
    };
    house.wait_all::<Pod>("another in its place", replaced).await?;
    house.wait::<PodDisruptionBudget>("web", "one that may go again", one).await?;
    house.close().await
}
