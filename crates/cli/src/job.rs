//! `dory deploy` of a Job: it is deployed when it is done.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use client::kube::api::{Api, DynamicObject};
use client::kube::runtime::wait::await_condition;
use serde_json::Value;

/// How a Job ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Complete,
    /// Why it failed.
    Failed(String),
    /// Nobody works on it until it is resumed.
    Suspended,
}

/// Waits until a Job is complete; that it failed is an error.
pub(crate) async fn wait(
    jobs: Api<DynamicObject>,
    name: &str,
    limit: Duration,
    began: Instant,
) -> Result<()> {
    let over = await_condition(jobs, name, |job: Option<&DynamicObject>| {
        job.is_some_and(|job| end(&job.data).is_some())
    });
    let job = match tokio::time::timeout(limit, over).await {
        Ok(job) => job.context("the watch on the job ended")?,
        Err(_) => bail!(
            "job {name} is not complete after {} s; `kubectl describe job {name}` says why",
            limit.as_secs()
        ),
    };
    let data = job.map(|job| job.data).unwrap_or_default();
    let count = |value: &Value| value.as_i64().unwrap_or(0);
    let succeeded = count(&data["status"]["succeeded"]);
    let wanted = data["spec"]["completions"].as_i64().unwrap_or(succeeded);
    match end(&data) {
        Some(End::Failed(why)) => bail!("job {name} failed: {why}"),
        Some(End::Suspended) => println!("job.batch/{name} suspended"),
        _ => {
            let took = began.elapsed().as_millis();
            println!("job.batch/{name} complete: {succeeded} of {wanted} in {took} ms");
        }
    }
    Ok(())
}

fn end(data: &Value) -> Option<End> {
    let conditions = data["status"]["conditions"].as_array().into_iter().flatten();
    let holds = |kind: &str| {
        conditions.clone().find(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    if holds("Complete").is_some() {
        return Some(End::Complete);
    }
    if let Some(failed) = holds("Failed") {
        let text = |field: &str| failed[field].as_str().unwrap_or_default();
        return Some(End::Failed(format!("{} ({})", text("message"), text("reason"))));
    }
    holds("Suspended").map(|_| End::Suspended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_ends_in_one_of_three_ways() {
        let job = |conditions: Value| serde_json::json!({ "status": { "conditions": conditions } });
        let one = |kind: &str, status: &str| {
            job(serde_json::json!([{ "type": kind, "status": status, "reason": "R", "message": "m" }]))
        };
        assert_eq!(end(&one("Complete", "True")), Some(End::Complete));
        assert_eq!(end(&one("Failed", "True")), Some(End::Failed("m (R)".to_owned())));
        assert_eq!(end(&one("Suspended", "True")), Some(End::Suspended));
        assert_eq!(end(&one("Suspended", "False")), None);
        assert_eq!(end(&one("FailureTarget", "True")), None);
        assert_eq!(end(&job(Value::Null)), None);
    }
}
