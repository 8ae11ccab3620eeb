//! Which volume a claim gets: the one that is reserved for it, else the smallest that does. Upstream's rules.

use super::{capacity, class_of, requested};
use crate::json::{items, text};
use crate::placement;
use crate::selector::LabelSelector;
use serde_json::Value;
use std::sync::Arc;

/// Which volumes come into question.
#[derive(Debug, Clone, Copy)]
pub enum Candidates<'a> {
    /// All that are free.
    Any,
    /// Only those that are reserved for the claim: the others wait for the first pod to have a node.
    Reserved,
    /// Those that can be used on this node.
    On(&'a Value),
}

/// Whether a volume is reserved for this claim: for its name, and if the volume says so for its uid.
pub fn is_claimed_by(volume: &Value, claim: &Value) -> bool {
    let (claimant, own) = (&volume["spec"]["claimRef"], &claim["metadata"]);
    claimant.is_object()
        && claimant["name"] == own["name"]
        && claimant["namespace"] == own["namespace"]
        && (text(&claimant["uid"]).is_empty() || claimant["uid"] == own["uid"])
}

/// Why a volume does not do for a claim that names it.
pub fn mismatch(volume: &Value, claim: &Value) -> Option<&'static str> {
    if capacity(volume) < requested(claim) {
        Some("requested PV is too small")
    } else if class_of(volume).unwrap_or_default() != class_of(claim).unwrap_or_default() {
        Some("storageClassName does not match")
    } else if !serves(volume, claim) {
        Some("incompatible accessMode")
    } else {
        None
    }
}

/// Whether a volume has all access modes of a claim.
fn serves(volume: &Value, claim: &Value) -> bool {
    let has = items(&volume["spec"]["accessModes"]);
    items(&claim["spec"]["accessModes"]).iter().all(|mode| has.contains(mode))
}

/// The volume for a claim, if there is one.
pub fn best_match<'a>(
    claim: &Value,
    volumes: &'a [Arc<Value>],
    candidates: Candidates<'_>,
) -> Option<&'a Arc<Value>> {
    let selector = LabelSelector::from_json(&claim["spec"]["selector"]).ok()?;
    let mut best: Option<&Arc<Value>> = None;
    for volume in volumes {
        if !volume["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        if is_claimed_by(volume, claim) {
            if capacity(volume) < requested(claim) {
                continue;
            }
            return Some(volume);
        }
        let free = volume["spec"]["claimRef"].is_null() && volume["status"]["phase"] == "Available";
        let here = match candidates {
            Candidates::Any => true,
            Candidates::Reserved => false,
            Candidates::On(node) => placement::reaches(volume, node),
        };
        let fits = free
            && here
            && mismatch(volume, claim).is_none()
            && (claim["spec"]["selector"].is_null() || selector.matches(&volume["metadata"]["labels"]));
        let smaller = best.is_none_or(|best| capacity(volume) < capacity(best));
        if fits && smaller {
            best = Some(volume);
        }
    }
    best
}
