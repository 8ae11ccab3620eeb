//! Job: pods that run to their end, each counted once. Called by the loop with the key of a Job. What is left of pods
//! whose Job is over or gone is the business of [`orphans`].

mod backoff;
pub(crate) mod orphans;
mod plan;
mod policy;
pub(crate) mod read;
mod status;
mod tally;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use client::k8s_openapi::api::batch::v1::Job;
use client::k8s_openapi::api::core::v1::Pod;
use client::{Cache, Caches, Key, Objects, Patch, Recorder, kube, merge_patch, owner, revision_of};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use object::selector::LabelSelector;
use object::time::Timestamp;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use self::backoff::Record;
use self::plan::{Change, plan_pods};
use self::read::{FINALIZER, completions, end, is_foreign, is_held, uid};
use self::status::{Done, Tracked, plan_status, settle};
use self::tally::tally;
use self::template::pod_for;
use crate::own_writes::OwnWrites;
use crate::ownership::{self, apply_claims, plan_claims};
use crate::pod_control::{Deleted, PodControl};

/// How many Jobs are worked on at once.
const WORKERS: usize = 8;

struct Controller {
    jobs: Cache,
    pods: Cache,
    job_objects: Objects,
    pod_control: PodControl,
    /// What was written and must be seen before anything is counted again.
    wrote_pods: OwnWrites,
    wrote_jobs: OwnWrites,
    /// Failures since the last success, per Job.
    records: Mutex<HashMap<Key, Record>>,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (jobs, pods) = (caches.of::<Job>(), caches.of::<Pod>());
    ownership::index(&pods);
    let controller = Controller {
        jobs: jobs.clone(),
        pods: pods.clone(),
        job_objects: Objects::of::<Job>(caches.client()),
        pod_control: PodControl {
            objects: Objects::of::<Pod>(caches.client()),
            events: Recorder::start(caches.client(), "job-controller"),
        },
        wrote_pods: OwnWrites::default(),
        wrote_jobs: OwnWrites::default(),
        records: Mutex::default(),
    };
    Loop::new("job", Arc::new(controller), WORKERS)
        .watch_own(&jobs)
        .watch(&pods, move |change| ownership::owners_of(&jobs, change))
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let job = self.jobs.get(&key).filter(|job| end(job).is_none() && !is_foreign(job));
        let Some(job) = job else {
            self.records.lock().expect("nothing panics while holding it").remove(&key);
            return Ok(None);
        };
        let shown = self.wrote_pods.are_shown_by(&self.pods, &key);
        if !self.wrote_jobs.are_shown_by(&self.jobs, &key) || !shown {
            // What is missing in the caches brings this key back when it shows up.
            return Ok(Some(OwnWrites::patience()));
        }
        let pods = self.claim(&job).await?;
        let now = Timestamp::now();
        let record = self.records.lock().expect("nothing panics while holding it").get(&key).cloned();
        let tally = tally(&job, &pods, &record.unwrap_or_default(), now);
        let (change, again) = plan_pods(&job, &pods, &tally, now);
        let (done, failure) = self.change(&key, &job, change).await;
        let tracked = plan_status(&job, &pods, &tally, &done, now);
        self.track(&key, &job, &pods, &tracked, tally.record).await?;
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(again.into_iter().chain(tally.deadline).min()),
        }
    }

    /// The pods that belong to the Job.
    async fn claim(&self, job: &Value) -> Result<Vec<Arc<Value>>, Error> {
        let selector = LabelSelector::from_json(&job["spec"]["selector"]).map_err(Error::new)?;
        let mut claims = plan_claims(job, &selector, ownership::candidates(&self.pods, job));
        claims.finalizer = Some(FINALIZER);
        Ok(apply_claims(&self.pod_control.objects, &self.job_objects, job, claims).await?)
    }

    /// Makes or deletes pods.
    async fn change(&self, key: &Key, job: &Value, change: Change) -> (Done, Option<kube::Error>) {
        match change {
            Change::Nothing => (Done { whole: true, ..Done::default() }, None),
            Change::Create(creations) => {
                let owner = owner::controller_reference(job, self.job_objects.resource());
                let pod = |at: usize| pod_for(job, &creations[at], &owner);
                let created = self.pod_control.create(job, creations.len(), pod).await;
                created.revisions.iter().for_each(|revision| self.wrote_pods.wrote(key, *revision));
                let done = Done { created: created.revisions.len(), ..Done::default() };
                (Done { whole: created.failure.is_none(), ..done }, created.failure)
            }
            Change::Discard(pods) => {
                let (free, failure) = self.release(key, &pods).await;
                let pods: Vec<_> = pods.into_iter().filter(|pod| free.contains(uid(pod))).collect();
                let (done, failed) = self.delete(key, job, &pods).await;
                (done, failure.or(failed))
            }
            Change::End(pods) => self.delete(key, job, &pods).await,
        }
    }

    async fn delete(&self, key: &Key, job: &Value, pods: &[Arc<Value>]) -> (Done, Option<kube::Error>) {
        let (mut done, mut failure) = (Done::default(), None);
        for (pod, outcome) in self.pod_control.delete(job, pods).await as Vec<Deleted> {
            match outcome {
                Ok(revision) => {
                    self.wrote_pods.wrote(key, revision);
                    done.deleted.push(pod);
                }
                Err(error) => failure = Some(error),
            }
        }
        done.whole = failure.is_none();
        (done, failure)
    }

    /// Takes the finalizers away; answers the uids of the pods that have none any more.
    async fn release(&self, key: &Key, pods: &[Arc<Value>]) -> (HashSet<String>, Option<kube::Error>) {
        let answers = pods.iter().map(|pod| async move {
            if is_held(pod) { release(&self.pod_control.objects, pod).await } else { Ok(0) }
        });
        let (mut free, mut failure) = (HashSet::new(), None);
        for (pod, answer) in pods.iter().zip(join_all(answers).await) {
            match answer {
                Ok(revision) => {
                    self.wrote_pods.wrote(key, revision);
                    free.insert(uid(pod).to_owned());
                }
                Err(error) => failure = Some(error),
            }
        }
        (free, failure)
    }

    /// Writes what was counted, frees the pods, and writes that they are.
    async fn track(
        &self,
        key: &Key,
        job: &Value,
        pods: &[Arc<Value>],
        tracked: &Tracked,
        record: Record,
    ) -> Result<(), Error> {
        let mut known = &job["status"];
        // With nothing to free both writes are one.
        if !tracked.release.is_empty() {
            self.write(key, job, merge_patch(known, &tracked.status)).await?;
            known = &tracked.status;
        }
        self.records.lock().expect("nothing panics while holding it").insert(key.clone(), record);
        let (free, failure) = self.release(key, &tracked.release).await;
        let (status, over) = settle(tracked, &free, pods, Timestamp::now());
        self.write(key, job, merge_patch(known, &status)).await?;
        if let Some((reason, message)) = tracked.event {
            self.pod_control.events.normal(job, reason, message);
        }
        if over {
            self.tell_end(job, &status, tracked);
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Writes into the status of this Job and no other of its name; one that is gone needs none.
    async fn write(&self, key: &Key, job: &Value, patch: Option<Value>) -> Result<(), Error> {
        let Some(status) = patch else { return Ok(()) };
        let patch = json!({ "metadata": { "uid": job["metadata"]["uid"] }, "status": status });
        match self.job_objects.patch_sub(key, "status", Patch::Merge(patch)).await {
            Ok(written) => self.wrote_jobs.wrote(key, revision_of(&written)),
            Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn tell_end(&self, job: &Value, status: &Value, tracked: &Tracked) {
        let Some(verdict) = &tracked.verdict else { return };
        let events = &self.pod_control.events;
        if !verdict.success {
            events.warning(job, &verdict.reason, verdict.message.as_str());
            return;
        }
        if completions(job).is_some_and(|wanted| status["succeeded"].as_u64() > Some(u64::from(wanted))) {
            let text = "Too many succeeded pods running after completion count reached";
            events.warning(job, "TooManySucceededPods", text);
        }
        events.normal(job, "Completed", "Job completed");
    }
}

/// Takes the finalizer of a pod away; answers the version at which it is gone, 0 when the pod is gone itself.
async fn release(pods: &Objects, pod: &Value) -> Result<u64, kube::Error> {
    let patch =
        json!({ "metadata": { "uid": uid(pod), "$deleteFromPrimitiveList/finalizers": [FINALIZER] } });
    match pods.patch(&Key::of(pod), Patch::Strategic(patch)).await {
        Ok(free) => Ok(revision_of(&free)),
        Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => Ok(0),
        Err(error) => Err(error),
    }
}
