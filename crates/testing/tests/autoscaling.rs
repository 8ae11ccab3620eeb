//! HorizontalPodAutoscalers against a running API server, whose node measures nothing.

use anyhow::Result;
use client::Patch;
use client::k8s_openapi::api::apps::v1::Deployment;
use client::k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use client::k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};
use testing::house::{House, house};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: web, image: example/pause:3.10, resources: { requests: { cpu: 10m } } }]
";

async fn autoscaler(house: &House, name: &str, minimum: i64, maximum: i64) -> Result<()> {
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
    let object = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": name },
        "spec": { "scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": maximum },
    });
    house.of::<HorizontalPodAutoscaler>().create(&house.namespace, &object).await?;
    Ok(())
}

/// Whether the object has this condition.
fn says(kind: &'static str, status: &'static str, reason: &'static str) -> impl Fn(&Value) -> bool {
    move |object| {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let mut found = conditions.filter(|condition| condition["type"] == kind);
        found.any(|condition| condition["status"] == status && condition["reason"] == reason)
    }
}

#[tokio::test]
async fn bounds_hold_without_any_metric() -> Result<()> {
    let house = house().await?;
    house.create::<Deployment>(WEB).await?;
    autoscaler(&house, "web", 3, 5).await?;
    house.wait::<Deployment>("web", "the minimum", |web| web["spec"]["replicas"] == 3).await?;
    house
        .wait::<HorizontalPodAutoscaler>(
            "web",
            "the success",
            says("AbleToScale", "True", "SucceededRescale"),
        )
        .await?;
    let told = |event: &Value| {
        event["reason"] == "SuccessfulRescale"
            && event["message"] == "New size: 3; reason: Current number of replicas below Spec.MinReplicas"
    };
    house.wait_all::<Event>("the event", |events| events.iter().any(|event| told(event))).await?;
    // A change of the autoscaler has its turn at once, not after 15 seconds; now nobody measures the pods.
    let patch = json!({ "spec": { "maxReplicas": 6 } });
    house.of::<HorizontalPodAutoscaler>().patch(&house.key("web"), Patch::Merge(patch)).await?;
    let failed = says("ScalingActive", "False", "FailedGetResourceMetric");
    house.wait::<HorizontalPodAutoscaler>("web", "the failure", failed).await?;
    house.close().await
}

#[tokio::test]
async fn a_target_that_is_not_there_is_said_to_be_missing() -> Result<()> {
    let house = house().await?;
    autoscaler(&house, "web", 1, 5).await?;
    let failed = says("AbleToScale", "False", "FailedGetScale");
    house.wait::<HorizontalPodAutoscaler>("web", "the failure", failed).await?;
    house.close().await
}
