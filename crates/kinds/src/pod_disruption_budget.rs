//! PodDisruptionBudget: how many of some pods may be evicted at once.

use super::{Generation, Kind, PLAIN, STATUS, meta};
use crate::Errors;
use object::json::text;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, integer, name_of, number, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "policy",
    api_version: "policy/v1",
    kind: "PodDisruptionBudget",
    list_kind: "PodDisruptionBudgetList",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    subresources: &[STATUS],
    schema: "io.k8s.api.policy.v1.PodDisruptionBudget",
    columns: Columns {
        columns: &[
            NAME,
            column("Min Available"),
            column("Max Unavailable"),
            integer("Allowed Disruptions"),
            AGE,
        ],
        row,
    },
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    validate,
    validate_status,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let amount = |field: &str| match &object["spec"][field] {
        Value::Null => "N/A".to_owned(),
        Value::String(percent) => percent.clone(),
        number => number.to_string(),
    };
    vec![
        name_of(object),
        amount("minAvailable").into(),
        amount("maxUnavailable").into(),
        number(&object["status"]["disruptionsAllowed"]),
        age_of(object, now),
    ]
}

fn validate(new: &Value, _old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        errors.invalid(&at, spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for field in ["minAvailable", "maxUnavailable"] {
        if !spec[field].is_null() {
            share(&spec[field], &at.field(field), errors);
        }
    }
    meta::label_selector(&spec["selector"], &at.field("selector"), errors);
    errors.one_of(
        &at.field("unhealthyPodEvictionPolicy"),
        &spec["unhealthyPodEvictionPolicy"],
        &["AlwaysAllow", "IfHealthyBudget"],
    );
}

/// A number of pods, or a percentage up to all of them.
fn share(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    let percent = super::deployment::amount(value, at, errors);
    if text(value).ends_with('%') && percent.is_some_and(|n| n > 100) {
        errors.invalid(at, value, "must not be greater than 100%");
    }
}

fn validate_status(new: &Value, _old: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("status");
    for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        errors.non_negative(&at.field(field), &new["status"][field]);
    }
}
