//! ReplicaSet: so many pods of one template.

use super::{Generation, Kind, PLAIN, SCALE, STATUS};
use super::{meta, pod_spec};
use crate::Errors;
use object::json::{child, fill, is_empty, text};
use object::path::Path;
use object::selector::LabelSelector;
use object::table::{AGE, Columns, NAME, age_of, containers, integer, name_of, number, or_none, wide};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "apps",
    api_version: "apps/v1",
    kind: "ReplicaSet",
    list_kind: "ReplicaSetList",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[STATUS, SCALE],
    schema: "io.k8s.api.apps.v1.ReplicaSet",
    fields: &[("status.replicas", |o| o["status"]["replicas"].as_i64().unwrap_or(0).to_string().into())],
    columns: Columns {
        columns: &[
            NAME,
            integer("Desired"),
            integer("Current"),
            integer("Ready"),
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
    let (names, images) = containers(&object["spec"]["template"]["spec"]);
    let status = &object["status"];
    vec![
        name_of(object),
        number(&object["spec"]["replicas"]),
        number(&status["replicas"]),
        number(&status["readyReplicas"]),
        age_of(object, now),
        names,
        images,
        shown_selector(object),
    ]
}

/// The selector as `-o wide` shows it.
pub(super) fn shown_selector(object: &Value) -> Value {
    LabelSelector::from_json(&object["spec"]["selector"])
        .map_or_else(|_| "<invalid>".into(), |s| or_none(s.to_string()))
}

fn default(object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        fill(spec, "replicas", 1);
        default_template(spec);
    }
}

/// Defaults of the pod template.
pub(super) fn default_template(spec: &mut Value) {
    if let Some(template) = child(spec, "template") {
        child(template, "metadata");
        if let Some(spec) = child(template, "spec") {
            pod_spec::default(spec);
        }
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    validate_workload(new, old, "ReplicaSet", errors);
}

/// Replicas, selector and template, of every kind that makes pods of a template.
pub(super) fn validate_workload(new: &Value, old: Option<&Value>, kind: &str, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    for field in ["replicas", "minReadySeconds"] {
        errors.non_negative(&at.field(field), &spec[field]);
    }
    let selector = at.field("selector");
    let expressions = &spec["selector"]["matchExpressions"];
    if spec["selector"].is_null() {
        errors.required(&selector, "");
    } else {
        meta::label_selector(&spec["selector"], &selector, errors);
        if is_empty(&spec["selector"]["matchLabels"]) && is_empty(expressions) {
            let why = format!("empty selector is invalid for {}", kind.to_lowercase());
            errors.invalid(&selector, &spec["selector"], &why);
        }
    }
    if let Some(old) = old {
        errors.immutable(&selector, &spec["selector"], &old["spec"]["selector"]);
    }
    validate_template(spec, &at.field("template"), kind, errors);
}

fn validate_template(spec: &Value, at: &Path<'_>, kind: &str, errors: &mut Errors) {
    let (template, selector) = (&spec["template"], LabelSelector::from_json(&spec["selector"]));
    if let Ok(selector) = selector
        && !spec["selector"].is_null()
        && !selector.is_empty()
        && !selector.matches(&template["metadata"]["labels"])
    {
        let labels = &template["metadata"]["labels"];
        let here = at.field("metadata");
        errors.invalid(&here.field("labels"), labels, "`selector` does not match template `labels`");
    }
    pod_spec::validate_template(template, at, errors);
    let (pod, here) = (&template["spec"], at.field("spec"));
    let policy = text(&pod["restartPolicy"]);
    if policy != "Always" {
        errors.unsupported(&here.field("restartPolicy"), policy, &["Always"]);
    }
    if !pod["activeDeadlineSeconds"].is_null() {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(&here.field("activeDeadlineSeconds"), &why);
    }
}
