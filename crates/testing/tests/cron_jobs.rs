//! CronJobs against a running API server.

use anyhow::Result;
use client::k8s_openapi::api::batch::v1::{CronJob, Job};
use client::k8s_openapi::api::core::v1::Pod;
use client::{Deletion, Patch, Propagation};
use serde_json::{Value, json};
use testing::house::house;

/// A CronJob that is due every second, and whose pods end at once. Its Jobs are one for each minute.
fn every_second() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "tick" },
        "spec": { "schedule": "@every 1s", "jobTemplate": { "spec": { "template": {
            "metadata": { "annotations": { "testing/phase": "Succeeded" } },
            "spec": { "restartPolicy": "Never",
                "containers": [{ "name": "main", "image": "example/pause:3.10" }] },
        } } } },
    })
}

#[tokio::test]
async fn its_time_comes_and_its_job_succeeds() -> Result<()> {
    let house = house().await?;
    if house.remote {
        // Only the house's own node knows that the pods are to end.
        return house.close().await;
    }
    let cron_jobs = house.of::<CronJob>();
    let made = cron_jobs.create(&house.namespace, &every_second()).await?;
    let jobs = house.wait_all::<Job>("a Job", |jobs| !jobs.is_empty()).await?;
    let job = &jobs[0];
    assert_eq!(client::owner::controller_uid(job), made["metadata"]["uid"].as_str());
    assert!(job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"].is_string());
    let successful = |cron_job: &Value| cron_job["status"]["lastSuccessfulTime"].is_string();
    let seen = house.wait::<CronJob>("tick", "its success", successful).await?;
    assert!(seen["status"]["lastScheduleTime"].is_string(), "{seen}");
    let suspend = Patch::Merge(json!({ "spec": { "suspend": true } }));
    cron_jobs.patch(&house.key("tick"), suspend).await?;
    let idle =
        |cron_job: &Value| cron_job["spec"]["suspend"] == true && cron_job["status"].get("active").is_none();
    house.wait::<CronJob>("tick", "nothing active", idle).await?;
    let background = Deletion { propagation: Some(Propagation::Background), ..Deletion::default() };
    cron_jobs.delete(&house.key("tick"), &background).await?;
    house.wait_all::<Job>("no Job", <[_]>::is_empty).await?;
    house.wait_all::<Pod>("no pods", <[_]>::is_empty).await?;
    house.close().await
}

#[tokio::test]
async fn a_history_of_none_keeps_none() -> Result<()> {
    let house = house().await?;
    if house.remote {
        return house.close().await;
    }
    let mut cron_job = every_second();
    cron_job["spec"]["successfulJobsHistoryLimit"] = 0.into();
    house.of::<CronJob>().create(&house.namespace, &cron_job).await?;
    let successful = |cron_job: &Value| cron_job["status"]["lastSuccessfulTime"].is_string();
    house.wait::<CronJob>("tick", "its success", successful).await?;
    house.wait_all::<Job>("no Job", <[_]>::is_empty).await?;
    house.close().await
}
