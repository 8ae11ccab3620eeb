//! Taints and tolerations, and `spec.unschedulable`, which is one more taint.

use object::placement::tolerates;
use serde_json::{Value, json};

use crate::message::Reject;

pub(super) fn check_unschedulable(pod: &Value, node: &Value) -> Result<(), Reject> {
    let taint = json!({ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" });
    if node["spec"]["unschedulable"] == true && !tolerates(pod, &taint) {
        return Err(Reject::final_for("node(s) were unschedulable"));
    }
    Ok(())
}

pub(super) fn check(pod: &Value, node: &Value) -> Result<(), Reject> {
    let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let hard = |taint: &Value| matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute"));
    if taints.any(|taint| hard(taint) && !tolerates(pod, taint)) {
        return Err(Reject::final_for("node(s) had untolerated taint(s)"));
    }
    Ok(())
}

/// How many soft taints of a node the pod does not tolerate.
pub(crate) fn dislikes(pod: &Value, node: &Value) -> i64 {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let soft = taints.filter(|taint| taint["effect"] == "PreferNoSchedule" && !tolerates(pod, taint));
    i64::try_from(soft.count()).unwrap_or(i64::MAX)
}
