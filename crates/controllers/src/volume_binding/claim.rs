//! What a claim needs next. Pure; upstream's rules (`pv_controller.go`, v1.37), in its words.

use std::sync::Arc;

use object::storage::{
    self, BIND_COMPLETED, BOUND_BY_CONTROLLER, Candidates, SELECTED_NODE, STORAGE_PROVISIONER, best_match,
    class_of,
};
use serde_json::{Value, json};

use super::grow::plan_growth;
use super::{Changes, Event};
use crate::pod::is_deleting;

/// What is around a claim.
pub(super) struct Situation<'a> {
    pub(super) volumes: &'a [Arc<Value>],
    /// The volume that the claim names, if it exists.
    pub(super) named: Option<&'a Value>,
    pub(super) classes: &'a [Arc<Value>],
    /// Pods that use the claim and have no node yet.
    pub(super) waiting_pods: Vec<String>,
}

impl Situation<'_> {
    pub(super) fn class(&self, name: &str) -> Option<&Value> {
        self.classes.iter().find(|class| class["metadata"]["name"] == name).map(Arc::as_ref)
    }
}

/// What is written: to the volume first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) volume: Option<(Value, Changes)>,
    pub(super) claim: Changes,
}

pub(super) fn plan_claim(claim: &Value, around: &Situation<'_>) -> Plan {
    let name = claim["spec"]["volumeName"].as_str().unwrap_or_default();
    if claim["metadata"]["annotations"].get(BIND_COMPLETED).is_some() {
        return bound(claim, name, around);
    }
    if is_deleting(claim) {
        return Plan::default();
    }
    if name.is_empty() { unbound(claim, around) } else { wanting(claim, name, around) }
}

/// It was bound before: is it still?
fn bound(claim: &Value, name: &str, around: &Situation<'_>) -> Plan {
    let lost = |reason, message: &str| {
        let known = claim["status"]["phase"] == "Lost";
        let mut changes = Changes { status: phase(claim, "Lost"), ..Changes::default() };
        changes.event = (!known).then(|| Event::warning(reason, message));
        Plan { claim: changes, ..Plan::default() }
    };
    if name.is_empty() {
        let message = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
        return lost("ClaimLost", message);
    }
    let Some(volume) = around.named else {
        return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    };
    let claimant = &volume["spec"]["claimRef"];
    if claimant.is_null() || claimant["uid"] == claim["metadata"]["uid"] {
        return plan_growth(claim, volume, around).unwrap_or_else(|| bind(claim, volume));
    }
    lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
}

/// It names no volume: one that does is looked for, or asked for.
fn unbound(claim: &Value, around: &Situation<'_>) -> Plan {
    let class = class_of(claim).and_then(|name| around.class(name));
    let waits = class.is_some_and(storage::waits_for_consumer);
    let candidates = if waits { Candidates::Reserved } else { Candidates::Any };
    if let Some(volume) = best_match(claim, around.volumes, candidates) {
        return bind(claim, volume);
    }
    let default = storage::default_class(around.classes.iter().map(Arc::as_ref));
    if let (None, Some(default)) = (class_of(claim), default) {
        let main = json!({ "spec": { "storageClassName": default["metadata"]["name"] } });
        return Plan { claim: Changes { main: Some(main), ..Changes::default() }, ..Plan::default() };
    }
    let selected = claim["metadata"]["annotations"].get(SELECTED_NODE).is_some();
    let mut changes = match class_of(claim).unwrap_or_default() {
        _ if waits && !selected => {
            Changes { event: Some(consumer(&around.waiting_pods)), ..Changes::default() }
        }
        "" => {
            let message = "no persistent volumes available for this claim and no storage class is set";
            Changes { event: Some(Event::normal("FailedBinding", message)), ..Changes::default() }
        }
        name => provision(claim, name, class),
    };
    changes.status = phase(claim, "Pending");
    Plan { claim: changes, ..Plan::default() }
}

fn consumer(pods: &[String]) -> Event {
    match pods {
        [] => {
            Event::normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
        }
        [pod] => Event::normal("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
        pods => Event::normal(
            "WaitForPodScheduled",
            format!("waiting for pods {} to be scheduled", pods.join(",")),
        ),
    }
}

/// Asks whoever the class names for a volume.
fn provision(claim: &Value, name: &str, class: Option<&Value>) -> Changes {
    let failed = |message: String| Changes {
        event: Some(Event::warning("ProvisioningFailed", message)),
        ..Changes::default()
    };
    let Some(class) = class else {
        return failed(format!("storageclass.storage.k8s.io \"{name}\" not found"));
    };
    let provisioner = class["provisioner"].as_str().unwrap_or_default();
    if provisioner.starts_with("kubernetes.io/") {
        return failed(format!("no volume plugin matched name: {provisioner}"));
    }
    let asked = claim["metadata"]["annotations"][STORAGE_PROVISIONER] == provisioner;
    let main = (!asked).then(|| {
        json!({ "metadata": { "annotations": {
        STORAGE_PROVISIONER: provisioner, "volume.beta.kubernetes.io/storage-provisioner": provisioner } } })
    });
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
         administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
         registered."
    );
    Changes { main, event: Some(Event::normal("ExternalProvisioning", message)), ..Changes::default() }
}

/// It names a volume, and waits for that one.
fn wanting(claim: &Value, name: &str, around: &Situation<'_>) -> Plan {
    let mut changes = Changes { status: phase(claim, "Pending"), ..Changes::default() };
    if let Some(volume) = around.named {
        let claimed = !volume["spec"]["claimRef"].is_null();
        if storage::is_claimed_by(volume, claim) {
            return bind(claim, volume);
        }
        changes.event = Some(if claimed {
            Event::warning("FailedBinding", format!("volume \"{name}\" already bound to a different claim."))
        } else if let Some(why) = storage::mismatch(volume, claim) {
            Event::warning("VolumeMismatch", format!("Cannot bind to requested volume \"{name}\": {why}"))
        } else {
            return bind(claim, volume);
        });
    }
    Plan { claim: changes, ..Plan::default() }
}

/// Ties both together, or what is missing of that.
fn bind(claim: &Value, volume: &Value) -> Plan {
    let (metadata, claimant) = (&claim["metadata"], &volume["spec"]["claimRef"]);
    let mut tied = None;
    if claimant["uid"] != metadata["uid"] {
        let mut patch = json!({ "spec": { "claimRef": {
            "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": metadata["namespace"],
            "name": metadata["name"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"] } } });
        if claimant.is_null() {
            patch["metadata"]["annotations"][BOUND_BY_CONTROLLER] = "yes".into();
        }
        tied = Some((volume.clone(), Changes { main: Some(patch), ..Changes::default() }));
    }
    let mut annotations = json!({});
    let mut changes = Changes::default();
    if claim["spec"]["volumeName"] != volume["metadata"]["name"] {
        annotations[BOUND_BY_CONTROLLER] = "yes".into();
        changes.main = Some(json!({ "spec": { "volumeName": volume["metadata"]["name"] } }));
    }
    if metadata["annotations"].get(BIND_COMPLETED).is_none() {
        annotations[BIND_COMPLETED] = "yes".into();
    }
    if annotations.as_object().is_some_and(|annotations| !annotations.is_empty()) {
        let mut main = changes.main.take().unwrap_or_else(|| json!({}));
        main["metadata"]["annotations"] = annotations;
        changes.main = Some(main);
    }
    let modes = &volume["spec"]["accessModes"];
    let told = claim["status"]["phase"] == "Bound"
        && claim["status"]["capacity"].is_object()
        && claim["status"]["accessModes"] == *modes;
    changes.status = (!told)
        .then(|| json!({ "phase": "Bound", "accessModes": modes, "capacity": volume["spec"]["capacity"] }));
    Plan { volume: tied, claim: changes }
}

/// The status of a claim without a volume, unless it has it.
fn phase(claim: &Value, phase: &str) -> Option<Value> {
    let status = &claim["status"];
    let same = status["phase"] == phase && status["capacity"].is_null() && status["accessModes"].is_null();
    (!same).then(|| json!({ "phase": phase, "capacity": null, "accessModes": null }))
}
