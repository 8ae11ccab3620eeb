//! What a pod's task knows of its pod: the input of [`super::plan`] and [`super::status`]. Values only; changed by
//! `task` alone.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;

use client::k8s_openapi::api::core::v1 as api;
use jiff::{SignedDuration, Timestamp};

use super::backoff::Backoff;

/// Between tries to make a sandbox or volumes; upstream's exponential back-off of volume operations.
const RETRY_FIRST: SignedDuration = SignedDuration::from_millis(500);
const RETRY_MAX: SignedDuration = SignedDuration::from_secs(122);

/// One pod as its task sees it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The newest version seen of the API object.
    pub(crate) pod: Arc<api::Pod>,
    /// The object is gone from the API: nothing is left to report to.
    pub(crate) gone: bool,
    /// Set when the pod must end for a reason of the node's own (deadline, refusal); the pod fails with it.
    pub(crate) verdict: Option<Verdict>,
    /// When this node first saw the pod; `status.startTime`.
    pub(crate) since: Timestamp,
    /// The pod had succeeded or failed before this process saw it.
    pub(crate) ended: bool,
    pub(crate) volumes: Step,
    pub(crate) sandbox: Sandbox,
    /// The pod's deletion from the API once everything is stopped.
    pub(crate) farewell: Step,
    /// Init containers first, then the others, each in the order of the specification.
    pub(crate) containers: Vec<Container>,
}

/// Why the node ends a pod by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Overrides the pod's grace period.
    pub(crate) grace_seconds: Option<i64>,
}

/// Something made once for the pod, perhaps after several tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Not there; not before `not_before` when an earlier try failed.
    Absent { tries: u32, not_before: Option<Timestamp> },
    /// Being made.
    Busy,
    /// There.
    Done,
    /// Being taken away.
    Leaving,
    /// Taken away; never made again.
    Removed,
}

impl Step {
    pub(crate) const NEW: Step = Step::Absent { tries: 0, not_before: None };

    /// After a failed try: again later, and later each time.
    pub(crate) fn failed(tries: u32, now: Timestamp) -> Step {
        let wait = RETRY_FIRST * 2_i32.pow(tries.min(10));
        let not_before = now.checked_add(wait.min(RETRY_MAX)).unwrap_or(now);
        Step::Absent { tries: tries + 1, not_before: Some(not_before) }
    }
}

/// The pod's sandbox and the address it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) step: Step,
    pub(crate) address: Option<Ipv4Addr>,
}

/// What part a container plays; see KEP-753 for sidecars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Init,
    Sidecar,
    Main,
}

/// When a container that exited starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// One container of the pod.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) restart: Restart,
    /// How many runs were begun; the current run's attempt number is one less.
    pub(crate) runs: u32,
    /// One of them in the sandbox that is there now: in a new one a pod begins again with its init containers.
    pub(crate) ran_here: bool,
    pub(crate) run: Run,
    /// The run before the current one.
    pub(crate) last: Option<Exit>,
    pub(crate) backoff: Backoff,
    /// The BackOff event of the current wait was written.
    pub(crate) backoff_reported: bool,
    /// The image the current run was started from, as the specification named it.
    pub(crate) image: String,
    pub(crate) image_id: String,
    /// The readiness probe's word, or true without one, while running.
    pub(crate) ready: bool,
    /// The startup probe's word, or true without one, while running and after postStart.
    pub(crate) started: bool,
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Never tried.
    New,
    /// Could not be started (no image, bad configuration); tried again at `until`.
    Held { reason: &'static str, message: String, tries: u32, until: Timestamp },
    /// Being started.
    Starting,
    /// Running; `stop` once something ends it.
    Running { since: Timestamp, stop: Option<Stop>, stopping: bool },
    /// Ended.
    Exited(Exit),
}

/// Why a running container is ended, beside the end of its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The text of the Killing event.
    pub(crate) message: String,
    /// Overrides the pod's grace period.
    pub(crate) grace_seconds: Option<i64>,
    /// Start it again whatever the restart policy says.
    pub(crate) again: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Timestamp,
    /// Which run this was, for the container's id.
    pub(crate) attempt: u32,
    /// The process never came to run.
    pub(crate) start_failed: bool,
    /// Start again whatever the restart policy says.
    pub(crate) again: bool,
}

impl Container {
    /// The specification of a container as the API gives it, in its part.
    pub(crate) fn new(spec: &api::Container, role: Role, pod_policy: Restart) -> Container {
        let own = spec.restart_policy.as_deref().map(Restart::parse);
        let restart = match role {
            Role::Sidecar => Restart::Always,
            // An init container that succeeded is done whatever the pod's policy.
            Role::Init if own.unwrap_or(pod_policy) == Restart::Always => Restart::OnFailure,
            Role::Init | Role::Main => own.unwrap_or(pod_policy),
        };
        Container {
            name: spec.name.clone(),
            role,
            restart,
            runs: 0,
            ran_here: false,
            run: Run::New,
            last: None,
            backoff: Backoff::default(),
            backoff_reported: false,
            image: String::new(),
            image_id: String::new(),
            ready: false,
            started: false,
        }
    }

    /// Whether a run that ended so is followed by another.
    pub(crate) fn restarts_after(&self, exit: &Exit) -> bool {
        exit.again
            || match self.restart {
                Restart::Always => true,
                Restart::OnFailure => exit.code != 0,
                Restart::Never => false,
            }
    }

    /// The number of the current or latest run, from 0.
    pub(crate) fn attempt(&self) -> u32 {
        self.runs.saturating_sub(1)
    }

    /// Ended for good, if the pod goes on.
    pub(crate) fn done(&self) -> Option<&Exit> {
        match &self.run {
            Run::Exited(exit) if !self.restarts_after(exit) => Some(exit),
            _ => None,
        }
    }

    /// Neither running nor about to.
    pub(crate) fn quiet(&self) -> bool {
        matches!(self.run, Run::New | Run::Held { .. } | Run::Exited(_))
    }
}

impl Restart {
    /// The API's word; validation upstream leaves no other, and the default is Always.
    pub(crate) fn parse(text: &str) -> Restart {
        match text {
            "Never" => Restart::Never,
            "OnFailure" => Restart::OnFailure,
            _ => Restart::Always,
        }
    }
}

impl State {
    /// A pod seen for the first time, nothing of it running yet.
    pub(crate) fn new(pod: Arc<api::Pod>, now: Timestamp) -> State {
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = Restart::parse(spec.restart_policy.as_deref().unwrap_or("Always"));
        let init = spec.init_containers.iter().flatten().map(|container| {
            let sidecar = container.restart_policy.as_deref() == Some("Always");
            Container::new(container, if sidecar { Role::Sidecar } else { Role::Init }, policy)
        });
        let main = spec.containers.iter().map(|container| Container::new(container, Role::Main, policy));
        State {
            containers: init.chain(main).collect(),
            since: pod
                .status
                .as_ref()
                .and_then(|status| status.start_time.as_ref())
                .map_or(now, |time| time.0),
            ended: matches!(
                pod.status.as_ref().and_then(|status| status.phase.as_deref()),
                Some("Failed" | "Succeeded")
            ),
            pod,
            gone: false,
            verdict: None,
            farewell: Step::NEW,
            volumes: Step::NEW,
            sandbox: Sandbox { step: Step::NEW, address: None },
        }
    }

    /// The pod is on its way out of the API.
    pub(crate) fn deleted(&self) -> bool {
        self.gone || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// The specification of the container at `index`.
    pub(crate) fn spec_of(&self, index: usize) -> Option<&api::Container> {
        let spec = self.pod.spec.as_ref()?;
        let init = spec.init_containers.as_deref().unwrap_or_default();
        init.get(index).or_else(|| spec.containers.get(index.checked_sub(init.len())?))
    }

    /// How long a container may take to end, in seconds.
    pub(crate) fn grace_seconds(&self) -> i64 {
        if self.gone {
            return 0;
        }
        if let Some(seconds) = self.verdict.as_ref().and_then(|verdict| verdict.grace_seconds) {
            return seconds.min(self.pod.metadata.deletion_grace_period_seconds.unwrap_or(i64::MAX));
        }
        let spec = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        self.pod.metadata.deletion_grace_period_seconds.or(spec).unwrap_or(30)
    }

    /// All init containers succeeded and all sidecars before the main containers started.
    pub(crate) fn initialized(&self) -> bool {
        self.main_ran()
            || self.containers.iter().all(|container| match container.role {
                Role::Init => container.done().is_some_and(|exit| exit.code == 0),
                Role::Sidecar => matches!(container.run, Run::Running { .. }) && container.started,
                Role::Main => true,
            })
    }

    /// A main container has begun in the current sandbox: init containers are over.
    pub(crate) fn main_ran(&self) -> bool {
        self.containers.iter().any(|container| container.role == Role::Main && container.ran_here)
    }

    /// The sandbox is gone: what init containers made in it is too.
    pub(crate) fn begin_again(&mut self) {
        for container in &mut self.containers {
            container.ran_here = false;
            if container.role == Role::Init
                && let Run::Exited(exit) = &container.run
                && exit.code == 0
            {
                container.last = Some(exit.clone());
                container.run = Run::New;
            }
        }
    }

    /// An init container failed for good: the pod cannot begin.
    pub(crate) fn init_failed(&self) -> bool {
        let failed = |container: &Container| container.done().is_some_and(|exit| exit.code != 0);
        self.containers.iter().any(|container| container.role == Role::Init && failed(container))
    }

    /// Nothing will run any more: the pod's main containers ended for good, or it was never able to begin.
    pub(crate) fn finished(&self) -> bool {
        let mut main = self.containers.iter().filter(|container| container.role == Role::Main);
        self.ended
            || self.verdict.is_some()
            || self.init_failed()
            || main.all(|container| container.done().is_some())
    }
}
