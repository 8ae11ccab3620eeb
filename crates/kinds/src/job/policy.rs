//! The rules of a Job's policies: which failures of pods count, and which successes are enough.

use super::spec::{completions, is_indexed};
use crate::Errors;
use object::indexes::Indexes;
use object::json::{items, text};
use object::name;
use object::path::Path;
use serde_json::Value;

/// Rules of either policy, and patterns of pod conditions in one rule (upstream's figures, like those below).
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const SUCCEEDED_INDEXES_BYTES_MAX: usize = 64 * 1024;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// `podFailurePolicy`
pub(super) fn failure(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (rules, at) = (items(&spec["podFailurePolicy"]["rules"]), at.field("rules"));
    if rules.len() > RULES_MAX {
        errors.too_many(&at, rules.len(), RULES_MAX);
    }
    for (i, rule) in rules.iter().enumerate() {
        failure_rule(spec, rule, &at.index(i), errors);
    }
}

fn failure_rule(spec: &Value, rule: &Value, at: &Path<'_>, errors: &mut Errors) {
    let action = at.field("action");
    if text(&rule["action"]) == "FailIndex" {
        if spec["backoffLimitPerIndex"].is_null() {
            errors.invalid_text(&action, "FailIndex", "requires the backoffLimitPerIndex to be set");
        }
    } else {
        word(&rule["action"], ACTIONS, &action, errors);
    }
    let (codes, conditions) = (&rule["onExitCodes"], items(&rule["onPodConditions"]));
    if !codes.is_null() {
        exit_codes(spec, codes, &at.field("onExitCodes"), errors);
    }
    let list = at.field("onPodConditions");
    if conditions.len() > RULES_MAX {
        errors.too_many(&list, conditions.len(), RULES_MAX);
    }
    for (i, pattern) in conditions.iter().enumerate() {
        let here = list.index(i);
        errors.check(&here.field("type"), text(&pattern["type"]), name::check_qualified);
        word(&pattern["status"], STATUSES, &here.field("status"), errors);
    }
    match (codes.is_null(), conditions.is_empty()) {
        (false, false) => {
            errors.invalid_whole(at, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (true, true) => {
            errors.invalid_whole(at, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

/// A word that must be there and be one of a list.
fn word(value: &Value, known: &[&str], at: &Path<'_>, errors: &mut Errors) {
    match text(value) {
        "" => {
            let list: Vec<String> = known.iter().map(|word| format!("{word:?}")).collect();
            errors.required(at, &format!("valid values: [{}]", list.join(" ")));
        }
        _ => errors.one_of(at, value, known),
    }
}

fn exit_codes(spec: &Value, codes: &Value, at: &Path<'_>, errors: &mut Errors) {
    word(&codes["operator"], OPERATORS, &at.field("operator"), errors);
    let pod = &spec["template"]["spec"];
    let mut containers = items(&pod["containers"]).iter().chain(items(&pod["initContainers"]));
    if let Some(name) = codes["containerName"].as_str()
        && !containers.any(|container| container["name"] == name)
    {
        let why = "must be one of the container or initContainer names in the pod template";
        errors.invalid_text(&at.field("containerName"), name, why);
    }
    let (values, list) = (items(&codes["values"]), at.field("values"));
    if values.is_empty() {
        errors.invalid(&list, &codes["values"], "at least one value is required");
    } else if values.len() > EXIT_CODES_MAX {
        errors.too_many(&list, values.len(), EXIT_CODES_MAX);
    }
    for (i, value) in values.iter().enumerate() {
        if *value == 0 && codes["operator"] == "In" {
            errors.invalid(&list.index(i), value, "must not be 0 for the In operator");
        }
        if values[..i].contains(value) {
            errors.duplicate(&list.index(i), value);
        }
    }
    if !values.is_sorted_by_key(Value::as_i64) {
        errors.invalid(&list, &codes["values"], "must be ordered");
    }
}

/// `successPolicy`
pub(super) fn success(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let policy = &spec["successPolicy"];
    if policy.is_null() {
        return;
    }
    if !is_indexed(spec) {
        errors.invalid(at, policy, "requires indexed completion mode");
        return;
    }
    let (rules, at) = (items(&policy["rules"]), at.field("rules"));
    if rules.is_empty() {
        errors.required(&at, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.len() > RULES_MAX {
        errors.too_many(&at, rules.len(), RULES_MAX);
    }
    for (i, rule) in rules.iter().enumerate() {
        success_rule(completions(spec), rule, &at.index(i), errors);
    }
}

fn success_rule(completions: u32, rule: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (indexes, count) = (rule["succeededIndexes"].as_str(), rule["succeededCount"].as_i64());
    if indexes.is_none() && count.is_none() {
        errors.required(at, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = 0;
    if let Some(text) = indexes {
        let here = at.field("succeededIndexes");
        if text.len() > SUCCEEDED_INDEXES_BYTES_MAX {
            errors.too_long(&here, SUCCEEDED_INDEXES_BYTES_MAX);
        }
        match Indexes::check(text, completions) {
            Ok(indexes) => total = indexes.count(),
            Err(why) => {
                errors.invalid_text(&here, text, &format!("error parsing succeededIndexes: {why}"));
            }
        }
    }
    let here = at.field("succeededCount");
    errors.non_negative(&here, &rule["succeededCount"]);
    let mut at_most = |max: u32, what: &str| {
        if count.is_some_and(|count| count > i64::from(max)) {
            let why = format!("must be less than or equal to {max} (the number of {what})");
            errors.invalid(&here, &rule["succeededCount"], &why);
        }
    };
    at_most(completions, "specified completions");
    if indexes.is_some() {
        at_most(total, "indexes in the specified succeededIndexes field");
    }
}
