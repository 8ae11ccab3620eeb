//! DaemonSet: one pod of a template on every node that takes it.

use super::deployment::{amount, share};
use super::replica_set::{default_template, shown_selector, validate_workload};
use super::{Generation, Kind, PLAIN, STATUS};
use crate::Errors;
use object::json::{child, entries, fill, fill_zero, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, containers, integer, name_of, number, or_none};
use object::table::{text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "apps",
    api_version: "apps/v1",
    kind: "DaemonSet",
    list_kind: "DaemonSetList",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    subresources: &[STATUS],
    schema: "io.k8s.api.apps.v1.DaemonSet",
    columns: Columns {
        columns: &[
            NAME,
            integer("Desired"),
            integer("Current"),
            integer("Ready"),
            integer("Up-to-date"),
            integer("Available"),
            column("Node Selector"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        row,
    },
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let pod = &object["spec"]["template"]["spec"];
    let (names, images) = containers(pod);
    let status = &object["status"];
    let selector = entries(&pod["nodeSelector"]).map(|(key, value)| format!("{key}={}", text(value)));
    vec![
        name_of(object),
        number(&status["desiredNumberScheduled"]),
        number(&status["currentNumberScheduled"]),
        number(&status["numberReady"]),
        number(&status["updatedNumberScheduled"]),
        number(&status["numberAvailable"]),
        or_none(selector.collect::<Vec<_>>().join(",")),
        age_of(object, now),
        names,
        images,
        shown_selector(object),
    ]
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = child(spec, "updateStrategy") {
        fill_zero(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            fill(rolling, "maxUnavailable", 1);
            fill(rolling, "maxSurge", 0);
        }
    }
    default_template(spec);
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    validate_workload(new, old, "DaemonSet", errors);
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    errors.non_negative(&at.field("revisionHistoryLimit"), &spec["revisionHistoryLimit"]);
    let (strategy, here) = (&spec["updateStrategy"], at.field("updateStrategy"));
    match text(&strategy["type"]) {
        "OnDelete" => {}
        "RollingUpdate" => {
            rolling_update(&strategy["rollingUpdate"], &here.field("rollingUpdate"), errors);
        }
        other => errors.unsupported(&here.field("type"), other, &["OnDelete", "RollingUpdate"]),
    }
}

/// Either some pods may be missing, or some nodes may have two, but not both.
fn rolling_update(rolling: &Value, at: &Path<'_>, errors: &mut Errors) {
    let [unavailable, surge] = ["maxUnavailable", "maxSurge"].map(|field| {
        share(&rolling[field], &at.field(field), errors);
        amount(&rolling[field], &at.field(field), errors)
    });
    match (unavailable, surge) {
        (Some(0), Some(0)) => {
            errors.required(&at.field("maxUnavailable"), "cannot be 0 when maxSurge is 0");
        }
        (Some(0), _) | (_, Some(0)) => {}
        _ => {
            let why = "may not be set when maxUnavailable is non-zero";
            errors.invalid(&at.field("maxSurge"), &rolling["maxSurge"], why);
        }
    }
}
