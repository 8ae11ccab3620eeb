//! Claims: each must have a volume that the node reaches, or get one there; and one that is for a single pod alone must not
//! be in use. Upstream's plugins VolumeBinding and VolumeRestrictions (v1.37), in their words.

use std::sync::Arc;

use client::Key;
use object::placement;
use object::storage::{self, Candidates, SELECTED_NODE, best_match};
use serde_json::Value;

use crate::message::Reject;
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};
use crate::storage::Storage;

const ELSEWHERE: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_VOLUME: &str = "node(s) didn't find available persistent volumes to bind";
const NO_SUCH_VOLUME: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const IN_USE: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use \
                      by another pod";

/// What a claim that has no volume yet gets on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provision {
    /// This volume, which is there.
    Reserve {
        /// The claim.
        claim: Arc<Value>,
        /// The volume.
        volume: Arc<Value>,
    },
    /// One that is made there.
    Make {
        /// The claim.
        claim: Arc<Value>,
    },
}

/// What a pod needs of storage.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Volumes that it has, `None` for one that is not there.
    bound: Vec<Option<Arc<Value>>>,
    /// Claims whose volumes are found or made once the pod has a node, with their classes.
    unbound: Vec<(Arc<Value>, Arc<Value>)>,
    /// Volumes that the unbound claims may get.
    free: Vec<Arc<Value>>,
    /// Whether another pod has what is for one pod alone.
    in_use: bool,
}

/// Looks over the claims of a pod; the error is what no node can cure.
pub(crate) fn look(pod: &PodInfo, snapshot: &Snapshot) -> Result<Needs, String> {
    let (mut needs, storage) = (Needs::default(), &snapshot.storage);
    let mut immediate = false;
    for (name, own) in storage::claims(&pod.object) {
        let claim = claim(pod, &name, own, storage)?;
        let named = claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty());
        let class = storage::class_of(claim).and_then(|name| storage.class(name));
        match (named, class) {
            (Some(volume), _) if storage::is_bound(claim) => {
                needs.bound.push(storage.volume(volume).cloned());
            }
            (None, Some(class)) if storage::waits_for_consumer(class) => {
                needs.unbound.push((claim.clone(), class.clone()));
            }
            _ => immediate = true,
        }
        needs.in_use |= storage::is_for_one_pod(claim) && is_used(pod, &name, snapshot);
    }
    if immediate {
        return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
    }
    if !needs.unbound.is_empty() {
        let ours = |volume: &&Arc<Value>| {
            volume["spec"]["claimRef"].is_null()
                || needs.unbound.iter().any(|(claim, _)| storage::is_claimed_by(volume, claim))
        };
        needs.free = storage.volumes().filter(ours).cloned().collect();
    }
    Ok(needs)
}

fn claim<'a>(pod: &PodInfo, name: &str, own: bool, storage: &'a Storage) -> Result<&'a Arc<Value>, String> {
    let Some(claim) = storage.claim(pod.namespace(), name) else {
        return Err(match own {
            true => format!(
                "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""
            ),
            false => format!("persistentvolumeclaim \"{name}\" not found"),
        });
    };
    if claim["status"]["phase"] == "Lost" {
        let volume = claim["spec"]["volumeName"].as_str().unwrap_or_default();
        return Err(format!(
            "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
        ));
    }
    if claim["metadata"]["deletionTimestamp"].is_string() {
        return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
    }
    if own && !storage::is_claim_of(claim, &pod.object) {
        let namespace = pod.namespace();
        let pod = pod.object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(format!(
            "PVC \"{namespace}/{name}\" was not created for pod \"{namespace}/{pod}\" (pod is not owner)"
        ));
    }
    Ok(claim)
}

/// Whether another pod that has a node uses this claim.
fn is_used(pod: &PodInfo, claim: &str, snapshot: &Snapshot) -> bool {
    let own = Key::of(&pod.object);
    let others = snapshot.all.values().flat_map(|node| &node.pods).filter(|(key, _)| **key != own);
    others
        .filter(|(key, _)| key.namespace == own.namespace)
        .any(|(_, other)| storage::claims(&other.object).iter().any(|(name, _)| name == claim))
}

impl Needs {
    /// Whether a node does.
    pub(crate) fn check(&self, node: &NodeInfo) -> Result<(), Reject> {
        if self.in_use {
            return Err(Reject::curable(IN_USE));
        }
        for volume in &self.bound {
            match volume {
                None => return Err(Reject::final_for(NO_SUCH_VOLUME)),
                Some(volume) if !placement::reaches(volume, &node.object) => {
                    return Err(Reject::final_for(ELSEWHERE));
                }
                Some(_) => {}
            }
        }
        self.provide(node).map(drop)
    }

    /// What the unbound claims get on a node.
    pub(crate) fn provide(&self, node: &NodeInfo) -> Result<Vec<Provision>, Reject> {
        let (mut free, mut provisions) = (self.free.clone(), Vec::new());
        for (claim, class) in &self.unbound {
            if let Some(volume) = best_match(claim, &free, Candidates::On(&node.object)).cloned() {
                if !placement::reaches(&volume, &node.object) {
                    return Err(Reject::final_for(ELSEWHERE));
                }
                free.retain(|other| !Arc::ptr_eq(other, &volume));
                provisions.push(Provision::Reserve { claim: claim.clone(), volume });
                continue;
            }
            let selected = claim["metadata"]["annotations"][SELECTED_NODE].as_str();
            let elsewhere = selected.is_some_and(|name| node.object["metadata"]["name"] != name);
            let provisioner = class["provisioner"].as_str().unwrap_or_default();
            if elsewhere || provisioner.starts_with("kubernetes.io/") || !is_allowed(class, &node.object) {
                return Err(Reject::final_for(NO_VOLUME));
            }
            provisions.push(Provision::Make { claim: claim.clone() });
        }
        Ok(provisions)
    }
}

/// Whether a class makes volumes on a node, by its `allowedTopologies`.
fn is_allowed(class: &Value, node: &Value) -> bool {
    let terms = class["allowedTopologies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let met = |requirement: &Value| {
        let label = &node["metadata"]["labels"][requirement["key"].as_str().unwrap_or_default()];
        requirement["values"].as_array().is_some_and(|values| values.contains(label))
    };
    terms.is_empty()
        || terms
            .iter()
            .any(|term| term["matchLabelExpressions"].as_array().is_some_and(|all| all.iter().all(met)))
}
