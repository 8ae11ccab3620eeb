//! Job: pods that run to their end. Its specification is also what a CronJob makes Jobs of.

mod policy;
mod printed;
mod spec;
mod status;
mod template;

pub(super) use spec::validate_spec;

use super::replica_set::default_template;
use super::{Generation, Kind, PLAIN, STATUS};
use super::{meta, pod_spec};
use crate::Errors;
use object::json::{child, each, fill, fill_zero, is_empty, text};
use object::name;
use object::path::Path;
use object::selector::LabelSelector;
use object::table::{AGE, Columns, NAME, text as column, wide};
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "batch",
    api_version: "batch/v1",
    kind: "Job",
    list_kind: "JobList",
    plural: "jobs",
    singular: "job",
    categories: &["all"],
    subresources: &[STATUS],
    schema: "io.k8s.api.batch.v1.Job",
    fields: &[("status.successful", |o| o["status"]["succeeded"].as_i64().unwrap_or(0).to_string().into())],
    columns: Columns {
        columns: &[
            NAME,
            column("Status"),
            column("Completions"),
            column("Duration"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        row: printed::row,
    },
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    orphans: true,
    prepare,
    default,
    validate,
    validate_status: status::validate,
    ..PLAIN
};

/// By these labels a Job finds its pods: each under upstream's old name too.
const JOB_NAME: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
const CONTROLLER_UID: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];

/// Backoff limits that are not said: of the Job, and of the Job when each index has its own.
const BACKOFF_LIMIT: i64 = 6;
const BACKOFF_LIMIT_BESIDE_INDEXES: i64 = i32::MAX as i64;

/// A new Job selects its pods by its own uid, unless its user wants to say how.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if old.is_some() || new["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (new["metadata"]["name"].clone(), new["metadata"]["uid"].clone());
    let Some(spec) = child(new, "spec") else { return };
    let labels = child(spec, "template").and_then(|template| child(template, "metadata"));
    if let Some(labels) = labels.and_then(|metadata| child(metadata, "labels")) {
        JOB_NAME.iter().for_each(|label| fill(labels, label, name.clone()));
        CONTROLLER_UID.iter().for_each(|label| fill(labels, label, uid.clone()));
    }
    if let Some(labels) = child(spec, "selector").and_then(|selector| child(selector, "matchLabels")) {
        fill(labels, CONTROLLER_UID[0], uid);
    }
}

fn default(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if !is_empty(&labels)
        && let Some(metadata) = child(object, "metadata")
        && is_empty(&metadata["labels"])
    {
        metadata["labels"] = labels;
    }
    let Some(spec) = child(object, "spec") else { return };
    if spec["parallelism"].is_null() {
        fill(spec, "completions", 1);
    }
    fill(spec, "parallelism", 1);
    let per_index = !spec["backoffLimitPerIndex"].is_null();
    fill(spec, "backoffLimit", if per_index { BACKOFF_LIMIT_BESIDE_INDEXES } else { BACKOFF_LIMIT });
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    fill(spec, "manualSelector", false);
    let policy = !spec["podFailurePolicy"].is_null();
    fill(spec, "podReplacementPolicy", if policy { "Failed" } else { "TerminatingOrFailed" });
    default_spec(spec);
}

/// What the specification gets in a CronJob's template too.
pub(super) fn default_spec(spec: &mut Value) {
    if let Some(policy) = spec.get_mut("podFailurePolicy") {
        each(policy, "rules", |rule| {
            each(rule, "onPodConditions", |pattern| fill_zero(pattern, "status", "True"));
        });
    }
    default_template(spec);
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    if old.is_none() {
        warn_of_name(new, errors);
    }
    generated(new, errors);
    validate_spec(spec, &at, errors);
    selector(spec, &at, errors);
    if let Some(old) = old {
        changes(new, old, &at, errors);
    }
    host_names(new, errors);
}

/// A new name that cannot be a host name is hardly meant.
pub(super) fn warn_of_name(new: &Value, errors: &mut Errors) {
    if let Err(why) = name::check_label(text(&new["metadata"]["name"])) {
        let why = format!(
            "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
             recommended: [{why}]"
        );
        errors.warn(&Path::Root.field("metadata").field("name"), &why);
    }
}

/// The selector that was generated, and the labels that it needs, must be as they were generated.
fn generated(job: &Value, errors: &mut Errors) {
    let spec = &job["spec"];
    if spec["manualSelector"] == true || spec["selector"].is_null() {
        return;
    }
    let (name, uid) = (text(&job["metadata"]["name"]), text(&job["metadata"]["uid"]));
    let labels = &spec["template"]["metadata"]["labels"];
    let at = Path::Root.field("spec");
    let here = at.field("template");
    let here = here.field("metadata");
    let here = here.field("labels");
    let wanted = |label: &&str| if JOB_NAME.contains(label) { name } else { uid };
    for label in CONTROLLER_UID.iter().chain(&JOB_NAME).rev() {
        let why = format!("must be '{}'", wanted(label));
        match labels[label].as_str() {
            None => errors.required(&here.key(label), &why),
            Some(own) if own != wanted(label) => errors.invalid(&here.key(label), labels, &why),
            Some(_) => {}
        }
    }
    let own = |label: &str| JOB_NAME.iter().chain(&CONTROLLER_UID).find(|own| **own == label).map(wanted);
    if LabelSelector::from_json(&spec["selector"]).is_ok_and(|selector| !selector.matches_with(own)) {
        errors.invalid(&at.field("selector"), &spec["selector"], "`selector` not auto-generated");
    }
}

fn selector(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    if spec["selector"].is_null() {
        errors.required(&at.field("selector"), "");
        return;
    }
    meta::label_selector(&spec["selector"], &at.field("selector"), errors);
    let labels = &spec["template"]["metadata"]["labels"];
    if LabelSelector::from_json(&spec["selector"]).is_ok_and(|selector| !selector.matches(labels)) {
        let (here, why) = (at.field("template"), "`selector` does not match template `labels`");
        let here = here.field("metadata");
        errors.invalid(&here.field("labels"), labels, why);
    }
}

/// What a Job keeps as long as it lives.
fn changes(new: &Value, old: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (spec, before) = (&new["spec"], &old["spec"]);
    let completions = at.field("completions");
    if spec["completionMode"] != "Indexed" {
        errors.immutable(&completions, &spec["completions"], &before["completions"]);
    } else if spec["completions"] != before["completions"]
        && !spec["completions"].is_null()
        && spec["completions"] != spec["parallelism"]
    {
        let why = "can only be modified in tandem with spec.parallelism";
        errors.invalid(&completions, &spec["completions"], why);
    }
    errors.immutable(&at.field("selector"), &spec["selector"], &before["selector"]);
    template::changes(spec, old, at, errors);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        errors.immutable(&at.field(field), &spec[field], &before[field]);
    }
}

/// The pods of an Indexed Job have host names that end in their index, which must be host names.
fn host_names(job: &Value, errors: &mut Errors) {
    let completions = job["spec"]["completions"].as_i64().filter(|n| *n > 0);
    let Some(last) = completions.filter(|_| job["spec"]["completionMode"] == "Indexed") else { return };
    let name = text(&job["metadata"]["name"]);
    let host = format!("{name}-{}", last - 1);
    if !name::is_label(&host) {
        let why = format!("will not able to create pod with invalid DNS label: {host}");
        errors.invalid_text(&Path::Root.field("metadata").field("name"), name, &why);
    }
}

/// The pod template of a Job.
fn pod_template(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let here = at.field("template");
    pod_spec::validate_template(&spec["template"], &here, errors);
    let here = here.field("spec");
    let here = here.field("restartPolicy");
    match text(&spec["template"]["spec"]["restartPolicy"]) {
        "Always" | "" => errors.required(&here, r#"valid values: "OnFailure", "Never""#),
        "OnFailure" if !spec["podFailurePolicy"].is_null() => {
            let why = r#"only "Never" is supported when podFailurePolicy is specified"#;
            errors.invalid_text(&here, "OnFailure", why);
        }
        "OnFailure" | "Never" => {}
        other => errors.unsupported(&here, other, &["OnFailure", "Never"]),
    }
}
