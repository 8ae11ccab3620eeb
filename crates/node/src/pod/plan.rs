//! The life of a pod as a decision: given what is known and the time, what to do next and when to look again.
//!
//! ```text
//!   volumes + sandbox ──► init containers, one after the other ──► main containers ──► (restarts with back-off)
//!        deleted, failed or finished ──► stop main, then sidecars ──► remove sandbox ──► volumes ──► delete from API
//! ```
//!
//! Pure: `task` carries the actions out and feeds the results back into the state.

use jiff::Timestamp;

use super::state::{Container, Restart, Role, Run, State, Step};

/// One thing to do for a pod. Each is started at most once: `task` marks it in the state before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    MountVolumes,
    StartSandbox,
    StartContainer(usize),
    /// With the message of its Killing event.
    StopContainer {
        index: usize,
        grace_seconds: i64,
        message: String,
    },
    /// Write the BackOff event of a container that waits.
    ReportBackOff(usize),
    RemoveSandbox,
    UnmountVolumes,
    /// Everything is stopped: let the API forget the pod.
    DeletePod,
    /// Nothing is left to do, ever.
    Finish,
}

/// What to do now, and when to plan again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    pub(crate) wake: Option<Timestamp>,
}

impl Plan {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn wake_at(&mut self, time: Timestamp) {
        self.wake = Some(self.wake.map_or(time, |wake| wake.min(time)));
    }
}

/// Decides what happens to the pod next.
pub(crate) fn plan(state: &State, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if state.deleted() || state.finished() {
        wind_down(state, now, &mut plan);
        return plan;
    }
    if let Some(deadline) = deadline(state) {
        plan.wake_at(deadline);
    }
    plan_stops(state, &mut plan);
    if !prepare(state, now, &mut plan) {
        return plan;
    }
    for (index, container) in state.containers.iter().enumerate() {
        if container.role == Role::Main && !state.initialized() {
            break;
        }
        let rerun = container.role != Role::Init || !state.main_ran();
        if rerun {
            advance(container, index, now, &mut plan);
        }
        if blocks_next(container) && !state.main_ran() {
            break;
        }
    }
    plan
}

/// When `activeDeadlineSeconds` ends the pod.
pub(crate) fn deadline(state: &State) -> Option<Timestamp> {
    let seconds = state.pod.spec.as_ref()?.active_deadline_seconds?;
    state.since.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
}

/// Init containers go one by one; a sidecar lets the next begin once it has started.
fn blocks_next(container: &Container) -> bool {
    match container.role {
        Role::Main => false,
        Role::Init => container.done().is_none_or(|exit| exit.code != 0),
        Role::Sidecar => !(container.started && matches!(container.run, Run::Running { .. })),
    }
}

/// Whether volumes and sandbox are there; asks for them where not.
fn prepare(state: &State, now: Timestamp, plan: &mut Plan) -> bool {
    try_step(&state.volumes, Action::MountVolumes, now, plan);
    try_step(&state.sandbox.step, Action::StartSandbox, now, plan);
    state.volumes == Step::Done && state.sandbox.step == Step::Done
}

/// Asks for what is absent, unless an earlier try failed just now.
fn try_step(step: &Step, action: Action, now: Timestamp, plan: &mut Plan) {
    match step {
        Step::Absent { not_before: Some(time), .. } if *time > now => plan.wake_at(*time),
        Step::Absent { .. } => plan.act(action),
        Step::Busy | Step::Done | Step::Leaving | Step::Removed => {}
    }
}

/// Stops what a failed probe or hook condemned.
fn plan_stops(state: &State, plan: &mut Plan) {
    for (index, container) in state.containers.iter().enumerate() {
        if let Run::Running { stop: Some(stop), stopping: false, .. } = &container.run {
            let grace_seconds = stop.grace_seconds.unwrap_or_else(|| state.grace_seconds());
            plan.act(Action::StopContainer { index, grace_seconds, message: stop.message.clone() });
        }
    }
}

/// Starts the container if it is its time.
fn advance(container: &Container, index: usize, now: Timestamp, plan: &mut Plan) {
    match &container.run {
        Run::New => plan.act(Action::StartContainer(index)),
        Run::Held { until, .. } if *until <= now => plan.act(Action::StartContainer(index)),
        Run::Held { until, .. } => plan.wake_at(*until),
        Run::Starting | Run::Running { .. } => {}
        Run::Exited(exit) if container.restarts_after(exit) => {
            let until = container.backoff.until(exit.finished);
            if until <= now {
                plan.act(Action::StartContainer(index));
            } else {
                plan.wake_at(until);
                if !container.backoff_reported {
                    plan.act(Action::ReportBackOff(index));
                }
            }
        }
        Run::Exited(_) => {}
    }
}

/// Stops everything in order, then takes the sandbox away, and at last lets the API forget a deleted pod.
fn wind_down(state: &State, now: Timestamp, plan: &mut Plan) {
    if stop_all(state, plan) {
        return;
    }
    match state.sandbox.step {
        Step::Done => return plan.act(Action::RemoveSandbox),
        Step::Busy | Step::Leaving => return,
        Step::Absent { .. } | Step::Removed => {}
    }
    match state.volumes {
        Step::Done => return plan.act(Action::UnmountVolumes),
        Step::Busy | Step::Leaving => return,
        Step::Absent { .. } | Step::Removed => {}
    }
    if state.gone || state.farewell == Step::Done {
        plan.act(Action::Finish);
    } else if state.deleted() {
        try_step(&state.farewell, Action::DeletePod, now, plan);
    }
}

/// Whether containers are still to be waited for. Sidecars go after all others, in reverse order (KEP-753).
fn stop_all(state: &State, plan: &mut Plan) -> bool {
    let grace_seconds = state.grace_seconds();
    let mut waiting = false;
    for (index, container) in state.containers.iter().enumerate() {
        if container.role != Role::Sidecar {
            waiting |= stop(container, index, grace_seconds, plan);
        }
    }
    for (index, container) in state.containers.iter().enumerate().rev() {
        if container.role == Role::Sidecar && !waiting {
            waiting |= stop(container, index, grace_seconds, plan);
        }
    }
    waiting
}

/// Whether the container still runs; asks for its stop once.
fn stop(container: &Container, index: usize, grace_seconds: i64, plan: &mut Plan) -> bool {
    if let Run::Running { stopping: false, .. } = container.run {
        let message = format!("Stopping container {}", container.name);
        plan.act(Action::StopContainer { index, grace_seconds, message });
    }
    !container.quiet()
}

/// Whether a container that exited so would make its pod wait in back-off now, and until when.
pub(crate) fn backing_off(container: &Container, now: Timestamp) -> Option<Timestamp> {
    let Run::Exited(exit) = &container.run else { return None };
    let until = container.backoff.until(exit.finished);
    (container.restart != Restart::Never && container.restarts_after(exit) && until > now).then_some(until)
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
