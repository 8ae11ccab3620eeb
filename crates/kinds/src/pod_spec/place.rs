//! Rules of what decides where a pod runs: affinity, tolerations, spread.

use crate::Errors;
use crate::meta;
use object::json::{is_empty, items, text};
use object::name;
use object::path::Path;
use serde_json::Value;

const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "PreferNoSchedule"];

pub(super) fn affinity(affinity: &Value, at: &Path<'_>, errors: &mut Errors) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let node = &affinity["nodeAffinity"];
    let here = at.field("nodeAffinity");
    if !node[REQUIRED].is_null() {
        node_selector(&node[REQUIRED], &here.field(REQUIRED), errors);
    }
    for (i, preference) in items(&node[PREFERRED]).iter().enumerate() {
        let list = here.field(PREFERRED);
        weight(&preference["weight"], &list.index(i).field("weight"), errors);
        node_term(&preference["preference"], &list.index(i).field("preference"), errors);
    }
    for side in ["podAffinity", "podAntiAffinity"] {
        let here = at.field(side);
        for (i, term) in items(&affinity[side][REQUIRED]).iter().enumerate() {
            pod_term(term, &here.field(REQUIRED).index(i), errors);
        }
        for (i, preference) in items(&affinity[side][PREFERRED]).iter().enumerate() {
            let list = here.field(PREFERRED);
            weight(&preference["weight"], &list.index(i).field("weight"), errors);
            pod_term(&preference["podAffinityTerm"], &list.index(i).field("podAffinityTerm"), errors);
        }
    }
}

/// Terms of which a node has to meet one; also of a volume.
pub(crate) fn node_selector(selector: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (terms, here) = (&selector["nodeSelectorTerms"], at.field("nodeSelectorTerms"));
    if is_empty(terms) {
        errors.required(&here, "must have at least one node selector term");
    }
    for (i, term) in items(terms).iter().enumerate() {
        node_term(term, &here.index(i), errors);
    }
}

fn weight(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    if !value.as_i64().is_some_and(|w| (1..=100).contains(&w)) {
        errors.invalid(at, value, "must be in the range 1-100");
    }
}

fn node_term(term: &Value, at: &Path<'_>, errors: &mut Errors) {
    for list in ["matchExpressions", "matchFields"] {
        for (i, requirement) in items(&term[list]).iter().enumerate() {
            node_requirement(requirement, &at.field(list).index(i), errors);
        }
    }
}

fn node_requirement(requirement: &Value, at: &Path<'_>, errors: &mut Errors) {
    let values = items(&requirement["values"]);
    match text(&requirement["operator"]) {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&at.field("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.forbidden(&at.field("values"), why);
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.required(&at.field("values"), why);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid_text(&at.field("operator"), other, "not a valid selector operator"),
    }
    errors.check(&at.field("key"), text(&requirement["key"]), name::check_qualified);
}

fn pod_term(term: &Value, at: &Path<'_>, errors: &mut Errors) {
    meta::label_selector(&term["labelSelector"], &at.field("labelSelector"), errors);
    let key = text(&term["topologyKey"]);
    if key.is_empty() {
        errors.required(&at.field("topologyKey"), "can not be empty");
    } else {
        errors.check(&at.field("topologyKey"), key, name::check_qualified);
    }
}

pub(super) fn tolerations(tolerations: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (i, toleration) in items(tolerations).iter().enumerate() {
        let here = at.index(i);
        let (key, operator) = (text(&toleration["key"]), text(&toleration["operator"]));
        if !key.is_empty() {
            errors.check(&here.field("key"), key, name::check_qualified);
        } else if operator != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid_text(&here.field("operator"), operator, why);
        }
        if !toleration["tolerationSeconds"].is_null() && text(&toleration["effect"]) != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid_text(&here.field("effect"), text(&toleration["effect"]), why);
        }
        let value = text(&toleration["value"]);
        match operator {
            "" | "Equal" => errors.check(&here.field("operator"), value, name::check_label_value),
            "Exists" if !value.is_empty() => {
                let why = "value must be empty when `operator` is 'Exists'";
                errors.invalid_text(&here.field("operator"), value, why);
            }
            "Exists" => {}
            other => errors.unsupported(&here.field("operator"), other, &["Equal", "Exists"]),
        }
        if !text(&toleration["effect"]).is_empty() {
            let mut sorted = EFFECTS;
            sorted.sort_unstable();
            errors.one_of(&here.field("effect"), &toleration["effect"], &sorted);
        }
    }
}

/// Taints of a node.
pub(crate) fn taints(taints: &Value, at: &Path<'_>, errors: &mut Errors) {
    let list = items(taints);
    for (i, taint) in list.iter().enumerate() {
        let here = at.index(i);
        errors.check(&here.field("key"), text(&taint["key"]), name::check_qualified);
        errors.check(&here.field("value"), text(&taint["value"]), name::check_label_value);
        if text(&taint["effect"]).is_empty() {
            errors.required(&here.field("effect"), "");
        } else {
            errors.one_of(&here.field("effect"), &taint["effect"], &EFFECTS);
        }
        if list[..i].iter().any(|t| t["key"] == taint["key"] && t["effect"] == taint["effect"]) {
            errors.duplicate(&here, taint);
        }
    }
}

pub(super) fn spread(constraints: &Value, at: &Path<'_>, errors: &mut Errors) {
    let list = items(constraints);
    for (i, constraint) in list.iter().enumerate() {
        let here = at.index(i);
        if constraint["maxSkew"].as_i64().is_none_or(|n| n <= 0) {
            errors.invalid(&here.field("maxSkew"), &constraint["maxSkew"], "must be greater than zero");
        }
        if text(&constraint["topologyKey"]).is_empty() {
            errors.required(&here.field("topologyKey"), "can not be empty");
        }
        let when = ["DoNotSchedule", "ScheduleAnyway"];
        match &constraint["whenUnsatisfiable"] {
            Value::Null => errors.unsupported(&here.field("whenUnsatisfiable"), "", &when),
            value => errors.one_of(&here.field("whenUnsatisfiable"), value, &when),
        }
        meta::label_selector(&constraint["labelSelector"], &here.field("labelSelector"), errors);
        let same = |c: &&Value| {
            c["topologyKey"] == constraint["topologyKey"]
                && c["whenUnsatisfiable"] == constraint["whenUnsatisfiable"]
        };
        if list[..i].iter().any(|c| same(&c)) {
            let pair = format!(
                "{{{}, {}}}",
                text(&constraint["topologyKey"]),
                text(&constraint["whenUnsatisfiable"])
            );
            errors.duplicate(&here.field("{topologyKey, whenUnsatisfiable}"), &pair.into());
        }
    }
}
