//! Node selectors and node affinity.

use serde_json::Value;

use crate::message::Reject;

/// Whether a pod may run on a node by its `nodeSelector` and its required node affinity.
pub(crate) fn matches(pod: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let mut selector = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    if !selector.all(|(name, value)| labels[name] == *value) {
        return false;
    }
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        ["nodeSelectorTerms"];
    match required.as_array() {
        Some(terms) => terms.iter().any(|term| term_matches(term, node)),
        None => true,
    }
}

/// The sum of the weights of the preferred terms that a node meets.
pub(crate) fn preference(pod: &Value, node: &Value) -> i64 {
    let preferred =
        &pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    let met =
        preferred.as_array().into_iter().flatten().filter(|term| term_matches(&term["preference"], node));
    met.filter_map(|term| term["weight"].as_i64()).sum()
}

pub(super) fn check(pod: &Value, node: &Value) -> Result<(), Reject> {
    if matches(pod, node) {
        Ok(())
    } else {
        Err(Reject::final_for("node(s) didn't match Pod's node affinity/selector"))
    }
}

/// All expressions of a term must hold; a term without any matches nothing.
fn term_matches(term: &Value, node: &Value) -> bool {
    let list = |name: &str| term[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let (labels, fields) = (list("matchExpressions"), list("matchFields"));
    if labels.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |name: &str| node["metadata"]["labels"][name].as_str();
    // The name is the one field that the API allows.
    let field = |name: &str| (name == "metadata.name").then(|| node["metadata"]["name"].as_str()).flatten();
    labels.iter().all(|expression| holds(expression, label))
        && fields.iter().all(|expression| holds(expression, field))
}

fn holds<'a>(expression: &Value, get: impl Fn(&str) -> Option<&'a str>) -> bool {
    let found = get(expression["key"].as_str().unwrap_or_default());
    let values = expression["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let among = || found.is_some_and(|found| values.iter().any(|value| value == found));
    let compared = || {
        let wanted: i64 = values.first()?.as_str()?.parse().ok()?;
        Some(found?.parse::<i64>().ok()?.cmp(&wanted))
    };
    match expression["operator"].as_str().unwrap_or_default() {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => compared() == Some(std::cmp::Ordering::Greater),
        "Lt" => compared() == Some(std::cmp::Ordering::Less),
        _ => false,
    }
}
