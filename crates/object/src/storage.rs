//! The words that claims, volumes and storage classes are tied together with, and small readings of them. Pure; used by
//! admission, the controllers, the scheduler and the node.

mod matching;

pub use matching::{Candidates, best_match, is_claimed_by, mismatch};

use crate::json::{items, text};
use crate::quantity::Quantity;
use serde_json::Value;

/// The provisioner of dory itself: a directory below the data directory of one node for each volume.
pub const PROVISIONER: &str = "dory.dev/local";
/// Marks the storage class of claims that name none.
pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// Keeps a claim while pods use it.
pub const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// Keeps a volume while a claim is bound to it.
pub const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";
/// On a claim: it was bound, once and for all.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a claim or volume: the other side of the binding was chosen by the controller, not by the user.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a volume: who made it, and so who takes it away.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a claim: who is to make a volume for it.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// On a claim: the node on which its first pod will run, so that its volume is made there.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The old way of naming a class, which upstream still reads.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The storage class of a claim or a volume; none when it names none, which is not the same as the class "".
pub fn class_of(object: &Value) -> Option<&str> {
    let beta = object["metadata"]["annotations"][BETA_CLASS].as_str();
    beta.or_else(|| object["spec"]["storageClassName"].as_str())
}

/// The class for claims that name none: of those marked as the default the newest, by name when they are of one age.
pub fn default_class<'a>(classes: impl Iterator<Item = &'a Value>) -> Option<&'a Value> {
    let age = |class: &Value| text(&class["metadata"]["creationTimestamp"]).to_owned();
    let name = |class: &Value| text(&class["metadata"]["name"]).to_owned();
    let marked = classes.filter(|class| class["metadata"]["annotations"][DEFAULT_CLASS] == "true");
    marked.min_by(|a, b| age(b).cmp(&age(a)).then_with(|| name(a).cmp(&name(b))))
}

/// Whether volumes of this class are bound only when a pod that needs them has a node.
pub fn waits_for_consumer(class: &Value) -> bool {
    class["volumeBindingMode"] == "WaitForFirstConsumer"
}

/// The claim that a volume of a pod stands for, `None` for other kinds of volumes. Generic ephemeral volumes have a claim of
/// their own, named after pod and volume.
pub fn claim_name(pod: &Value, volume: &Value) -> Option<String> {
    if let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() {
        return Some(name.to_owned());
    }
    let ephemeral = volume.get("ephemeral").is_some_and(|ephemeral| !ephemeral.is_null());
    ephemeral.then(|| format!("{}-{}", text(&pod["metadata"]["name"]), text(&volume["name"])))
}

/// Every claim that a pod needs, and whether it is one of its own generic ephemeral volumes.
pub fn claims(pod: &Value) -> Vec<(String, bool)> {
    let volumes = items(&pod["spec"]["volumes"]).iter();
    volumes
        .filter_map(|volume| {
            let name = claim_name(pod, volume)?;
            Some((name, volume["persistentVolumeClaim"].is_null()))
        })
        .collect()
}

/// Whether a claim was made for a generic ephemeral volume of this pod.
pub fn is_claim_of(claim: &Value, pod: &Value) -> bool {
    let owners = items(&claim["metadata"]["ownerReferences"]).iter();
    let mut controllers = owners.filter(|owner| owner["controller"] == true);
    controllers.any(|owner| owner["uid"] == pod["metadata"]["uid"])
}

/// Whether a claim and its volume belong together for good.
pub fn is_bound(claim: &Value) -> bool {
    !text(&claim["spec"]["volumeName"]).is_empty()
        && claim["metadata"]["annotations"].get(BIND_COMPLETED).is_some()
}

/// Whether the volume is for one pod alone.
pub fn is_for_one_pod(claim: &Value) -> bool {
    items(&claim["spec"]["accessModes"]).iter().any(|mode| mode == "ReadWriteOncePod")
}

/// How much a claim asks for.
pub fn requested(claim: &Value) -> Quantity {
    Quantity::parse(text(&claim["spec"]["resources"]["requests"]["storage"])).unwrap_or_default()
}

/// How much a volume has.
pub fn capacity(volume: &Value) -> Quantity {
    Quantity::parse(text(&volume["spec"]["capacity"]["storage"])).unwrap_or_default()
}

#[cfg(test)]
mod tests;
