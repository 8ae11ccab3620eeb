//! What a StatefulSet does next: pure decisions in upstream's order: first missing pods, from the first number on; then
//! pods that are too many, from the last; then pods of another revision, from the last.

use std::sync::Arc;

use serde_json::Value;

use super::pods::World;
use crate::deployment::portion;
use crate::pod::{self, Availability};

/// What a turn changes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The numbers of the pods to make.
    pub(super) create: Vec<usize>,
    pub(super) delete: Vec<Arc<Value>>,
    /// How many of the deleted pods are replaced by pods of another revision.
    pub(super) replaced: usize,
}

/// Whether there is anything to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Go,
    /// What was begun must be complete first.
    Wait,
}

/// The next steps of a set.
pub(super) fn plan(world: &World<'_>) -> Plan {
    let mut plan = Plan::default();
    if fill(world, &mut plan) == Next::Go && shrink(world, &mut plan) == Next::Go {
        update(world, &mut plan);
    }
    plan
}

/// Makes what is missing. In order, a pod is made only when all before it are available.
fn fill(world: &World<'_>, plan: &mut Plan) -> Next {
    for (place, slot) in world.replicas.iter().enumerate() {
        let settled = match slot {
            None => {
                plan.create.push(world.start() + place);
                false
            }
            Some(pod) if pod::is_terminal(pod) => {
                // Its successor has its name, and so can be made only when it is gone.
                plan.delete.extend((!pod::is_deleting(pod)).then(|| pod.clone()));
                false
            }
            Some(pod) => !world.is_unavailable(pod),
        };
        if !settled && world.is_ordered() {
            return Next::Wait;
        }
    }
    Next::Go
}

/// Removes what is too many. In order, one after another, and only while all others are available, unless it is itself what
/// is not.
fn shrink(world: &World<'_>, plan: &mut Plan) -> Next {
    if !world.is_ordered() {
        plan.delete.extend(world.condemned.iter().filter(|pod| !pod::is_deleting(pod)).cloned());
        return Next::Go;
    }
    let Some(last) = world.condemned.first() else { return Next::Go };
    let broken = world.condemned.iter().rev().find(|pod| world.is_unavailable(pod));
    let available = world.availability(last) == Availability::Available;
    if !pod::is_deleting(last) && (available || broken.is_some_and(|broken| Arc::ptr_eq(broken, last))) {
        plan.delete.push(last.clone());
    }
    Next::Wait
}

/// Deletes pods of another revision, as many as may be missing at once.
fn update(world: &World<'_>, plan: &mut Plan) {
    if world.set["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
        return;
    }
    let size = i64::try_from(world.replicas.len()).unwrap_or(i64::MAX);
    let most = portion(&world.rolling_update()["maxUnavailable"], size, false).unwrap_or(1).max(1);
    let missing =
        world.replicas.iter().filter(|slot| slot.as_ref().is_none_or(|pod| world.is_unavailable(pod)));
    let mut budget = usize::try_from(most).unwrap_or_default().saturating_sub(missing.count());
    // Upstream counts the partition in places here, whatever the first number is.
    let outdated: Vec<&Arc<Value>> = world.replicas
        [world.partition().unwrap_or_default().min(world.replicas.len())..]
        .iter()
        .rev()
        .flatten()
        .filter(|pod| !world.is_updated(pod) && !pod::is_deleting(pod) && !plan.delete.contains(pod))
        .collect();
    let mut chosen: Vec<Arc<Value>> = Vec::new();
    if !world.is_ordered() {
        // What is missing already is replaced at once: nothing is lost with it.
        chosen.extend(outdated.iter().filter(|pod| world.is_unavailable(pod)).map(|pod| (*pod).clone()));
    }
    for pod in outdated {
        if budget > 0 && !chosen.contains(pod) {
            chosen.push(pod.clone());
            budget -= 1;
        }
    }
    plan.replaced = chosen.len();
    plan.delete.extend(chosen);
}
