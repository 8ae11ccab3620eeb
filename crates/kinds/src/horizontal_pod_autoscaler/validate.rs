//! What an autoscaler may say, in upstream's words.

use super::super::pod_spec;
use crate::Errors;
use object::json::{is_empty, items, text};
use object::name;
use object::path::Path;
use object::quantity::Quantity;
use serde_json::Value;

/// The longest period of a policy, in seconds (upstream's figure).
const PERIOD_SECONDS_MAX: i64 = 1800;
/// The longest stabilization window, in seconds (upstream's figure).
const WINDOW_SECONDS_MAX: i64 = 3600;

/// The types of metrics, and the field that has what each needs.
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(super) fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    let maximum = spec["maxReplicas"].as_i64().unwrap_or(0);
    let minimum = spec["minReplicas"].as_i64();
    errors.non_negative(&at.field("minReplicas"), &spec["minReplicas"]);
    let here = at.field("maxReplicas");
    match maximum {
        0 => errors.required(&here, "must be set and greater than 0"),
        ..0 => errors.invalid(&here, &maximum.into(), "must be greater than or equal to 1"),
        _ => {}
    }
    if minimum.is_some_and(|minimum| maximum < minimum) {
        errors.invalid(&here, &maximum.into(), "must be greater than or equal to `minReplicas`");
    }
    let target = &spec["scaleTargetRef"];
    let known = old.map(|old| &old["spec"]["scaleTargetRef"]);
    let same = known
        .is_some_and(|known| known["apiVersion"] == target["apiVersion"] && known["kind"] == target["kind"]);
    let group = match text(&target["kind"]) {
        _ if same => Group::Any,
        "ReplicationController" => Group::MayBeCore,
        _ => Group::Needed,
    };
    reference(target, &at.field("scaleTargetRef"), &group, errors);
    metrics(spec, minimum, &at.field("metrics"), errors);
    for direction in ["scaleUp", "scaleDown"] {
        let behavior = at.field("behavior");
        let rules = &spec["behavior"][direction];
        if !rules.is_null() {
            scaling_rules(rules, &behavior.field(direction), errors);
        }
    }
}

/// What the apiVersion of a reference must be.
enum Group {
    /// It was accepted before.
    Any,
    MayBeCore,
    Needed,
}

fn reference(target: &Value, at: &Path<'_>, group: &Group, errors: &mut Errors) {
    for field in ["kind", "name"] {
        match text(&target[field]) {
            "" => errors.required(&at.field(field), ""),
            given => errors.check(&at.field(field), given, name::check_path_segment),
        }
    }
    let version = text(&target["apiVersion"]);
    let here = at.field("apiVersion");
    match group {
        Group::Any => {}
        _ if version.matches('/').count() > 1 => {
            errors.invalid_text(&here, version, &format!("unexpected GroupVersion string: {version}"));
        }
        Group::Needed if !version.contains('/') || version.starts_with('/') => {
            errors.invalid_text(&here, version, "apiVersion must specify API group");
        }
        _ => {}
    }
}

fn metrics(spec: &Value, minimum: Option<i64>, at: &Path<'_>, errors: &mut Errors) {
    let list = items(&spec["metrics"]);
    for (i, metric) in list.iter().enumerate() {
        self::metric(metric, &at.index(i), errors);
    }
    let from_elsewhere = |metric: &Value| matches!(text(&metric["type"]), "Object" | "External");
    if minimum == Some(0) && !list.iter().any(from_elsewhere) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(at, why);
    }
}

fn metric(metric: &Value, at: &Path<'_>, errors: &mut Errors) {
    let kind = text(&metric["type"]);
    let given: Vec<&str> =
        SOURCES.iter().map(|(_, field)| *field).filter(|field| !metric[*field].is_null()).collect();
    let wanted = SOURCES.iter().find(|(name, _)| *name == kind).map(|(_, field)| *field);
    match wanted {
        None if kind.is_empty() => {
            errors.required(&at.field("type"), "must specify a metric source type");
        }
        None => errors.unsupported(&at.field("type"), kind, &SOURCES.map(|(name, _)| name)),
        Some(field) if metric[field].is_null() => {
            errors.required(&at.field(field), "must populate information for the given metric source");
        }
        Some(field) => source(field, &metric[field], &at.field(field), errors),
    }
    for field in given.into_iter().filter(|field| wanted.is_some_and(|wanted| wanted != *field)) {
        errors.forbidden(&at.field(field), "must populate the given metric source only");
    }
}

fn source(field: &str, source: &Value, at: &Path<'_>, errors: &mut Errors) {
    match field {
        "resource" => resource_name(source, at, errors),
        "containerResource" => {
            resource_name(source, at, errors);
            match text(&source["container"]) {
                "" => errors.required(&at.field("container"), "must specify a container"),
                container => errors.check(&at.field("container"), container, name::check_label),
            }
            if !text(&source["name"]).is_empty() {
                pod_spec::resource_name(text(&source["name"]), &at.field("name"), errors);
            }
        }
        _ => {
            if field == "object" {
                let here = at.field("describedObject");
                reference(&source["describedObject"], &here, &Group::MayBeCore, errors);
            }
            let here = at.field("metric");
            match text(&source["metric"]["name"]) {
                "" => errors.required(&here.field("name"), "must specify a metric name"),
                given => errors.check(&here.field("name"), given, name::check_path_segment),
            }
        }
    }
    target(field, &source["target"], &at.field("target"), errors);
}

fn resource_name(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    if text(&source["name"]).is_empty() {
        errors.required(&at.field("name"), "must specify a resource name");
    }
}

fn target(field: &str, target: &Value, at: &Path<'_>, errors: &mut Errors) {
    match text(&target["type"]) {
        "" => errors.required(&at.field("type"), "must specify a metric target type"),
        "Utilization" | "Value" | "AverageValue" => {}
        other => {
            let why = "must be either Utilization, Value, or AverageValue";
            errors.invalid_text(&at.field("type"), other, why);
        }
    }
    for amount in ["value", "averageValue"] {
        let positive = |text: &str| Quantity::parse(text).is_ok_and(|amount| amount > Quantity::default());
        if target[amount].as_str().is_some_and(|text| !positive(text)) {
            errors.invalid(&at.field(amount), &target[amount], "must be positive");
        }
    }
    if target["averageUtilization"].as_i64().is_some_and(|percent| percent < 1) {
        let percent = &target["averageUtilization"];
        errors.invalid(&at.field("averageUtilization"), percent, "must be greater than 0");
    }
    let [value, average, utilization] =
        ["value", "averageValue", "averageUtilization"].map(|amount| !target[amount].is_null());
    let (average_at, value_at) = (at.field("averageValue"), at.field("value"));
    match field {
        "resource" | "containerResource" if !average && !utilization => {
            let why = "must set either a target raw value or a target utilization";
            errors.required(&at.field("averageUtilization"), why);
        }
        "resource" | "containerResource" if average && utilization => {
            let why = "may not set both a target raw value and a target utilization";
            errors.forbidden(&average_at, why);
        }
        "pods" if !average => errors.required(&average_at, "must specify a positive target averageValue"),
        "object" if !value && !average => {
            errors.required(&average_at, "must set either a target value or averageValue");
        }
        "external" if !value && !average => {
            errors.required(&average_at, "must set either a target value for metric or a per-pod target");
        }
        "external" if value && average => {
            let why = "may not set both a target value for metric and a per-pod target";
            errors.forbidden(&value_at, why);
        }
        _ => {}
    }
}

fn scaling_rules(rules: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (window, here) = (&rules["stabilizationWindowSeconds"], at.field("stabilizationWindowSeconds"));
    match window.as_i64() {
        Some(..0) => errors.invalid(&here, window, "must be greater than or equal to zero"),
        Some(seconds) if seconds > WINDOW_SECONDS_MAX => {
            errors.invalid(&here, window, &format!("must be less than or equal to {WINDOW_SECONDS_MAX}"));
        }
        _ => {}
    }
    errors.one_of(&at.field("selectPolicy"), &rules["selectPolicy"], &["Disabled", "Max", "Min"]);
    let list = at.field("policies");
    if is_empty(&rules["policies"]) {
        errors.required(&list, "must specify at least one Policy");
    }
    for (i, policy) in items(&rules["policies"]).iter().enumerate() {
        self::policy(policy, &list.index(i), errors);
    }
    let tolerance = &rules["tolerance"];
    if tolerance.as_str().and_then(|text| Quantity::parse(text).ok()).is_some_and(Quantity::is_negative) {
        errors.invalid(&at.field("tolerance"), tolerance, "must be greater than or equal to 0");
    }
}

fn policy(policy: &Value, at: &Path<'_>, errors: &mut Errors) {
    let kind = text(&policy["type"]);
    if !matches!(kind, "Pods" | "Percent") {
        errors.unsupported(&at.field("type"), kind, &["Percent", "Pods"]);
    }
    for field in ["value", "periodSeconds"] {
        if policy[field].as_i64().unwrap_or(0) <= 0 {
            errors.invalid(&at.field(field), &policy[field], "must be greater than zero");
        }
    }
    let period = &policy["periodSeconds"];
    if period.as_i64().is_some_and(|seconds| seconds > PERIOD_SECONDS_MAX) {
        let why = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
        errors.invalid(&at.field("periodSeconds"), period, &why);
    }
}
