//! Where a volume stands. Pure; upstream's rules (`pv_controller.go`, v1.37).

use object::storage::{BOUND_BY_CONTROLLER, PROVISIONED_BY};
use object::time::{self, Timestamp};
use serde_json::{Value, json};

use super::{Changes, Event};

/// What became of the claim that a volume was tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimant {
    /// There is none (any more).
    Missing,
    /// It is about to be bound.
    Binding,
    Bound,
    /// It has another volume.
    Elsewhere,
}

pub(super) fn plan_volume(volume: &Value, claim: Claimant) -> Changes {
    let claimant = &volume["spec"]["claimRef"];
    let provisioned = volume["metadata"]["annotations"].get(PROVISIONED_BY).is_some();
    let deleted = volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete";
    match claim {
        // Reserved by name at most.
        _ if claimant["uid"].as_str().is_none_or(str::is_empty) => phase(volume, "Available", ""),
        Claimant::Bound => phase(volume, "Bound", ""),
        Claimant::Binding => Changes::default(),
        Claimant::Elsewhere if !(provisioned && deleted) => untie(volume),
        Claimant::Elsewhere | Claimant::Missing => released(volume, deleted && !provisioned),
    }
}

/// Its claim is gone. Whoever made it takes it away, if that is its policy; what nobody made nobody takes away.
fn released(volume: &Value, stuck: bool) -> Changes {
    let now = volume["status"]["phase"].as_str().unwrap_or_default();
    if !stuck {
        return if now == "Failed" { Changes::default() } else { phase(volume, "Released", "") };
    }
    let message = format!(
        "volume \"{}\" was made by hand, and what is on it is not deleted by this server: set its \
         persistentVolumeReclaimPolicy to Retain, or delete the data and then the PersistentVolume",
        volume["metadata"]["name"].as_str().unwrap_or_default()
    );
    let mut changes = phase(volume, "Failed", &message);
    changes.event = changes.status.is_some().then(|| Event::warning("VolumeFailedDelete", message));
    changes
}

/// Takes back a tie to a claim that has another volume; a reservation by name stays.
fn untie(volume: &Value) -> Changes {
    let ours = volume["metadata"]["annotations"].get(BOUND_BY_CONTROLLER).is_some();
    let main = if ours {
        json!({ "metadata": { "annotations": { BOUND_BY_CONTROLLER: null } }, "spec": { "claimRef": null } })
    } else {
        json!({ "spec": { "claimRef": { "uid": null, "resourceVersion": null } } })
    };
    Changes { main: Some(main), ..phase(volume, "Available", "") }
}

fn phase(volume: &Value, phase: &str, message: &str) -> Changes {
    let status = &volume["status"];
    if status["phase"] == phase && status["message"].as_str().unwrap_or_default() == message {
        return Changes::default();
    }
    let mut new = json!({ "phase": phase, "message": (!message.is_empty()).then_some(message) });
    if status["phase"] != phase {
        new["lastPhaseTransitionTime"] = time::seconds(Timestamp::now()).into();
    }
    Changes { status: Some(new), ..Changes::default() }
}
