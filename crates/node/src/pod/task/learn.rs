//! Taking in what came of the task's work, what its containers do, and what an earlier process left.

use std::sync::Arc;

use client::k8s_openapi::api::core::v1 as api;
use jiff::{SignedDuration, Timestamp};
use sandbox::{ContainerRecord, ContainerState};

use super::{Outcome, Side, Task, uid};
use crate::pod::last_words;
use crate::pod::launch::Failure;
use crate::pod::state::{Container, Exit, Run, Step, Stop};
use crate::probe::Purpose;
use crate::runtime::{Image, Sandbox};

/// Between tries to start a container that could not be tried; upstream's image back-off.
const HOLD_FIRST: SignedDuration = SignedDuration::from_secs(10);
/// How long a failed pull is shown before the wait for the next is.
const SHOWN: SignedDuration = SignedDuration::from_secs(2);
const HOLD_MAX: SignedDuration = SignedDuration::from_mins(5);
/// The exit code that upstream shows for a process that never came to run.
const START_ERROR_CODE: i32 = 128;

impl Task {
    pub(super) fn learn(&mut self, outcome: Outcome) {
        let now = Timestamp::now();
        match outcome {
            Outcome::Volumes(stock, result) => self.volumes_done(stock, result, now),
            Outcome::Sandbox(result) => self.sandbox_started(result, now),
            Outcome::Container { index, attempt, result } => {
                self.container_started(index, attempt, result, now)
            }
            Outcome::PostStart { index, attempt, result } => self.hook_done(index, attempt, result),
            Outcome::Probe { index, attempt, purpose, healthy } => {
                self.probed(index, attempt, purpose, healthy)
            }
            Outcome::SandboxRemoved(result) => self.sandbox_removed(result),
            Outcome::VolumesRemoved(stock, result) => {
                if let Err(error) = result {
                    tracing::warn!(pod = uid(&self.state.pod), error, "failed to remove a pod's volumes");
                }
                self.stock = Some(stock);
                self.state.volumes = Step::Removed;
            }
            Outcome::Deleted(result) => {
                self.report.written(Ok(()), &self.state.pod, tokio::time::Instant::now());
                self.state.farewell = match result {
                    Ok(()) => Step::Done,
                    Err(error) => {
                        tracing::warn!(
                            pod = uid(&self.state.pod),
                            error,
                            "failed to delete a pod that has ended"
                        );
                        Step::failed(1, now)
                    }
                };
            }
            Outcome::StorageExceeded(message) => self.evict(message),
            Outcome::StatusWritten(result) => {
                self.report.written(result, &self.state.pod, tokio::time::Instant::now());
            }
        }
    }

    fn volumes_done(&mut self, stock: super::Stock, result: Result<(), String>, now: Timestamp) {
        self.token_due = stock.tokens.due();
        self.stock = Some(stock);
        match result {
            Ok(()) => self.state.volumes = Step::Done,
            Err(message) => {
                self.ground.event(&self.state.pod, true, "FailedMount", message);
                if self.state.volumes == Step::Busy {
                    self.state.volumes = Step::failed(self.volume_tries, now);
                }
                // Mounted volumes stay as they are until their sources change; a token is asked for again.
                let soon = now.checked_add(HOLD_FIRST).unwrap_or(now);
                self.token_due = self.token_due.map(|due| due.max(soon));
            }
        }
    }

    fn sandbox_started(&mut self, result: Result<Arc<dyn Sandbox>, String>, now: Timestamp) {
        match result {
            Ok(sandbox) => self.hold(sandbox),
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {error}");
                self.ground.event(&self.state.pod, true, "FailedCreatePodSandBox", message);
                self.state.sandbox.step = Step::failed(self.sandbox_tries, now);
            }
        }
    }

    fn hold(&mut self, sandbox: Arc<dyn Sandbox>) {
        self.events = Some(sandbox.events());
        self.state.sandbox.address = sandbox.address();
        self.state.sandbox.step = Step::Done;
        self.sandbox = Some(sandbox);
        self.measure_storage();
    }

    fn sandbox_removed(&mut self, result: Result<(), String>) {
        if let Err(error) = result {
            tracing::warn!(pod = uid(&self.state.pod), error, "failed to remove a pod's sandbox");
        }
        let over = self.state.deleted() || self.state.finished();
        self.state.sandbox.step = if over { Step::Removed } else { Step::NEW };
    }

    fn container_started(
        &mut self,
        index: usize,
        attempt: u32,
        result: Result<(ContainerRecord, Image), Failure>,
        now: Timestamp,
    ) {
        let tries = self.sides[index].tries;
        let container = &mut self.state.containers[index];
        if let Ok((_, image)) = &result {
            container.image_id.clone_from(&image.id);
        }
        // A short run can end, and the next one begin, before its own start is reported.
        if container.run != Run::Starting || container.runs != attempt {
            return;
        }
        match result {
            Ok((record, _)) => {
                self.sides[index].tries = 0;
                self.begin(index, &record);
                self.record(&record);
            }
            Err(Failure::Start(message)) => {
                (container.runs, container.ran_here) = (attempt + 1, true);
                container.run = Run::Exited(Exit {
                    code: START_ERROR_CODE,
                    reason: "StartError".into(),
                    message,
                    started: None,
                    finished: now,
                    attempt,
                    start_failed: true,
                    again: false,
                });
            }
            Err(Failure::Held { reason, message }) => {
                if reason.starts_with("CreateContainer") {
                    let name = container.name.clone();
                    self.ground.container_event(
                        &self.state.pod,
                        &name,
                        true,
                        "Failed",
                        format!("Error: {message}"),
                    );
                }
                self.sides[index].tries = tries + 1;
                let wait = match reason {
                    "ErrImagePull" => SHOWN,
                    // Every other try of an image is one to pull.
                    "ImagePullBackOff" => HOLD_FIRST * 2_i32.pow((tries / 2).min(6)),
                    _ => HOLD_FIRST * 2_i32.pow(tries.min(6)),
                };
                let wait = wait.min(HOLD_MAX);
                let until = now.checked_add(wait).unwrap_or(now);
                self.state.containers[index].run = Run::Held { reason, message, tries, until };
            }
        }
    }

    /// A run begins: hook first, then the startup probe, then the others.
    fn begin(&mut self, index: usize, record: &ContainerRecord) {
        let since = match &record.state {
            ContainerState::Running { started_at, .. } | ContainerState::Exited { started_at, .. } => {
                *started_at
            }
        };
        let container = &mut self.state.containers[index];
        (container.runs, container.ran_here) = (record.attempt + 1, true);
        container.run = Run::Running { since: last_words::timestamp(since), stop: None, stopping: false };
        (container.ready, container.started) = (false, false);
        self.sides[index] = Side::default();
        let lifecycle = self.state.spec_of(index).and_then(|spec| spec.lifecycle.clone()).unwrap_or_default();
        match lifecycle.post_start {
            Some(handler) => self.run_hook(index, record.attempt, handler),
            None => self.after_hook(index),
        }
    }

    fn after_hook(&mut self, index: usize) {
        if self.state.spec_of(index).is_some_and(|spec| spec.startup_probe.is_some()) {
            self.start_probe(index, Purpose::Startup);
        } else {
            self.after_startup(index);
        }
    }

    fn after_startup(&mut self, index: usize) {
        let spec = self.state.spec_of(index).cloned().unwrap_or_default();
        let container = &mut self.state.containers[index];
        container.started = true;
        container.ready |= spec.readiness_probe.is_none();
        for (purpose, there) in [
            (Purpose::Readiness, spec.readiness_probe.is_some()),
            (Purpose::Liveness, spec.liveness_probe.is_some()),
        ] {
            if there {
                self.start_probe(index, purpose);
            }
        }
    }

    fn runs(&self, index: usize, attempt: u32) -> bool {
        let container = &self.state.containers[index];
        matches!(container.run, Run::Running { .. }) && container.attempt() == attempt
    }

    fn hook_done(&mut self, index: usize, attempt: u32, result: Result<(), String>) {
        if !self.runs(index, attempt) {
            return;
        }
        match result {
            Ok(()) => self.after_hook(index),
            Err(error) => {
                let name = self.state.containers[index].name.clone();
                tracing::debug!(container = name, error, "a postStart hook failed");
                self.ground.container_event(
                    &self.state.pod,
                    &name,
                    true,
                    "FailedPostStartHook",
                    format!("PostStartHook failed: {error}"),
                );
                self.condemn(index, "FailedPostStartHook".to_owned(), None);
            }
        }
    }

    fn probed(&mut self, index: usize, attempt: u32, purpose: Purpose, healthy: bool) {
        if !self.runs(index, attempt) {
            return;
        }
        let spec = self.state.spec_of(index).cloned().unwrap_or_default();
        let name = &self.state.containers[index].name;
        match (purpose, healthy) {
            (Purpose::Readiness, healthy) => self.state.containers[index].ready = healthy,
            (Purpose::Startup, true) => self.after_startup(index),
            (Purpose::Liveness, true) => {}
            (Purpose::Startup, false) => {
                let message = format!("Container {name} failed startup probe, will be restarted");
                self.condemn(index, message, grace(spec.startup_probe.as_ref()));
            }
            (Purpose::Liveness, false) => {
                let message = format!("Container {name} failed liveness probe, will be restarted");
                self.condemn(index, message, grace(spec.liveness_probe.as_ref()));
            }
        }
    }

    fn condemn(&mut self, index: usize, message: String, grace_seconds: Option<i64>) {
        if let Run::Running { stop, .. } = &mut self.state.containers[index].run {
            stop.get_or_insert(Stop { message, grace_seconds, again: false });
        }
    }

    /// A container's record changed.
    pub(super) fn record(&mut self, record: &ContainerRecord) {
        let Some(index) = self.state.containers.iter().position(|container| container.name == record.name)
        else {
            return;
        };
        let Some(mut exit) = last_words::exit(&record.state, record.attempt) else { return };
        let container = &self.state.containers[index];
        match &container.run {
            // It ended before its start was reported.
            Run::Starting if record.attempt == container.runs => {
                self.state.containers[index].runs = record.attempt + 1;
                self.state.containers[index].ran_here = true;
            }
            Run::Running { stop, .. } if record.attempt == container.attempt() => {
                exit.again = stop.as_ref().is_some_and(|stop| stop.again);
            }
            _ => return,
        }
        self.ended(index, exit);
    }

    fn ended(&mut self, index: usize, mut exit: Exit) {
        let uid = uid(&self.state.pod).to_owned();
        let spec = self.state.spec_of(index).cloned().unwrap_or_default();
        if exit.message.is_empty() {
            let words = self.ground.message_path(&uid, &spec.name, exit.attempt);
            let log = self.ground.log_path(&uid, &spec.name, exit.attempt);
            exit.message = last_words::message(&spec, exit.code, &words, &log);
        }
        self.sides[index] = Side::default();
        let container = &mut self.state.containers[index];
        (container.ready, container.started) = (false, false);
        container.run = Run::Exited(exit);
    }

    /// The supervisor is gone, and everything in the pod with it.
    pub(super) fn sandbox_lost(&mut self) {
        self.events = None;
        self.stop_measuring();
        let Some(sandbox) = self.sandbox.take() else { return };
        for record in sandbox.containers() {
            self.record(&record);
        }
        for index in 0..self.state.containers.len() {
            let container = &self.state.containers[index];
            if let Run::Running { since, .. } = container.run {
                self.ended(index, lost(container.attempt(), Some(since)));
            }
        }
        if !self.state.finished() && !self.state.deleted() {
            self.state.begin_again();
        }
        let message = "Pod sandbox changed, it will be killed and re-created.";
        self.ground.event(&self.state.pod, false, "SandboxChanged", message);
        self.state.sandbox.step = Step::Leaving;
        self.beside(async move {
            Outcome::SandboxRemoved(sandbox.remove().await.map_err(|error| error.to_string()))
        });
    }

    /// Restores what an earlier process knew: from the sandbox's records where there are any, else from the API.
    pub(super) fn remember(&mut self, sandbox: Option<Arc<dyn Sandbox>>) {
        let records = sandbox.as_ref().map(|sandbox| sandbox.containers()).unwrap_or_default();
        let status = self.state.pod.status.clone().unwrap_or_default();
        let shown: Vec<_> =
            status.init_container_statuses.into_iter().chain(status.container_statuses).flatten().collect();
        for index in 0..self.state.containers.len() {
            let name = self.state.containers[index].name.clone();
            if let Some(shown) = shown.iter().find(|shown| shown.name == name) {
                restore(&mut self.state.containers[index], shown);
            }
        }
        let Some(sandbox) = sandbox else {
            if !self.state.finished() && !self.state.deleted() {
                self.state.begin_again();
            }
            return;
        };
        if !sandbox.is_live() {
            self.sandbox = Some(sandbox);
            return self.sandbox_lost();
        }
        self.hold(sandbox);
        for record in &records {
            self.readopt(record, &shown);
        }
    }

    /// A container that an earlier process started: goes on where it was, ready if it was ready.
    fn readopt(&mut self, record: &ContainerRecord, shown: &[api::ContainerStatus]) {
        let position = self.state.containers.iter().position(|container| container.name == record.name);
        let Some(index) = position else { return };
        self.begin_quietly(index, record, shown.iter().find(|shown| shown.name == record.name));
        self.record(record);
    }

    fn begin_quietly(
        &mut self,
        index: usize,
        record: &ContainerRecord,
        shown: Option<&api::ContainerStatus>,
    ) {
        let same = shown.is_some_and(|shown| u32::try_from(shown.restart_count) == Ok(record.attempt));
        let was_started = same && shown.is_some_and(|shown| shown.started == Some(true));
        let was_ready = same && shown.is_some_and(|shown| shown.ready);
        if was_started {
            let container = &mut self.state.containers[index];
            let since = match &record.state {
                ContainerState::Running { started_at, .. } | ContainerState::Exited { started_at, .. } => {
                    *started_at
                }
            };
            (container.runs, container.ran_here) = (record.attempt + 1, true);
            container.run = Run::Running { since: last_words::timestamp(since), stop: None, stopping: false };
            container.ready = was_ready;
            self.after_startup(index);
        } else {
            self.begin(index, record);
        }
    }
}

fn grace(probe: Option<&api::Probe>) -> Option<i64> {
    probe.and_then(|probe| probe.termination_grace_period_seconds)
}

/// A run whose end nobody saw.
fn lost(attempt: u32, started: Option<Timestamp>) -> Exit {
    Exit {
        code: 137,
        reason: "ContainerStatusUnknown".into(),
        message: "The container could not be located when the pod was terminated".to_owned(),
        started,
        finished: Timestamp::now(),
        attempt,
        start_failed: false,
        again: false,
    }
}

/// What the API shows of a container, as state.
fn restore(container: &mut Container, shown: &api::ContainerStatus) {
    let attempt = u32::try_from(shown.restart_count).unwrap_or(0);
    let state = shown.state.clone().unwrap_or_default();
    let last = shown.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    container.image_id = shown.image_id.clone();
    container.image = shown.image.clone();
    container.last = last.map(|ended| restore_exit(ended, attempt.saturating_sub(1)));
    let ran = shown.container_id.is_some();
    if let Some(ended) = &state.terminated {
        container.run = Run::Exited(restore_exit(ended, attempt));
    } else if let Some(running) = &state.running {
        container.run = Run::Exited(lost(attempt, running.started_at.as_ref().map(|time| time.0)));
    } else if let (true, Some(ended)) = (ran, last) {
        // It waited in back-off: its last exit is what is current.
        container.run = Run::Exited(restore_exit(ended, attempt));
        container.last = None;
    }
    if ran {
        container.runs = attempt + 1;
    }
}

fn restore_exit(ended: &api::ContainerStateTerminated, attempt: u32) -> Exit {
    Exit {
        code: ended.exit_code,
        reason: ended.reason.clone().unwrap_or_default().into(),
        message: ended.message.clone().unwrap_or_default(),
        started: ended.started_at.as_ref().map(|time| time.0),
        finished: ended.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        attempt,
        start_failed: ended.reason.as_deref() == Some("StartError"),
        again: false,
    }
}
