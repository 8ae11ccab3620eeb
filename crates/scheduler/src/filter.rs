//! Whether a node does for a pod: one file per rule, asked in upstream's order; the first rule that
//! refuses speaks for the node.

mod affinity;
pub(crate) mod ports;
mod resources;
pub(crate) mod spread;
pub(crate) mod taints;
pub(crate) mod together;
mod volumes;

pub use volumes::Provision;

use serde_json::Value;

use crate::message::Reject;
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// What the rules that look beyond one node found out once for all nodes.
pub(crate) struct Prepared {
    spread: spread::Counts,
    together: together::Neighbours,
    pub(crate) volumes: volumes::Needs,
}

/// Looks over the whole snapshot once; the error is what no node can cure.
pub(crate) fn prepare(pod: &PodInfo, snapshot: &Snapshot) -> Result<Prepared, String> {
    refuse_unsupported(&pod.object)?;
    Ok(Prepared {
        volumes: volumes::look(pod, snapshot)?,
        spread: spread::count(pod, snapshot)?,
        together: together::look(pod, snapshot)?,
    })
}

/// What this scheduler does not do it says, instead of placing the pod as if it had not been asked.
fn refuse_unsupported(pod: &Value) -> Result<(), String> {
    match pod["spec"]["resourceClaims"].as_array() {
        Some(claims) if !claims.is_empty() => {
            Err("resource claims are not supported by this scheduler".into())
        }
        _ => Ok(()),
    }
}

/// Whether `node` does for `pod`.
pub(crate) fn check(pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> Result<(), Reject> {
    taints::check_unschedulable(&pod.object, &node.object)?;
    taints::check(&pod.object, &node.object)?;
    affinity::check(&pod.object, &node.object)?;
    ports::check(pod, node)?;
    resources::check(pod, node)?;
    prepared.volumes.check(node)?;
    prepared.spread.check(node)?;
    prepared.together.check(node)
}
