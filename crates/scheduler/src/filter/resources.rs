//! Resources: what the pods of a node ask for never exceeds what the node has.

use crate::message::Reject;
use crate::snapshot::{NodeInfo, PodInfo};

pub(super) fn check(pod: &PodInfo, node: &NodeInfo) -> Result<(), Reject> {
    let (mut reasons, mut curable) = (Vec::new(), true);
    let room_for_pods = node.allocatable.get("pods");
    if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) >= room_for_pods {
        reasons.push("Too many pods".to_owned());
    }
    let asked = |name: &&str| pod.requests.get(name) > 0;
    let first = ["cpu", "memory", "ephemeral-storage"];
    let others = pod.requests.0.keys().map(String::as_str).filter(|name| !first.contains(name));
    for name in first.into_iter().chain(others).filter(asked) {
        let (asks, has) = (pod.requests.get(name), node.allocatable.get(name));
        if asks > has.saturating_sub(node.requested.get(name)) {
            reasons.push(format!("Insufficient {name}"));
            curable &= asks <= has;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Reject { reasons, curable }) }
}
