//! A pod's status as the API shows it, computed from the state. Pure. Rules as upstream's kubelet: phase and container
//! states from `kubelet_pods.go`, conditions from `status/generate.go` (v1.37).

use client::k8s_openapi::api::core::v1 as api;
use client::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use jiff::{Timestamp, Unit};

use super::backoff::go_seconds;
use super::conditions::{self, Observed};
use super::plan::backing_off;
use super::state::{Container, Exit, Role, Run, State, Step};
use crate::resources;

/// What the status says of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) address: String,
}

/// A time as `metav1.Time` carries it: whole seconds.
pub(crate) fn time(timestamp: Timestamp) -> Time {
    let whole = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc);
    Time(timestamp.round(whole).unwrap_or(timestamp))
}

/// The whole status. `previous` is what the API holds: conditions keep their transition times, and those of other
/// writers (readiness gates) stay.
pub(crate) fn status(
    state: &State,
    previous: &api::PodStatus,
    host: &Host,
    now: Timestamp,
) -> api::PodStatus {
    let spec = state.pod.spec.clone().unwrap_or_default();
    let phase = sticky(phase(state), previous);
    let observed = Observed { state, phase, previous, now };
    let of_role = |init: bool| {
        let statuses = state
            .containers
            .iter()
            .enumerate()
            .filter(move |(_, container)| (container.role != Role::Main) == init)
            .map(|(index, container)| container_status(state, index, container, now));
        Some(statuses.collect::<Vec<_>>()).filter(|list| !list.is_empty())
    };
    let address = match spec.host_network {
        Some(true) => Some(host.address.clone()),
        _ => state.sandbox.address.map(|address| address.to_string()),
    };
    // An address stays on show until the pod is gone: endpoints of a pod that terminates need it.
    let address = address.or_else(|| previous.pod_ip.clone());
    let verdict = state.verdict.clone();
    api::PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions::all(&observed)),
        container_statuses: of_role(false),
        init_container_statuses: of_role(true),
        host_ip: Some(host.address.clone()),
        host_ips: Some(vec![api::HostIP { ip: host.address.clone() }]),
        pod_ips: address.clone().map(|ip| vec![api::PodIP { ip }]),
        pod_ip: address,
        start_time: Some(previous.start_time.clone().unwrap_or_else(|| time(state.since))),
        qos_class: Some(resources::qos_class(&spec).to_owned()),
        observed_generation: state.pod.metadata.generation,
        reason: verdict.as_ref().map(|verdict| verdict.reason.clone()).or_else(|| previous.reason.clone()),
        message: verdict.map(|verdict| verdict.message).or_else(|| previous.message.clone()),
        ..previous.clone()
    }
}

/// A pod that once failed or succeeded never leaves that phase.
fn sticky<'a>(phase: &'a str, previous: &'a api::PodStatus) -> &'a str {
    match previous.phase.as_deref() {
        Some(last @ ("Failed" | "Succeeded")) => last,
        _ => phase,
    }
}

/// Where the pod stands in its life, from what its containers show.
pub(crate) fn phase(state: &State) -> &'static str {
    let quiet = state.containers.iter().all(Container::quiet);
    if quiet && state.verdict.is_some() || state.init_failed() {
        return "Failed";
    }
    if !state.initialized() {
        return ended(state).unwrap_or("Pending");
    }
    let main = || state.containers.iter().filter(|container| container.role == Role::Main);
    if main().any(|container| container.last.is_none() && waiting(container)) {
        return ended(state).unwrap_or("Pending");
    }
    let running = |container: &&Container| matches!(container.run, Run::Running { .. });
    if state.containers.iter().any(|container| running(&container)) {
        return "Running";
    }
    if let Some(phase) = ended(state) {
        return phase;
    }
    if main().all(|container| container.done().is_some()) {
        let failed = main().filter_map(Container::done).any(|exit| exit.code != 0);
        return if failed { "Failed" } else { "Succeeded" };
    }
    "Running"
}

/// The last phase of a deleted pod whose containers are all gone: it does not restart whatever its policy says.
fn ended(state: &State) -> Option<&'static str> {
    let quiet = state.containers.iter().all(Container::quiet);
    if !state.deleted() || !quiet || !matches!(state.sandbox.step, Step::Removed | Step::Absent { .. }) {
        return None;
    }
    let well = state
        .containers
        .iter()
        .filter(|container| container.role == Role::Main)
        .all(|container| matches!(&container.run, Run::Exited(exit) if exit.code == 0));
    Some(if well { "Succeeded" } else { "Failed" })
}

/// Never ran: nothing to show but that it waits.
fn waiting(container: &Container) -> bool {
    matches!(container.run, Run::New | Run::Held { .. } | Run::Starting)
}

fn container_status(
    state: &State,
    index: usize,
    container: &Container,
    now: Timestamp,
) -> api::ContainerStatus {
    let spec = state.spec_of(index);
    let (current, last) = states(state, container, now);
    let id = container_id(state, container, container.attempt());
    let running = matches!(container.run, Run::Running { .. });
    let succeeded = container.role == Role::Init && container.done().is_some_and(|exit| exit.code == 0);
    let wanted = || spec.and_then(|spec| spec.image.clone()).unwrap_or_default();
    let image = if container.image.is_empty() { wanted() } else { container.image.clone() };
    api::ContainerStatus {
        name: container.name.clone(),
        image,
        image_id: container.image_id.clone(),
        container_id: (container.runs > 0).then_some(id),
        ready: (container.role != Role::Init && running && container.ready && container.started) || succeeded,
        started: Some(running && container.started),
        restart_count: i32::try_from(container.attempt()).unwrap_or(i32::MAX),
        state: Some(current),
        last_state: last,
        resources: spec
            .and_then(|spec| spec.resources.clone())
            .filter(|resources| *resources != <_>::default()),
        allocated_resources: spec
            .and_then(|spec| spec.resources.as_ref())
            .and_then(|resources| resources.requests.clone())
            .filter(|requests| !requests.is_empty()),
        volume_mounts: spec.and_then(mounts),
        ..api::ContainerStatus::default()
    }
}

/// What `status.volumeMounts` repeats of the specification.
fn mounts(spec: &api::Container) -> Option<Vec<api::VolumeMountStatus>> {
    let list = spec.volume_mounts.as_ref()?.iter().map(|mount| api::VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only,
        recursive_read_only: (mount.read_only == Some(true)).then(|| "Disabled".to_owned()),
        ..api::VolumeMountStatus::default()
    });
    Some(list.collect::<Vec<_>>()).filter(|list| !list.is_empty())
}

/// How clients name one run of a container.
pub(crate) fn container_id(state: &State, container: &Container, attempt: u32) -> String {
    let uid = state.pod.metadata.uid.as_deref().unwrap_or_default();
    format!("dory://{uid}.{}.{attempt}", container.name)
}

/// The container's `state` and `lastState`.
fn states(
    state: &State,
    container: &Container,
    now: Timestamp,
) -> (api::ContainerState, Option<api::ContainerState>) {
    let last = container.last.as_ref().map(|exit| terminated(state, container, exit));
    let creating = if container.role == Role::Main && has_init(state) && !state.initialized()
        || container.role != Role::Main && blocked_init(state, container)
    {
        "PodInitializing"
    } else {
        "ContainerCreating"
    };
    match &container.run {
        Run::New => (waiting_state(creating, None), last),
        Run::Held { reason, message, .. } => (waiting_state(reason, Some(message.clone())), last),
        // While a restart is under way the exit before it stays on show.
        Run::Starting => match &container.last {
            Some(exit) => (terminated(state, container, exit), None),
            None => (waiting_state(creating, None), None),
        },
        Run::Running { since, .. } => {
            let running = api::ContainerStateRunning { started_at: Some(time(*since)) };
            (api::ContainerState { running: Some(running), ..<_>::default() }, last)
        }
        Run::Exited(exit) => {
            let shown = terminated(state, container, exit);
            let again = container.restarts_after(exit) && !state.deleted() && !state.finished();
            if again && backing_off(container, now).is_some() {
                let message = back_off_message(state, container, exit);
                (waiting_state("CrashLoopBackOff", Some(message)), Some(shown))
            } else if again && exit.start_failed {
                (waiting_state("RunContainerError", Some(exit.message.clone())), Some(shown))
            } else {
                (shown, last)
            }
        }
    }
}

fn has_init(state: &State) -> bool {
    state.containers.iter().any(|container| container.role != Role::Main)
}

/// An init container that waits for one before it.
fn blocked_init(state: &State, container: &Container) -> bool {
    state.containers.first().is_some_and(|first| first.name != container.name)
}

fn waiting_state(reason: &str, message: Option<String>) -> api::ContainerState {
    let waiting = api::ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    api::ContainerState { waiting: Some(waiting), ..<_>::default() }
}

fn terminated(state: &State, container: &Container, exit: &Exit) -> api::ContainerState {
    let terminated = api::ContainerStateTerminated {
        exit_code: exit.code,
        reason: Some(exit.reason.clone().into_owned()),
        message: Some(exit.message.clone()).filter(|message| !message.is_empty()),
        started_at: Some(time(exit.started.unwrap_or(Timestamp::UNIX_EPOCH))),
        finished_at: Some(time(exit.finished)),
        container_id: Some(container_id(state, container, exit.attempt)),
        signal: None,
    };
    api::ContainerState { terminated: Some(terminated), ..<_>::default() }
}

fn back_off_message(state: &State, container: &Container, exit: &Exit) -> String {
    let delay = go_seconds(container.backoff.delay(exit.finished));
    format!("back-off {delay} restarting failed container={} pod={}", container.name, pod_name(state))
}

/// A pod as upstream's messages name it: `name_namespace(uid)`.
pub(crate) fn pod_name(state: &State) -> String {
    let metadata = &state.pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}_{}({})", text(&metadata.name), text(&metadata.namespace), text(&metadata.uid))
}

#[cfg(test)]
#[path = "status/tests.rs"]
mod tests;
