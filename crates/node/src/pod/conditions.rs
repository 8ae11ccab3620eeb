//! A pod's conditions: PodReadyToStartContainers, Initialized, Ready, ContainersReady, PodScheduled. Pure.

use client::k8s_openapi::api::core::v1 as api;
use jiff::Timestamp;

use super::state::{Container, Role, Run, State, Step};
use super::status::time;

/// What conditions are computed from.
pub(crate) struct Observed<'a> {
    pub(crate) state: &'a State,
    pub(crate) phase: &'a str,
    pub(crate) previous: &'a api::PodStatus,
    pub(crate) now: Timestamp,
}

/// A condition before it is compared with the one the API holds.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn holds(kind: &'static str) -> Verdict {
        Verdict { kind, holds: true, reason: None, message: None }
    }

    fn fails(kind: &'static str, reason: &'static str, message: Option<String>) -> Verdict {
        Verdict { kind, holds: false, reason: Some(reason), message }
    }
}

/// All conditions of this node, then those of other writers as they were.
pub(crate) fn all(observed: &Observed<'_>) -> Vec<api::PodCondition> {
    let ready = containers_ready(observed);
    let pod_ready = pod_ready(observed, &ready);
    let verdicts =
        [sandbox_ready(observed), initialized(observed), pod_ready, ready, Verdict::holds("PodScheduled")];
    let mut conditions: Vec<_> = verdicts.into_iter().map(|verdict| settle(observed, verdict)).collect();
    for old in observed.previous.conditions.iter().flatten() {
        if !conditions.iter().any(|condition| condition.type_ == old.type_) {
            conditions.push(old.clone());
        }
    }
    conditions
}

/// Keeps the transition time of a condition that did not change its status.
fn settle(observed: &Observed<'_>, verdict: Verdict) -> api::PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let old = observed.previous.conditions.iter().flatten().find(|old| old.type_ == verdict.kind);
    let kept = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
    api::PodCondition {
        type_: verdict.kind.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message,
        last_transition_time: Some(kept.unwrap_or_else(|| time(observed.now))),
        last_probe_time: None,
        observed_generation: observed.state.pod.metadata.generation,
    }
}

fn sandbox_ready(observed: &Observed<'_>) -> Verdict {
    match observed.state.sandbox.step {
        Step::Done => Verdict::holds("PodReadyToStartContainers"),
        _ => Verdict { holds: false, ..Verdict::holds("PodReadyToStartContainers") },
    }
}

fn initialized(observed: &Observed<'_>) -> Verdict {
    let kind = "Initialized";
    if observed.state.initialized() {
        let reason = (observed.phase == "Succeeded").then_some("PodCompleted");
        return Verdict { reason, ..Verdict::holds(kind) };
    }
    let incomplete = |container: &&Container| match container.role {
        Role::Init => container.done().is_none_or(|exit| exit.code != 0),
        Role::Sidecar => !container.started,
        Role::Main => false,
    };
    let names = names(observed.state.containers.iter().filter(incomplete));
    Verdict::fails(
        kind,
        "ContainersNotInitialized",
        Some(format!("containers with incomplete status: {names}")),
    )
}

fn containers_ready(observed: &Observed<'_>) -> Verdict {
    let kind = "ContainersReady";
    match observed.phase {
        "Succeeded" => return Verdict::fails(kind, "PodCompleted", None),
        "Failed" => return Verdict::fails(kind, "PodFailed", None),
        _ => {}
    }
    let unready = |container: &&Container| {
        let ready = matches!(container.run, Run::Running { .. }) && container.ready && container.started;
        container.role != Role::Init && !ready
    };
    let unready: Vec<_> = observed.state.containers.iter().filter(unready).collect();
    if unready.is_empty() {
        return Verdict::holds(kind);
    }
    let message = format!("containers with unready status: {}", names(unready.into_iter()));
    Verdict::fails(kind, "ContainersNotReady", Some(message))
}

/// Containers ready and every readiness gate open.
fn pod_ready(observed: &Observed<'_>, containers: &Verdict) -> Verdict {
    if !containers.holds {
        return Verdict {
            kind: "Ready",
            holds: false,
            reason: containers.reason,
            message: containers.message.clone(),
        };
    }
    let gates = observed.state.pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let held = observed.previous.conditions.as_deref().unwrap_or_default();
    let closed: Vec<_> = gates
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match held.iter().find(|condition| condition.type_ == *kind) {
                None => {
                    Some(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist."))
                }
                Some(condition) if condition.status == "True" => None,
                Some(condition) => Some(format!(
                    "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                    condition.status
                )),
            }
        })
        .collect();
    if closed.is_empty() {
        return Verdict::holds("Ready");
    }
    Verdict::fails("Ready", "ReadinessGatesNotReady", Some(closed.join(", ")))
}

/// Names as Go prints a list: `[a b]`.
fn names<'a>(containers: impl Iterator<Item = &'a Container>) -> String {
    let names: Vec<_> = containers.map(|container| container.name.as_str()).collect();
    format!("[{}]", names.join(" "))
}
