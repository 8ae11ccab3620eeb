//! Where a pod may run by what its spec says of nodes: node selectors, node affinity, tolerations of taints. Pure; used by
//! the scheduler for pods and by controllers for pod templates, which have their spec at the same place.

use serde_json::Value;

/// Whether a pod may run on a node by its `nodeSelector` and its required node affinity.
pub fn selects(pod: &Value, node: &Value) -> bool {
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

/// Whether a volume can be used on a node by its node affinity.
pub fn reaches(volume: &Value, node: &Value) -> bool {
    match volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"].as_array() {
        Some(terms) => terms.iter().any(|term| term_matches(term, node)),
        None => true,
    }
}

/// The sum of the weights of the preferred terms that a node meets.
pub fn preference(pod: &Value, node: &Value) -> i64 {
    let preferred =
        &pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    let met =
        preferred.as_array().into_iter().flatten().filter(|term| term_matches(&term["preference"], node));
    met.filter_map(|term| term["weight"].as_i64()).sum()
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

/// Whether one of the pod's tolerations covers a taint.
pub fn tolerates(pod: &Value, taint: &Value) -> bool {
    pod["spec"]["tolerations"].as_array().into_iter().flatten().any(|toleration| covers(toleration, taint))
}

/// Whether a toleration covers a taint.
pub fn covers(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (effect, key) = (text(&toleration["effect"]), text(&toleration["key"]));
    if (!effect.is_empty() && effect != text(&taint["effect"]))
        || (!key.is_empty() && key != text(&taint["key"]))
    {
        return false;
    }
    match toleration["operator"].as_str().unwrap_or_default() {
        "Exists" => true,
        // An empty key goes with Exists only.
        "" | "Equal" => !key.is_empty() && text(&toleration["value"]) == text(&taint["value"]),
        _ => false,
    }
}
