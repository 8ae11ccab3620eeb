//! StatefulSet: pods of a template that each have a number and keep their name.

use super::deployment::{amount, share};
use super::errors::Errors;
use super::replica_set::{default_template, validate_workload};
use super::{Generation, Kind, PLAIN, SCALE, STATUS};
use crate::json::{child, fill, fill_zero, is_empty, text};
use crate::name::{self, Rule};
use crate::path::Path;
use crate::table::{AGE, Columns, NAME, age_of, containers, name_of, number, text as column, wide};
use crate::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "apps",
    api_version: "apps/v1",
    kind: "StatefulSet",
    list_kind: "StatefulSetList",
    plural: "statefulsets",
    singular: "statefulset",
    short_names: &["sts"],
    categories: &["all"],
    subresources: &[STATUS, SCALE],
    schema: "io.k8s.api.apps.v1.StatefulSet",
    columns: Columns { columns: &[NAME, column("Ready"), AGE, wide("Containers"), wide("Images")], row },
    // The names of its pods are host names.
    name_rule: Rule::Label,
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object["spec"]["template"]["spec"]);
    let ready = number(&object["status"]["readyReplicas"]);
    let ready = format!("{ready}/{}", number(&object["spec"]["replicas"]));
    vec![name_of(object), ready.into(), age_of(object, now), names, images]
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill_zero(spec, "podManagementPolicy", "OrderedReady");
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = child(spec, "updateStrategy") {
        if text(&strategy["type"]).is_empty() {
            strategy["type"] = "RollingUpdate".into();
            child(strategy, "rollingUpdate");
        }
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = strategy.get_mut("rollingUpdate").filter(|rolling| rolling.is_object())
        {
            fill(rolling, "partition", 0);
            fill(rolling, "maxUnavailable", 1);
        }
    }
    if let Some(policy) = child(spec, "persistentVolumeClaimRetentionPolicy") {
        fill_zero(policy, "whenDeleted", "Retain");
        fill_zero(policy, "whenScaled", "Retain");
    }
    default_template(spec);
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    validate_workload(new, old, "StatefulSet", errors);
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    if !is_empty(&spec["volumeClaimTemplates"]) {
        let why = "persistent volumes are not supported by this server: give the template a hostPath or an emptyDir volume";
        errors.forbidden(&at.field("volumeClaimTemplates"), why);
    }
    let policy = text(&spec["podManagementPolicy"]);
    if !matches!(policy, "OrderedReady" | "Parallel") {
        let why = "must be 'OrderedReady' or 'Parallel'";
        errors.invalid_text(&at.field("podManagementPolicy"), policy, why);
    }
    let retention = at.field("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        let value = &spec["persistentVolumeClaimRetentionPolicy"][field];
        errors.one_of(&retention.field(field), value, &["Delete", "Retain"]);
    }
    errors.non_negative(&at.field("revisionHistoryLimit"), &spec["revisionHistoryLimit"]);
    errors.non_negative(&at.field("ordinals").field("start"), &spec["ordinals"]["start"]);
    let service = text(&spec["serviceName"]);
    if !service.is_empty() {
        errors.check(&at.field("serviceName"), service, name::check_label);
    }
    for field in ["serviceName", "podManagementPolicy"] {
        if let Some(old) = old {
            errors.immutable(&at.field(field), &spec[field], &old["spec"][field]);
        }
    }
    strategy(&spec["updateStrategy"], &at.field("updateStrategy"), errors);
}

fn strategy(strategy: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (rolling, here) = (&strategy["rollingUpdate"], at.field("rollingUpdate"));
    match text(&strategy["type"]) {
        "OnDelete" if !rolling.is_null() => {
            errors.invalid(&here, rolling, "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            errors.non_negative(&here.field("partition"), &rolling["partition"]);
            let (most, here) = (&rolling["maxUnavailable"], here.field("maxUnavailable"));
            if !most.is_null() {
                if amount(most, &here, errors) == Some(0) {
                    errors.invalid(&here, most, "cannot be 0");
                }
                share(most, &here, errors);
            }
        }
        other => {
            let why = "must be 'RollingUpdate' or 'OnDelete'";
            errors.invalid_text(&at.field("type"), other, why);
        }
    }
}
