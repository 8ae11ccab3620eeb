//! The task of one pod: it alone changes the pod's state. It takes news from outside and results of its own work, plans,
//! and starts what the plan says; long work runs beside it and reports back.

mod act;
mod evict;
mod learn;

use std::net::Ipv4Addr;
use std::sync::Arc;

use client::k8s_openapi::api::core::v1 as api;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use sandbox::ContainerRecord;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ground::Ground;
use super::launch::{Failure, Stock};
use super::mailbox::{Mailbox, News};
use super::plan::{Action, deadline, plan};
use super::report::{self, Next, Report};
use super::state::{Run, State, Step, Stop, Verdict};
use super::status::status;
use crate::probe::Purpose;
use crate::runtime::{Image, Sandbox};
use crate::volume::Volumes;
use crate::volume::token::Tokens;

/// Results that may wait for the task; whoever has more waits with them.
const RESULTS_MAX: usize = 32;

/// What came of the task's own work.
pub(crate) enum Outcome {
    Volumes(Stock, Result<(), String>),
    Sandbox(Result<Arc<dyn Sandbox>, String>),
    Container {
        index: usize,
        attempt: u32,
        result: Result<(ContainerRecord, Image), Failure>,
    },
    PostStart {
        index: usize,
        attempt: u32,
        result: Result<(), String>,
    },
    Probe {
        index: usize,
        attempt: u32,
        purpose: Purpose,
        healthy: bool,
    },
    SandboxRemoved(Result<(), String>),
    VolumesRemoved(Stock, Result<(), String>),
    Deleted(Result<(), String>),
    StatusWritten(Result<(), String>),
    /// It uses more disk than it may.
    StorageExceeded(String),
}

/// What others may ask of a pod that lives here: the server, for logs and exec.
#[derive(Clone, Default)]
pub(crate) struct View {
    pub(crate) pod: Arc<api::Pod>,
    pub(crate) sandbox: Option<Arc<dyn Sandbox>>,
    /// Name, current attempt, whether it runs, whether another run may follow.
    pub(crate) containers: Vec<ContainerView>,
}

/// One container as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub(crate) name: String,
    /// `None` when it never ran.
    pub(crate) attempt: Option<u32>,
    /// The run that `--previous` means.
    pub(crate) previous: Option<u32>,
    pub(crate) running: bool,
    /// Why it does not run, for error texts.
    pub(crate) waiting: String,
}

/// The handle on a pod's task.
pub(crate) struct Handle {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) view: watch::Receiver<View>,
}

/// Per container, what its current run has going on beside it.
#[derive(Default)]
struct Side {
    exited: CancellationToken,
    probes: Vec<AbortHandle>,
    kill_at: Option<watch::Sender<Instant>>,
    stop_began: Option<Instant>,
    /// How often its start could not be tried.
    tries: u32,
}

impl Side {
    fn stop_probes(&mut self) {
        for probe in self.probes.drain(..) {
            probe.abort();
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.exited.cancel();
        self.stop_probes();
    }
}

pub(crate) struct Task {
    ground: Arc<Ground>,
    state: State,
    report: Report,
    mailbox: Arc<Mailbox>,
    results: (mpsc::Sender<Outcome>, mpsc::Receiver<Outcome>),
    sandbox: Option<Arc<dyn Sandbox>>,
    events: Option<BoxStream<'static, ContainerRecord>>,
    /// Absent while a helper works on it.
    stock: Option<Stock>,
    /// Measures what the pod uses on the disk, where it has limits.
    storage: Option<AbortHandle>,
    token_due: Option<Timestamp>,
    sources_changed: bool,
    volume_tries: u32,
    sandbox_tries: u32,
    sides: Vec<Side>,
    /// Cancelled when the pod is to end.
    ending: CancellationToken,
    view: watch::Sender<View>,
    host: Ipv4Addr,
}

impl Task {
    /// The task of a pod, with the sandbox that an earlier process started for it, if any.
    pub(crate) fn new(
        ground: Arc<Ground>,
        pod: Arc<api::Pod>,
        sandbox: Option<Arc<dyn Sandbox>>,
    ) -> (Task, Handle) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let volumes = Volumes::new(ground.pod_dir(&uid).join("volumes"));
        let state = State::new(pod.clone(), Timestamp::now());
        let mailbox = Arc::new(Mailbox::default());
        let (view, receiver) = watch::channel(View { pod: pod.clone(), ..View::default() });
        let mut task = Task {
            report: Report::new(&pod),
            sides: state.containers.iter().map(|_| Side::default()).collect(),
            state,
            mailbox: mailbox.clone(),
            results: mpsc::channel(RESULTS_MAX),
            sandbox: None,
            events: None,
            stock: Some(Stock { volumes, tokens: Tokens::default() }),
            storage: None,
            token_due: None,
            sources_changed: false,
            volume_tries: 0,
            sandbox_tries: 0,
            ending: CancellationToken::new(),
            view,
            host: ground.host.address.parse().unwrap_or(Ipv4Addr::LOCALHOST),
            ground,
        };
        task.remember(sandbox);
        (task, Handle { mailbox, view: receiver })
    }

    /// Runs until nothing of the pod is left (then `true`), or the node leaves.
    pub(crate) async fn run(mut self) -> bool {
        loop {
            let Some(wake) = self.step() else { return true };
            let sleep = async {
                match wake {
                    Some(time) => tokio::time::sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            let event = async {
                match &mut self.events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                news = self.mailbox.take() => {
                    if news.leave {
                        return false;
                    }
                    self.hear(news);
                }
                Some(outcome) = self.results.1.recv() => self.learn(outcome),
                record = event => match record {
                    Some(record) => self.record(&record),
                    None => self.events = None,
                },
                () = sleep => {}
            }
        }
    }

    /// Plans, acts, reports; says when to look again, or `None` when all is done.
    fn step(&mut self) -> Option<Option<Instant>> {
        let now = Timestamp::now();
        if self.sandbox.as_ref().is_some_and(|sandbox| !sandbox.is_live()) {
            self.sandbox_lost();
        }
        self.judge(now);
        if self.state.deleted() || self.state.finished() {
            self.ending.cancel();
        }
        let plan = plan(&self.state, now);
        if plan.actions.contains(&Action::Finish) {
            return None;
        }
        for action in plan.actions {
            self.act(action, now);
        }
        self.refresh_volumes(now);
        let mut wake = plan.wake.into_iter().chain(self.token_due).map(instant).min();
        if let Some(time) = self.show(now) {
            wake = Some(wake.map_or(time, |wake| wake.min(time)));
        }
        Some(wake)
    }

    /// Ends a pod whose deadline has passed.
    fn judge(&mut self, now: Timestamp) {
        let due = deadline(&self.state).is_some_and(|deadline| deadline <= now);
        if due && self.state.verdict.is_none() && !self.state.finished() && !self.state.deleted() {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.ground.event(&self.state.pod, false, "DeadlineExceeded", message.clone());
            let reason = "DeadlineExceeded".to_owned();
            self.state.verdict = Some(Verdict { reason, message, grace_seconds: None });
        }
    }

    /// Shows the state to the server, and to the API when it is time.
    fn show(&mut self, now: Timestamp) -> Option<Instant> {
        self.publish();
        if self.state.gone {
            return None;
        }
        let wanted = status(&self.state, &self.report.known, &self.ground.host, now);
        match self.report.next(&wanted, self.unsettled(), Instant::now()) {
            Next::Nothing => None,
            Next::Wait(time) => Some(time),
            Next::Write(patch) => {
                let (pods, pod) = (self.ground.pods.clone(), self.state.pod.clone());
                self.beside(async move { Outcome::StatusWritten(report::write(pods, pod, patch).await) });
                None
            }
        }
    }

    /// More is about to change within milliseconds.
    fn unsettled(&self) -> bool {
        let busy = |step: &Step| matches!(step, Step::Busy | Step::Leaving);
        let moving = |run: &Run| matches!(run, Run::Starting | Run::Running { stopping: true, .. });
        busy(&self.state.volumes)
            || busy(&self.state.sandbox.step)
            || self.state.containers.iter().any(|container| moving(&container.run))
    }

    fn publish(&mut self) {
        let containers = self.state.containers.iter().map(|container| ContainerView {
            name: container.name.clone(),
            attempt: (container.runs > 0 && container.run != Run::New).then(|| container.attempt()),
            previous: match &container.run {
                // While it waits for its next start the last run is the previous one already.
                Run::Exited(exit) if container.restarts_after(exit) => Some(exit.attempt),
                _ => container.attempt().checked_sub(1),
            },
            running: matches!(container.run, Run::Running { .. }),
            waiting: match &container.run {
                Run::Held { reason, .. } => (*reason).to_owned(),
                Run::New | Run::Starting => "ContainerCreating".to_owned(),
                _ => String::new(),
            },
        });
        let containers: Vec<_> = containers.collect();
        let (pod, sandbox) = (self.state.pod.clone(), self.sandbox.clone());
        self.view.send_if_modified(|view| {
            let same_sandbox = view.sandbox.is_some() == sandbox.is_some();
            let changed = view.containers != containers || !Arc::ptr_eq(&view.pod, &pod) || !same_sandbox;
            *view = View { pod, sandbox, containers };
            changed
        });
    }

    fn hear(&mut self, news: News) {
        if let Some(object) = news.pod {
            self.update(&object);
        }
        if news.gone && !self.state.gone {
            self.state.gone = true;
            self.hurry();
        }
        if news.sources {
            self.sources_changed = true;
            self.retry_held("CreateContainerConfigError");
            if let Step::Absent { not_before, .. } = &mut self.state.volumes {
                *not_before = None;
            }
        }
        if news.images {
            self.retry_held("ErrImagePull");
            self.retry_held("ImagePullBackOff");
            self.retry_held("ErrImageNeverPull");
        }
    }

    fn update(&mut self, object: &Value) {
        match client::parse::<api::Pod>(object) {
            Ok(pod) => {
                self.report.observe(&pod);
                let metadata_changed = pod.metadata.labels != self.state.pod.metadata.labels
                    || pod.metadata.annotations != self.state.pod.metadata.annotations;
                self.sources_changed |= metadata_changed;
                self.state.pod = Arc::new(pod);
                self.hurry();
                self.replace_changed_images();
            }
            Err(error) => tracing::warn!(%error, "failed to read a pod"),
        }
    }

    /// The image is what may change in a pod: its container starts again with the new one, whatever its policy.
    fn replace_changed_images(&mut self) {
        for index in 0..self.state.containers.len() {
            let image = self.state.spec_of(index).and_then(|spec| spec.image.clone()).unwrap_or_default();
            let container = &mut self.state.containers[index];
            if let Run::Running { stop, .. } = &mut container.run
                && container.image != image
            {
                let message = format!("Container {} definition changed, will be restarted", container.name);
                stop.get_or_insert(Stop { message, grace_seconds: None, again: true });
            }
        }
    }

    /// Brings the kill of containers that are being stopped forward, when the grace period became shorter.
    fn hurry(&mut self) {
        if !self.state.deleted() {
            return;
        }
        let grace = std::time::Duration::from_secs(u64::try_from(self.state.grace_seconds()).unwrap_or(0));
        for side in &self.sides {
            if let (Some(kill_at), Some(began)) = (&side.kill_at, side.stop_began) {
                let sooner = began + grace;
                kill_at.send_if_modified(|time| {
                    let earlier = sooner < *time;
                    *time = (*time).min(sooner);
                    earlier
                });
            }
        }
    }

    fn retry_held(&mut self, why: &str) {
        for container in &mut self.state.containers {
            match &mut container.run {
                Run::Held { reason, until, .. } if *reason == why => *until = Timestamp::UNIX_EPOCH,
                _ => {}
            }
        }
    }

    /// Runs work beside the task; its outcome comes back as a result.
    fn beside(&self, work: impl Future<Output = Outcome> + Send + 'static) -> AbortHandle {
        let results = self.results.0.clone();
        let work = async move {
            // Nobody listens any more when the task has ended.
            let _ = results.send(work.await).await;
        };
        tokio::spawn(work).abort_handle()
    }
}

/// A point of the wall clock as a point to sleep until.
fn instant(time: Timestamp) -> Instant {
    let left = time.duration_since(Timestamp::now()).max(SignedDuration::ZERO);
    Instant::now() + std::time::Duration::try_from(left).unwrap_or_default()
}

/// The uid of a pod, which names its directory and its sandbox.
pub(crate) fn uid(pod: &api::Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

#[cfg(test)]
#[path = "task/tests.rs"]
mod tests;
