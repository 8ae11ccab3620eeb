//! Jobs against a running API server: their pods are counted once each, and freed.

use std::sync::Arc;

use anyhow::Result;
use client::k8s_openapi::api::batch::v1::Job;
use client::k8s_openapi::api::core::v1::Pod;
use client::{Deletion, Key, Patch, Propagation};
use serde_json::{Value, json};
use testing::house::{House, house};

const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// A Job whose pods get into a phase at once, on the house's own node alone.
fn job(phase: &str, spec: Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once" },
        "spec": { "template": {
            "metadata": { "annotations": { "testing/phase": phase } },
            "spec": { "restartPolicy": "Never",
                "containers": [{ "name": "main", "image": "example/pause:3.10" }] },
        } },
    });
    spec.as_object().into_iter().flatten().for_each(|(field, value)| job["spec"][field] = value.clone());
    job
}

async fn create(house: &House, job: &Value) -> Result<Value> {
    Ok(house.of::<Job>().create(&house.namespace, job).await?)
}

fn holds(job: &Value, kind: &str) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|own| own["type"] == kind && own["status"] == "True")
}

fn are_free(pods: &[Arc<Value>]) -> bool {
    pods.iter().all(|pod| !pod["metadata"]["finalizers"].to_string().contains(FINALIZER))
}

#[tokio::test]
async fn it_completes_when_all_its_pods_have() -> Result<()> {
    let house = house().await?;
    if house.remote {
        return house.close().await;
    }
    create(&house, &job("Succeeded", json!({ "completions": 5, "parallelism": 2 }))).await?;
    let done = house.wait::<Job>("once", "its completion", |job| holds(job, "Complete")).await?;
    assert_eq!((&done["status"]["succeeded"], done["status"].get("active")), (&json!(5), None));
    assert!(holds(&done, "SuccessCriteriaMet") && done["status"]["completionTime"].is_string(), "{done}");
    assert_eq!(done["status"]["uncountedTerminatedPods"], json!({}));
    let pods = house.wait_all::<Pod>("free pods", |pods| pods.len() == 5 && are_free(pods)).await?;
    assert!(pods.iter().all(|pod| pod["metadata"]["labels"]["job-name"] == "once"));
    house.close().await
}

#[tokio::test]
async fn each_index_is_done_once() -> Result<()> {
    let house = house().await?;
    if house.remote {
        return house.close().await;
    }
    let spec = json!({ "completions": 4, "parallelism": 4, "completionMode": "Indexed" });
    create(&house, &job("Succeeded", spec)).await?;
    let done = house.wait::<Job>("once", "its completion", |job| holds(job, "Complete")).await?;
    assert_eq!(done["status"]["completedIndexes"], "0-3");
    let pods = house.wait_all::<Pod>("free pods", are_free).await?;
    let mut hosts: Vec<_> = pods.iter().filter_map(|pod| pod["spec"]["hostname"].as_str()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["once-0", "once-1", "once-2", "once-3"]);
    house.close().await
}

#[tokio::test]
async fn it_fails_with_its_reason_and_ends_what_runs() -> Result<()> {
    let house = house().await?;
    if house.remote {
        return house.close().await;
    }
    create(&house, &job("Failed", json!({ "backoffLimit": 0 }))).await?;
    let failed = house.wait::<Job>("once", "its failure", |job| holds(job, "Failed")).await?;
    assert!(failed["status"]["conditions"].to_string().contains("BackoffLimitExceeded"), "{failed}");
    assert_eq!(failed["status"]["failed"], 1);
    let mut late = job("Running", json!({ "activeDeadlineSeconds": 1, "parallelism": 3, "completions": 3 }));
    late["metadata"]["name"] = "late".into();
    create(&house, &late).await?;
    let failed = house.wait::<Job>("late", "its deadline", |job| holds(job, "Failed")).await?;
    assert!(failed["status"]["conditions"].to_string().contains("DeadlineExceeded"), "{failed}");
    assert_eq!(failed["status"]["failed"], 3, "what still runs has failed");
    house
        .wait_all::<Pod>("no pod of it", |pods| pods.iter().all(|pod| !Key::of(pod).name.starts_with("late")))
        .await?;
    house.close().await
}

#[tokio::test]
async fn suspended_it_has_no_pods_and_resumed_it_has() -> Result<()> {
    let house = house().await?;
    create(&house, &job("Running", json!({ "parallelism": 2, "completions": 2 }))).await?;
    house.wait::<Job>("once", "two active", |job| job["status"]["active"] == 2).await?;
    let suspend = |suspend: bool| Patch::Merge(json!({ "spec": { "suspend": suspend } }));
    house.of::<Job>().patch(&house.key("once"), suspend(true)).await?;
    let still = |job: &Value| holds(job, "Suspended") && job["status"].get("active").is_none();
    let suspended = house.wait::<Job>("once", "no pods", still).await?;
    assert_eq!((suspended["status"].get("failed"), suspended["status"].get("startTime")), (None, None));
    house.wait_all::<Pod>("no pods", <[_]>::is_empty).await?;
    house.of::<Job>().patch(&house.key("once"), suspend(false)).await?;
    let running = |job: &Value| !holds(job, "Suspended") && job["status"]["active"] == 2;
    house.wait::<Job>("once", "two active again", running).await?;
    house.close().await
}

#[tokio::test]
async fn a_deleted_job_leaves_nothing_that_is_held() -> Result<()> {
    let house = house().await?;
    create(&house, &job("Running", json!({ "parallelism": 3, "completions": 3 }))).await?;
    house.wait::<Job>("once", "three active", |job| job["status"]["active"] == 3).await?;
    let background = Deletion { propagation: Some(Propagation::Background), ..Deletion::default() };
    house.of::<Job>().delete(&house.key("once"), &background).await?;
    house.wait_all::<Pod>("no pods", <[_]>::is_empty).await?;
    // Asked for nothing, a Job leaves its pods, free and without owner.
    create(&house, &job("Running", json!({}))).await?;
    house.wait::<Job>("once", "one active", |job| job["status"]["active"] == 1).await?;
    house.of::<Job>().delete(&house.key("once"), &Deletion::default()).await?;
    house.wait_all::<Job>("no Job", <[_]>::is_empty).await?;
    let left = |pods: &[Arc<Value>]| {
        pods.len() == 1 && are_free(pods) && client::owner::references(&pods[0]).is_empty()
    };
    house.wait_all::<Pod>("an orphan", left).await?;
    house.close().await
}

#[tokio::test]
async fn it_goes_when_its_time_is_over_and_others_manage_their_own() -> Result<()> {
    let house = house().await?;
    if house.remote {
        return house.close().await;
    }
    create(&house, &job("Succeeded", json!({ "ttlSecondsAfterFinished": 0 }))).await?;
    house.wait_all::<Job>("no Job", <[_]>::is_empty).await?;
    house.wait_all::<Pod>("no pods", <[_]>::is_empty).await?;
    let mut foreign = job("Running", json!({ "managedBy": "example.com/queue" }));
    foreign["metadata"]["name"] = "foreign".into();
    create(&house, &foreign).await?;
    create(&house, &job("Succeeded", json!({}))).await?;
    house.wait::<Job>("once", "its completion", |job| holds(job, "Complete")).await?;
    let foreign = house.of::<Job>().get(&house.key("foreign")).await?;
    assert_eq!(foreign.get("status"), None, "this controller does nothing about it");
    house.close().await
}
