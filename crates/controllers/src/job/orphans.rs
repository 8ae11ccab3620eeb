//! Frees pods that no Job counts any more: their Job is over, or gone, or lets them go. Called by the loop with the key of
//! a pod. Never deletes one.

use std::sync::Arc;

use client::k8s_openapi::api::batch::v1::Job;
use client::k8s_openapi::api::core::v1::Pod;
use client::{Cache, Caches, Key, Objects, owner};
use futures::FutureExt;
use futures::future::BoxFuture;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::Value;

use super::read::{end, is_foreign, is_held, uid};
use super::release;
use crate::ownership;

const WORKERS: usize = 4;

struct Controller {
    jobs: Cache,
    pods: Cache,
    job_objects: Objects,
    pod_objects: Objects,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (jobs, pods) = (caches.of::<Job>(), caches.of::<Pod>());
    ownership::index(&pods);
    let controller = Controller {
        jobs: jobs.clone(),
        pods: pods.clone(),
        job_objects: Objects::of::<Job>(caches.client()),
        pod_objects: Objects::of::<Pod>(caches.client()),
    };
    let of_job = pods.clone();
    Loop::new("job-orphans", Arc::new(controller), WORKERS)
        .watch(&pods, |change| {
            let held = change.new.as_ref().is_some_and(|pod| is_held(pod));
            if held { vec![change.key.clone()] } else { Vec::new() }
        })
        .watch(&jobs, move |change| {
            let over = change.new.as_ref().is_none_or(|job| end(job).is_some());
            let Some(job) = change.new.as_ref().or(change.old.as_ref()).filter(|_| over) else {
                return Vec::new();
            };
            let pods = ownership::controlled(&of_job, job);
            pods.iter().filter(|pod| is_held(pod)).map(|pod| Key::of(pod)).collect()
        })
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(pod) = self.pods.get(&key).filter(|pod| is_held(pod)) else { return Ok(None) };
        if self.is_orphan(&key, &pod).await? {
            release(&self.pod_objects, &pod).await?;
        }
        Ok(None)
    }

    async fn is_orphan(&self, key: &Key, pod: &Value) -> Result<bool, Error> {
        let Some(reference) = owner::controller(pod) else { return Ok(true) };
        if reference["kind"] != "Job" || reference["apiVersion"] != "batch/v1" {
            return Ok(false);
        }
        let job = Key::new(key.namespace.as_str(), reference["name"].as_str().unwrap_or_default());
        let counts = |job: &Value| {
            uid(job) == reference["uid"].as_str().unwrap_or_default()
                && (end(job).is_none() || is_foreign(job))
        };
        if self.jobs.get(&job).is_some_and(|job| counts(&job)) {
            return Ok(false);
        }
        // The cache may not show a Job that is there: ask before anything is lost.
        match self.job_objects.get(&job).await {
            Ok(live) => Ok(!counts(&live)),
            Err(error) if client::is_not_found(&error) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
