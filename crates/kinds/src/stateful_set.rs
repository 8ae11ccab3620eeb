//! StatefulSet: pods of a template that each have a number and keep their name.

use super::deployment::{amount, share};
use super::replica_set::{default_template, validate_workload};
use super::{Generation, Kind, PLAIN, SCALE, STATUS, claim_spec, meta};
use crate::Errors;
use object::json::{child, each, fill, fill_zero, items, text};
use object::name::{self, Rule};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, containers, name_of, number, text as column, wide};
use object::time::Timestamp;
use serde_json::{Value, json};

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
    each(spec, "volumeClaimTemplates", default_claim);
    default_template(spec);
}

/// A template reads as the claim that it is the template of.
fn default_claim(claim: &mut Value) {
    fill_zero(claim, "apiVersion", "v1");
    fill_zero(claim, "kind", "PersistentVolumeClaim");
    fill(claim, "status", json!({ "phase": "Pending" }));
    if let Some(spec) = child(claim, "spec") {
        claim_spec::default(spec);
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    validate_workload(&with_claims(new), old, "StatefulSet", errors);
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    let claims = at.field("volumeClaimTemplates");
    for (i, claim) in items(&spec["volumeClaimTemplates"]).iter().enumerate() {
        claim_template(claim, &claims.index(i), errors);
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
    for field in ["volumeClaimTemplates", "serviceName", "podManagementPolicy"] {
        if let Some(old) = old {
            errors.immutable(&at.field(field), &spec[field], &old["spec"][field]);
        }
    }
    strategy(&spec["updateStrategy"], &at.field("updateStrategy"), errors);
}

/// The set with the volumes that its pods get from the claim templates, which mounts may name and which stand in for
/// volumes of the same name.
fn with_claims(set: &Value) -> Value {
    let templates = items(&set["spec"]["volumeClaimTemplates"]);
    if templates.is_empty() {
        return set.clone();
    }
    let name = |value: &Value| text(&value["metadata"]["name"]).to_owned();
    let claims = templates.iter().map(|template| {
        json!({ "name": name(template), "persistentVolumeClaim": { "claimName": name(template) } })
    });
    let given = items(&set["spec"]["template"]["spec"]["volumes"]).iter();
    let others =
        given.filter(|volume| templates.iter().all(|template| name(template) != text(&volume["name"])));
    let volumes: Value = claims.chain(others.cloned()).collect();
    let mut set = set.clone();
    set["spec"]["template"]["spec"]["volumes"] = volumes;
    set
}

fn claim_template(claim: &Value, at: &Path<'_>, errors: &mut Errors) {
    claim_spec::validate(&claim["spec"], &at.field("spec"), errors);
    let (metadata, here) = (&claim["metadata"], at.field("metadata"));
    if text(&metadata["name"]).is_empty() {
        errors.required(&here.field("name"), "");
    }
    meta::labels(&metadata["labels"], &here.field("labels"), errors);
    meta::annotations(&metadata["annotations"], &here.field("annotations"), errors);
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
