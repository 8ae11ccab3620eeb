//! Deployment: ReplicaSets, one after another.

use super::replica_set::{default_template, shown_selector, validate_workload};
use super::{Generation, Kind, PLAIN, SCALE, STATUS};
use crate::Errors;
use object::json::{child, fill, fill_zero, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, containers, name_of, number, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "apps",
    api_version: "apps/v1",
    kind: "Deployment",
    list_kind: "DeploymentList",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    subresources: &[STATUS, SCALE],
    schema: "io.k8s.api.apps.v1.Deployment",
    columns: Columns {
        columns: &[
            NAME,
            column("Ready"),
            column("Up-to-date"),
            column("Available"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        row,
    },
    generation: Generation::SpecAndAnnotations,
    status: true,
    keeps_status: true,
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object["spec"]["template"]["spec"]);
    let status = &object["status"];
    let ready = format!("{}/{}", number(&status["readyReplicas"]), number(&object["spec"]["replicas"]));
    vec![
        name_of(object),
        ready.into(),
        number(&status["updatedReplicas"]),
        number(&status["availableReplicas"]),
        age_of(object, now),
        names,
        images,
        shown_selector(object),
    ]
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = child(spec, "strategy") {
        fill_zero(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            fill(rolling, "maxUnavailable", "25%");
            fill(rolling, "maxSurge", "25%");
        }
    }
    default_template(spec);
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    validate_workload(new, old, "Deployment", errors);
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    for field in ["revisionHistoryLimit", "progressDeadlineSeconds"] {
        errors.non_negative(&at.field(field), &spec[field]);
    }
    let deadline = &spec["progressDeadlineSeconds"];
    if deadline.as_i64().unwrap_or(0) <= spec["minReadySeconds"].as_i64().unwrap_or(0) {
        let why = "must be greater than minReadySeconds";
        errors.invalid(&at.field("progressDeadlineSeconds"), deadline, why);
    }
    strategy(&spec["strategy"], &at.field("strategy"), errors);
}

fn strategy(strategy: &Value, at: &Path<'_>, errors: &mut Errors) {
    let rolling = &strategy["rollingUpdate"];
    let here = at.field("rollingUpdate");
    match text(&strategy["type"]) {
        "Recreate" if !rolling.is_null() => {
            errors.forbidden(&here, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let unavailable = amount(&rolling["maxUnavailable"], &here.field("maxUnavailable"), errors);
            let surge = amount(&rolling["maxSurge"], &here.field("maxSurge"), errors);
            if unavailable == Some(0) && surge == Some(0) {
                let why = "may not be 0 when `maxSurge` is 0";
                errors.invalid(&here.field("maxUnavailable"), &rolling["maxUnavailable"], why);
            }
            share(&rolling["maxUnavailable"], &here.field("maxUnavailable"), errors);
        }
        other => errors.unsupported(&at.field("type"), other, &["Recreate", "RollingUpdate"]),
    }
}

/// A percentage of all must not be more than all.
pub(super) fn share(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    let percent = text(value).strip_suffix('%').and_then(|digits| digits.parse::<i64>().ok());
    if percent.is_some_and(|percent| percent > 100) {
        errors.invalid(at, value, "must not be greater than 100%");
    }
}

/// A number or a percentage; the number in it.
pub(super) fn amount(value: &Value, at: &Path<'_>, errors: &mut Errors) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        errors.non_negative(at, value);
        return Some(number);
    }
    let digits = text(value).strip_suffix('%').filter(|d| d.bytes().all(|c| c.is_ascii_digit()));
    let percent = digits.and_then(|d| d.parse().ok());
    if percent.is_none() {
        let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                   regex used for validation is '[0-9]+%')";
        errors.invalid(at, value, why);
    }
    percent
}
