//! What a DaemonSet says about itself. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Fit, World};
use crate::pod::Availability;

/// The status, and when to look again because a ready pod becomes available.
pub(super) fn plan_status(world: &World<'_>) -> (Value, Option<Duration>) {
    let (mut scheduled, mut misplaced, mut ready, mut updated, mut available) = (0, 0, 0, 0, 0);
    let mut again: Option<Duration> = None;
    for (_, fit, pods) in world.sites() {
        // Of several the oldest counts.
        let Some(pod) = pods.first() else { continue };
        if fit != Fit::Runs {
            misplaced += 1;
            continue;
        }
        scheduled += 1;
        updated += usize::from(world.is_updated(pod));
        match world.availability(pod) {
            Availability::Available => (ready, available) = (ready + 1, available + 1),
            Availability::In(left) => {
                ready += 1;
                again = Some(again.map_or(left, |sooner| sooner.min(left)));
            }
            Availability::Unready => {}
        }
    }
    let desired = world.desired();
    let mut status = json!({
        "observedGeneration": world.set["metadata"]["generation"],
        "desiredNumberScheduled": desired,
        "currentNumberScheduled": scheduled,
        "numberMisscheduled": misplaced,
        "numberReady": ready,
    });
    // What is zero is left out where upstream leaves it out.
    let optional = [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", available),
        ("numberUnavailable", desired - available),
    ];
    for (name, count) in optional.into_iter().filter(|(_, count)| *count > 0) {
        status[name] = count.into();
    }
    if let Some(collisions) = world.set["status"]["collisionCount"].as_i64() {
        status["collisionCount"] = collisions.into();
    }
    (status, again)
}
