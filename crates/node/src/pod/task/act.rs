//! Carrying out what was planned. Each action is marked in the state before its work begins.

use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;
use client::{Deletion, Key};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Outcome, Task, uid};
use crate::pod::launch::{self, Start, Stock};
use crate::pod::plan::Action;
use crate::pod::report;
use crate::pod::state::{Run, Step};
use crate::pod::status::{pod_name, status};
use crate::pod::{hook, stop};
use crate::probe::{self, Purpose};

impl Task {
    pub(super) fn act(&mut self, action: Action, now: Timestamp) {
        match action {
            Action::MountVolumes => self.mount_volumes(),
            Action::StartSandbox => self.start_sandbox(),
            Action::StartContainer(index) => self.start_container(index, now),
            Action::StopContainer { index, grace_seconds, message } => {
                self.stop_container(index, grace_seconds, message);
            }
            Action::ReportBackOff(index) => self.report_back_off(index),
            Action::RemoveSandbox => self.remove_sandbox(),
            Action::UnmountVolumes => self.unmount_volumes(),
            Action::DeletePod => self.delete_pod(now),
            // `step` ends the task for it.
            Action::Finish => {}
        }
    }

    fn mount_volumes(&mut self) {
        if let Some(stock) = self.stock.take() {
            self.state.volumes = busy(&self.state.volumes, &mut self.volume_tries);
            self.set_up_volumes(stock);
        }
    }

    fn set_up_volumes(&mut self, stock: Stock) {
        self.sources_changed = false;
        let (ground, pod) = (self.ground.clone(), self.state.pod.clone());
        self.beside(async move {
            let (stock, result) = launch::set_up_volumes(&ground, pod, stock).await;
            Outcome::Volumes(stock, result)
        });
    }

    /// Brings the files of mounted volumes up to date when their sources changed or a token is due.
    pub(super) fn refresh_volumes(&mut self, now: Timestamp) {
        let due = self.token_due.is_some_and(|due| due <= now);
        let over = self.state.deleted() || self.state.finished();
        if self.state.volumes != Step::Done || over || !(due || self.sources_changed) {
            return;
        }
        if let Some(stock) = self.stock.take() {
            self.token_due = None;
            self.set_up_volumes(stock);
        }
    }

    fn start_sandbox(&mut self) {
        self.state.sandbox.step = busy(&self.state.sandbox.step, &mut self.sandbox_tries);
        let (ground, pod) = (self.ground.clone(), self.state.pod.clone());
        self.beside(async move { Outcome::Sandbox(launch::start_sandbox(&ground, &pod).await) });
    }

    fn start_container(&mut self, index: usize, now: Timestamp) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        let Some(spec) = self.state.spec_of(index).cloned() else { return };
        let uid = uid(&self.state.pod).to_owned();
        let container = &mut self.state.containers[index];
        if let Run::Exited(exit) = &container.run {
            container.backoff.note(exit.finished, now);
            container.last = Some(exit.clone());
        }
        let failed_pull = match std::mem::replace(&mut container.run, Run::Starting) {
            Run::Held { reason: "ErrImagePull", message, .. } => Some(message),
            _ => None,
        };
        container.backoff_reported = false;
        container.image = spec.image.clone().unwrap_or_default();
        let attempt = container.runs;
        let start = Start {
            pod: self.state.pod.clone(),
            container: spec,
            attempt,
            failed_pull,
            ending: self.ending.clone(),
            sandbox,
            volumes_dir: self.ground.pod_dir(&uid).join("volumes"),
        };
        let ground = self.ground.clone();
        self.beside(async move {
            let result = launch::start_container(&ground, Arc::new(start)).await;
            Outcome::Container { index, attempt, result }
        });
    }

    fn stop_container(&mut self, index: usize, grace_seconds: i64, message: String) {
        let Some(sandbox) = self.sandbox.clone() else { return };
        let Some(spec) = self.state.spec_of(index).cloned() else { return };
        let grace = Duration::from_secs(u64::try_from(grace_seconds).unwrap_or(0));
        let (kill_at, deadline) = watch::channel(Instant::now() + grace);
        let side = &mut self.sides[index];
        side.stop_probes();
        side.kill_at = Some(kill_at);
        side.stop_began = Some(Instant::now());
        let exited = side.exited.clone();
        if let Run::Running { stopping, .. } = &mut self.state.containers[index].run {
            *stopping = true;
        }
        let (ground, pod, host) = (self.ground.clone(), self.state.pod.clone(), self.host);
        ground.container_event(&pod, &spec.name, false, "Killing", message);
        let stopping = stop::Stopping { pod, container: spec, sandbox, exited, deadline, host };
        tokio::spawn(async move { stop::stop(&ground, stopping).await });
    }

    fn report_back_off(&mut self, index: usize) {
        let name = self.state.containers[index].name.clone();
        let message = format!("Back-off restarting failed container {name} in pod {}", pod_name(&self.state));
        self.ground.container_event(&self.state.pod, &name, true, "BackOff", message);
        self.state.containers[index].backoff_reported = true;
    }

    fn remove_sandbox(&mut self) {
        self.state.sandbox.step = Step::Leaving;
        // What follows is not news about containers any more.
        self.events = None;
        self.stop_measuring();
        let sandbox = self.sandbox.take();
        self.beside(async move {
            let result = match sandbox {
                Some(sandbox) => sandbox.remove().await.map_err(|error| error.to_string()),
                None => Ok(()),
            };
            Outcome::SandboxRemoved(result)
        });
    }

    fn unmount_volumes(&mut self) {
        let Some(stock) = self.stock.take() else { return };
        self.state.volumes = Step::Leaving;
        self.token_due = None;
        self.beside(async move {
            let (stock, result) = launch::tear_down_volumes(stock).await;
            Outcome::VolumesRemoved(stock, result)
        });
    }

    /// The last status first: whoever watches wants to see how the pod ended.
    fn delete_pod(&mut self, now: Timestamp) {
        if self.report.is_busy() {
            return;
        }
        self.state.farewell = Step::Busy;
        let wanted = status(&self.state, &self.report.known, &self.ground.host, now);
        let last = match self.report.next(&wanted, false, Instant::now()) {
            report::Next::Write(patch) => Some(patch),
            _ => None,
        };
        let (pods, pod) = (self.ground.pods.clone(), self.state.pod.clone());
        self.beside(async move {
            if let Some(patch) = last
                && let Err(error) = report::write(pods.clone(), pod.clone(), patch).await
            {
                return Outcome::Deleted(Err(error));
            }
            Outcome::Deleted(delete(&pods, &pod).await)
        });
    }

    /// Runs the postStart hook of a container that has just started.
    pub(super) fn run_hook(&self, index: usize, attempt: u32, handler: api::LifecycleHandler) {
        let (Some(sandbox), Some(spec)) = (self.sandbox.clone(), self.state.spec_of(index).cloned()) else {
            return;
        };
        let host = self.host;
        self.beside(async move {
            let result = hook::run(&handler, &spec, &*sandbox, host, hook::POST_START_MAX).await;
            Outcome::PostStart { index, attempt, result }
        });
    }

    /// Starts a probe of the container's current run.
    pub(super) fn start_probe(&mut self, index: usize, purpose: Purpose) {
        let (Some(sandbox), Some(spec)) = (self.sandbox.clone(), self.state.spec_of(index).cloned()) else {
            return;
        };
        let Run::Running { since, .. } = self.state.containers[index].run else { return };
        let attempt = self.state.containers[index].attempt();
        let (results, ground, pod) = (self.results.0.clone(), self.ground.clone(), self.state.pod.clone());
        let target = probe::Target { sandbox, container: spec, host: self.host, since };
        let Some(mut probe) = probe::Probe::new(purpose, target) else { return };
        let work = async move {
            while let Some(verdict) = probe.next().await {
                for (reason, message) in verdict.events {
                    ground.container_event(&pod, probe.container(), true, reason, message);
                }
                let Some(healthy) = verdict.healthy else { continue };
                if results.send(Outcome::Probe { index, attempt, purpose, healthy }).await.is_err() {
                    return;
                }
            }
        };
        self.sides[index].probes.push(tokio::spawn(work).abort_handle());
    }
}

/// Marks a step as being made and remembers how often that was tried.
fn busy(step: &Step, tries: &mut u32) -> Step {
    if let Step::Absent { tries: so_far, .. } = step {
        *tries = *so_far;
    }
    Step::Busy
}

/// Lets the API forget the pod, and only this one.
async fn delete(pods: &client::Objects, pod: &api::Pod) -> Result<(), String> {
    let metadata = &pod.metadata;
    let key = Key::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    );
    let deletion = Deletion { uid: metadata.uid.clone(), grace_seconds: Some(0), ..Deletion::default() };
    match pods.delete(&key, &deletion).await {
        Ok(_) => Ok(()),
        Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
