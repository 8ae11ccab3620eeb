//! What a StatefulSet says about itself. Pure.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::Plan;
use super::pods::{World, name, revision_of};
use crate::conditions;
use crate::pod::{self, Availability};

/// The status after a plan, and when to look again because a ready pod becomes available.
pub(super) fn plan_status(world: &World<'_>, plan: &Plan) -> (Value, Option<Duration>) {
    let pods: Vec<&Arc<Value>> = world.replicas.iter().flatten().chain(&world.condemned).collect();
    let (mut ready, mut available, mut again) = (0, 0, None);
    for pod in &pods {
        match world.availability(pod) {
            Availability::Available => (ready, available) = (ready + 1, available + 1),
            Availability::In(left) => {
                ready += 1;
                again = Some(again.map_or(left, |sooner: Duration| sooner.min(left)));
            }
            Availability::Unready => {}
        }
    }
    let of = |revision: &Value| {
        let staying = pods.iter().filter(|pod| !pod::is_deleting(pod));
        staying.filter(|pod| revision_of(pod) == name(revision)).count()
    };
    let updated = of(world.update);
    let (mut current, mut revision) = (of(world.current).saturating_sub(plan.replaced), world.current);
    let size = world.replicas.len();
    // Every pod is of the new revision: it is the current one from now on.
    if updated == size && ready == size && pods.len() == size {
        (current, revision) = (updated, world.update);
    }
    let set = world.set;
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "replicas": pods.len(),
        "availableReplicas": available,
        "currentRevision": name(revision),
        "updateRevision": name(world.update),
        "collisionCount": set["status"]["collisionCount"].as_i64().unwrap_or_default(),
    });
    let optional = [("readyReplicas", ready), ("currentReplicas", current), ("updatedReplicas", updated)];
    for (field, count) in optional.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    let conditions = conditions::of(set);
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    (status, again)
}
