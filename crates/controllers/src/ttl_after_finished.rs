//! Deletes Jobs that were over for as long as their `ttlSecondsAfterFinished` says. Called by the loop with the key of a
//! Job; waits for the next that is due and for nothing else.

use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::batch::v1::Job;
use client::{Cache, Caches, Deletion, Key, Objects, Propagation};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::time::Timestamp;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::Value;

use crate::job::read::ended_at;
use crate::pod::is_deleting;

const WORKERS: usize = 2;

struct Controller {
    jobs: Cache,
    job_objects: Objects,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let jobs = caches.of::<Job>();
    let controller = Controller { jobs: jobs.clone(), job_objects: Objects::of::<Job>(caches.client()) };
    Loop::new("ttl-after-finished", Arc::new(controller), WORKERS).watch(&jobs, |change| {
        let finished = change.new.as_ref().is_some_and(|job| plan(job, Timestamp::now()).is_some());
        if finished { vec![change.key.clone()] } else { Vec::new() }
    })
}

/// How long a Job that is over may still stay; none when it stays for good.
fn plan(job: &Value, now: Timestamp) -> Option<Duration> {
    let allowed = job["spec"]["ttlSecondsAfterFinished"].as_u64().filter(|_| !is_deleting(job))?;
    let passed = Duration::try_from(now.duration_since(ended_at(job)?)).unwrap_or_default();
    Some(Duration::from_secs(allowed).saturating_sub(passed))
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(job) = self.jobs.get(&key) else { return Ok(None) };
        let Some(left) = plan(&job, Timestamp::now()) else { return Ok(None) };
        if !left.is_zero() {
            return Ok(Some(left));
        }
        // Of this version: its time may just have been made longer.
        let text = |field: &str| job["metadata"][field].as_str().map(str::to_owned);
        let deletion = Deletion {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            propagation: Some(Propagation::Foreground),
            ..Deletion::default()
        };
        match self.job_objects.delete(&key, &deletion).await {
            // What changed it brings it back.
            Err(error) if !client::is_not_found(&error) && !client::is_conflict(&error) => Err(error.into()),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_goes_when_its_time_is_over() {
        let at = |second: i64| Timestamp::from_second(1_767_225_600 + second).expect("in range");
        let job = |ttl: Value, kind: &str| {
            json!({ "spec": { "ttlSecondsAfterFinished": ttl }, "status": { "conditions": [
                { "type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }] } })
        };
        assert_eq!(plan(&job(json!(30), "Failed"), at(10)), Some(Duration::from_secs(20)));
        assert_eq!(plan(&job(json!(30), "Complete"), at(31)), Some(Duration::ZERO));
        assert_eq!(plan(&job(json!(0), "Complete"), at(0)), Some(Duration::ZERO));
        assert_eq!(plan(&job(Value::Null, "Complete"), at(31)), None);
        assert_eq!(plan(&job(json!(30), "Suspended"), at(31)), None);
        let mut leaving = job(json!(0), "Complete");
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(plan(&leaving, at(0)), None);
    }
}
