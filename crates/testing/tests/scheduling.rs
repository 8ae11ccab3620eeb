//! What the scheduler says and does against a running API server. The rules themselves are tested as data
//! in its own room.

use anyhow::Result;
use client::k8s_openapi::api::core::v1::{Event, Pod};
use client::{Deletion, Key};
use serde_json::{Value, json};
use testing::house::house;

fn pod(name: &str, memory: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "containers": [{ "name": "main", "image": "example/pause:3.10",
            "resources": { "requests": { "memory": memory } } }] },
    })
}

fn scheduled(pod: &Value) -> Option<&Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "PodScheduled")
}

#[tokio::test]
async fn a_pod_that_does_not_fit_says_why_and_goes_when_there_is_room() -> Result<()> {
    let house = house().await?;
    if house.remote {
        // How much room a real cluster has is unknown.
        return house.close().await;
    }
    let pods = house.of::<Pod>();
    pods.create(&house.namespace, &pod("first", "12Gi")).await?;
    house.wait::<Pod>("first", "the first to run", |pod| pod["status"]["phase"] == "Running").await?;
    pods.create(&house.namespace, &pod("second", "12Gi")).await?;
    let refused =
        |pod: &Value| scheduled(pod).is_some_and(|condition| condition["reason"] == "Unschedulable");
    let second = house.wait::<Pod>("second", "the refusal", refused).await?;
    let message = "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: \
                   1 No preemption victims found for incoming pod.";
    assert_eq!(scheduled(&second).map(|condition| &condition["message"]), Some(&json!(message)));
    let told = |events: &[std::sync::Arc<Value>]| {
        events.iter().any(|event| event["reason"] == "FailedScheduling" && event["message"] == message)
    };
    house.wait_all::<Event>("the event", told).await?;
    pods.delete(&house.key("first"), &Deletion::default()).await?;
    house.wait::<Pod>("second", "the second to run", |pod| pod["status"]["phase"] == "Running").await?;
    let assigned = format!("Successfully assigned {} to fake", house.key("second"));
    let told =
        |events: &[std::sync::Arc<Value>]| events.iter().any(|event| event["message"] == assigned.as_str());
    house.wait_all::<Event>("the other event", told).await?;
    house.close().await
}

#[tokio::test]
async fn a_pod_of_another_scheduler_and_a_gated_one_are_left_alone() -> Result<()> {
    let house = house().await?;
    let pods = house.of::<Pod>();
    let mut other = pod("other", "1Mi");
    other["spec"]["schedulerName"] = "somebody-else".into();
    let mut gated = pod("gated", "1Mi");
    gated["spec"]["schedulingGates"] = json!([{ "name": "example.com/wait" }]);
    pods.create(&house.namespace, &other).await?;
    pods.create(&house.namespace, &gated).await?;
    // The last one goes through the same queue, so the others have been looked at when it runs.
    pods.create(&house.namespace, &pod("plain", "1Mi")).await?;
    house.wait::<Pod>("plain", "the last to be placed", |pod| pod["spec"]["nodeName"].is_string()).await?;
    for name in ["other", "gated"] {
        let pod = pods.get(&Key::new(house.namespace.as_str(), name)).await?;
        assert!(pod["spec"]["nodeName"].is_null(), "{name} was placed");
    }
    house.close().await
}
