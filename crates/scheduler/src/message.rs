//! Why a pod fits nowhere, in upstream's words: people and scripts know them.

use std::collections::BTreeMap;

use serde_json::Value;

/// Why one node does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) reasons: Vec<String>,
    /// Whether the node would do without some of its pods.
    pub(crate) curable: bool,
}

impl Reject {
    pub(crate) fn curable(reason: impl Into<String>) -> Reject {
        Reject { reasons: vec![reason.into()], curable: true }
    }

    pub(crate) fn final_for(reason: impl Into<String>) -> Reject {
        Reject { reasons: vec![reason.into()], curable: false }
    }
}

/// The message when no node does.
pub(crate) fn explain(pod: &Value, rejects: &[Reject]) -> String {
    if rejects.is_empty() {
        return "no nodes available to schedule pods".into();
    }
    let reasons = histogram(rejects.iter().flat_map(|reject| reject.reasons.iter().map(String::as_str)));
    let preemption = preemption(pod, rejects.len(), rejects.iter().filter(|reject| reject.curable).count());
    format!("0/{} nodes are available: {reasons}. preemption: {preemption}", rejects.len())
}

/// The message when the pod asks for something that no node can have.
pub(crate) fn explain_refusal(pod: &Value, nodes: usize, reason: &str) -> String {
    format!("0/{nodes} nodes are available: {reason}. preemption: {}", preemption(pod, nodes, 0))
}

/// The message without its last part, for a pod that others make room for.
pub(crate) fn without_preemption(message: &str) -> &str {
    message.split_once(" preemption: ").map_or(message, |(reasons, _)| reasons)
}

fn preemption(pod: &Value, nodes: usize, curable: usize) -> String {
    if pod["spec"]["preemptionPolicy"] == "Never" {
        return "not eligible due to preemptionPolicy=Never.".into();
    }
    let victims = std::iter::repeat_n("No preemption victims found for incoming pod", curable);
    let helpless = std::iter::repeat_n("Preemption is not helpful for scheduling", nodes - curable);
    format!("0/{nodes} nodes are available: {}.", histogram(victims.chain(helpless)))
}

/// `2 this, 1 that`, in the order of the texts, counts included, as upstream sorts them.
fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut texts: Vec<String> =
        counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    texts.sort();
    texts.join(", ")
}
