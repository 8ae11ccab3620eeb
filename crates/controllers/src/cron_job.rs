//! CronJob: Jobs that are made when their time has come. Called by the loop with the key of a CronJob; waits for its next
//! time and for nothing else.

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::k8s_openapi::api::batch::v1::{CronJob, Job};
use client::{
    Cache, Caches, Change, Deletion, Key, Objects, Patch, Propagation, Recorder, merge_patch, owner,
    revision_of,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::cron::TimeZone;
use object::time::Timestamp;
use reconcile::{Error, Loop, Outcome, Queue, Reconciler};
use serde_json::{Value, json};

use self::plan::{
    Event, Plan, active, after_change, job_for, plan_history, plan_start, plan_status, schedule,
    with_started, without,
};
use crate::own_writes::OwnWrites;
use crate::ownership;
use crate::pod::is_deleting;

const WORKERS: usize = 4;

struct Controller {
    cron_jobs: Cache,
    jobs: Cache,
    cron_job_objects: Objects,
    job_objects: Objects,
    events: Recorder,
    /// What was written and must be seen before anything is decided again.
    wrote_jobs: OwnWrites,
    wrote_cron_jobs: OwnWrites,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (cron_jobs, jobs) = (caches.of::<CronJob>(), caches.of::<Job>());
    ownership::index(&jobs);
    let controller = Controller {
        cron_jobs: cron_jobs.clone(),
        jobs: jobs.clone(),
        cron_job_objects: Objects::of::<CronJob>(caches.client()),
        job_objects: Objects::of::<Job>(caches.client()),
        events: Recorder::start(caches.client(), "cronjob-controller"),
        wrote_jobs: OwnWrites::default(),
        wrote_cron_jobs: OwnWrites::default(),
    };
    let queue = Queue::default();
    let (later, owners) = (queue.clone(), cron_jobs.clone());
    Loop::new("cronjob", Arc::new(controller), WORKERS)
        .with_queue(queue)
        .watch(&cron_jobs, move |change| now_or_later(change, &later))
        .watch(&jobs, move |change| ownership::owners_of(&owners, change))
}

/// A changed CronJob has its turn at once, one whose schedule changed when that comes to its first time.
fn now_or_later(change: &Change, later: &Queue) -> Vec<Key> {
    let both = change.old.as_ref().zip(change.new.as_ref());
    match both.and_then(|(old, new)| after_change(old, new, Timestamp::now())) {
        Some(wait) => {
            later.add_after(change.key.clone(), wait);
            Vec::new()
        }
        None => vec![change.key.clone()],
    }
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(cron_job) = self.cron_jobs.get(&key) else { return Ok(None) };
        let shown = self.wrote_jobs.are_shown_by(&self.jobs, &key);
        if !self.wrote_cron_jobs.are_shown_by(&self.cron_jobs, &key) || !shown {
            // What is missing in the caches brings this key back when it shows up.
            return Ok(Some(OwnWrites::patience()));
        }
        let jobs = ownership::controlled(&self.jobs, &cron_job);
        let missing = self.missing(&cron_job, &jobs).await?;
        let (mut status, events) = plan_status(&cron_job, &jobs, &missing);
        self.tell(&cron_job, &events);
        for job in plan_history(&cron_job, &jobs) {
            // One that cannot be deleted now is tried with the next turn.
            self.delete(&key, &cron_job, &job).await.ok();
        }
        let again = self.start(&key, &cron_job, &mut status).await;
        if let Some(patch) = merge_patch(&cron_job["status"], &status) {
            self.write(&key, &cron_job, patch).await?;
        }
        again
    }

    /// The uids of active Jobs that are gone. What the cache does not show is asked for.
    async fn missing(&self, cron_job: &Value, jobs: &[Arc<Value>]) -> Result<Vec<String>, Error> {
        let mut missing = Vec::new();
        for reference in active(cron_job) {
            let uid = reference["uid"].as_str().unwrap_or_default();
            if jobs.iter().any(|job| job["metadata"]["uid"] == uid) {
                continue;
            }
            let name = reference["name"].as_str().unwrap_or_default();
            match self.job_objects.get(&Key::new(Key::of(cron_job).namespace, name)).await {
                Ok(job) if job["metadata"]["uid"] == uid => {}
                Err(error) if !client::is_not_found(&error) => return Err(error.into()),
                _ => missing.push(uid.to_owned()),
            }
        }
        Ok(missing)
    }

    /// Makes the Job that is due, if one is, and says when the next will be.
    async fn start(&self, key: &Key, cron_job: &Value, status: &mut Value) -> Outcome {
        if is_deleting(cron_job) {
            return Ok(None);
        }
        let schedule = match schedule(cron_job) {
            Ok(schedule) => schedule,
            Err(event) => {
                self.tell(cron_job, &[event]);
                return Ok(None);
            }
        };
        if cron_job["spec"]["suspend"] == true {
            return Ok(None);
        }
        let Plan { start, replace, events, again } =
            plan_start(cron_job, status, &schedule, Timestamp::now());
        self.tell(cron_job, &events);
        for reference in &replace {
            let uid = reference["uid"].as_str().unwrap_or_default();
            let job = json!({ "metadata": reference });
            self.delete(key, cron_job, &job).await?;
            without(status, uid);
        }
        if let Some(due) = start {
            self.create(key, cron_job, status, due, &schedule.1).await?;
        }
        Ok(again)
    }

    async fn create(
        &self,
        key: &Key,
        cron_job: &Value,
        status: &mut Value,
        due: Timestamp,
        zone: &TimeZone,
    ) -> Result<(), Error> {
        let owner = owner::controller_reference(cron_job, self.cron_job_objects.resource());
        let job = job_for(cron_job, due, zone, &owner);
        let made = match self.job_objects.create(&key.namespace, &job).await {
            Ok(made) => {
                self.wrote_jobs.wrote(key, revision_of(&made));
                let text = format!("Created job {}", Key::of(&made).name);
                self.events.normal(cron_job, "SuccessfulCreate", text);
                made
            }
            // Made by a turn that did not come to write so; or by somebody else, whose business it is.
            Err(error) if client::is_already_exists(&error) => {
                let name = Key::of(&job).name;
                let there = self.job_objects.get(&Key::new(key.namespace.as_str(), name)).await?;
                if owner::controller_uid(&there) != cron_job["metadata"]["uid"].as_str() {
                    return Ok(());
                }
                there
            }
            Err(error) => {
                if !client::is_terminating(&error) {
                    let text = format!("Error creating job: {}", client::message(&error));
                    self.events.warning(cron_job, "FailedCreate", text);
                }
                return Err(error.into());
            }
        };
        *status = with_started(status.take(), &made, due);
        Ok(())
    }

    async fn delete(&self, key: &Key, cron_job: &Value, job: &Value) -> Result<(), Error> {
        let name = Key::of(job).name;
        let uid = job["metadata"]["uid"].as_str().map(str::to_owned);
        let deletion = Deletion { uid, propagation: Some(Propagation::Background), ..Deletion::default() };
        match self.job_objects.delete(&Key::new(key.namespace.as_str(), name.as_str()), &deletion).await {
            Ok(last) => {
                self.wrote_jobs.wrote(key, revision_of(&last));
                self.events.normal(cron_job, "SuccessfulDelete", format!("Deleted job {name}"));
                Ok(())
            }
            Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => Ok(()),
            Err(error) => {
                let text = format!("Deleted job: {}", client::message(&error));
                self.events.warning(cron_job, "FailedDelete", text);
                Err(error.into())
            }
        }
    }

    fn tell(&self, cron_job: &Value, events: &[Event]) {
        for event in events {
            let record = if event.warning { Recorder::warning } else { Recorder::normal };
            record(&self.events, cron_job, event.reason, event.message.clone());
        }
    }

    /// Writes into the status of this CronJob and no other of its name; one that is gone needs none.
    async fn write(&self, key: &Key, cron_job: &Value, status: Value) -> Result<(), Error> {
        let patch = json!({ "metadata": { "uid": cron_job["metadata"]["uid"] }, "status": status });
        match self.cron_job_objects.patch_sub(key, "status", Patch::Merge(patch)).await {
            Ok(written) => self.wrote_cron_jobs.wrote(key, revision_of(&written)),
            Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
