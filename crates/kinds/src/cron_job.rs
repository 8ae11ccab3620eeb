//! CronJob: Jobs that are made when their time has come.

use super::job::{default_spec, validate_spec, warn_of_name};
use super::replica_set::shown_selector;
use super::{Generation, Kind, PLAIN, STATUS};
use crate::Errors;
use object::cron::{self, Schedule};
use object::json::{child, fill, fill_zero, items, text};
use object::path::Path;
use object::table::{
    AGE, Columns, NAME, age_of, boolean, containers, integer, name_of, since, text as column, wide,
};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "batch",
    api_version: "batch/v1",
    kind: "CronJob",
    list_kind: "CronJobList",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    subresources: &[STATUS],
    schema: "io.k8s.api.batch.v1.CronJob",
    columns: Columns {
        columns: &[
            NAME,
            column("Schedule"),
            column("Timezone"),
            boolean("Suspend"),
            integer("Active"),
            column("Last Schedule"),
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

/// The names of its Jobs end in eleven characters for the time.
const NAME_MAX: usize = 52;
/// The parts of a time zone's name are no longer, by the rules of those who name them.
const ZONE_PART_MAX: usize = 14;

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let template = &spec["jobTemplate"];
    let (names, images) = containers(&template["spec"]["template"]["spec"]);
    let last = match &status["lastScheduleTime"] {
        Value::Null => "<none>".to_owned(),
        time => since(time, now),
    };
    let suspended = match spec["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    vec![
        name_of(object),
        spec["schedule"].clone(),
        spec["timeZone"].as_str().unwrap_or("<none>").into(),
        suspended.into(),
        items(&status["active"]).len().into(),
        last.into(),
        age_of(object, now),
        names,
        images,
        shown_selector(template),
    ]
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill_zero(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
    let Some(template) = child(spec, "jobTemplate") else { return };
    child(template, "metadata");
    if let Some(spec) = child(template, "spec") {
        default_spec(spec);
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    schedule(spec, &at.field("schedule"), errors);
    errors.non_negative(&at.field("startingDeadlineSeconds"), &spec["startingDeadlineSeconds"]);
    if old.is_none_or(|old| old["spec"]["timeZone"] != spec["timeZone"])
        && let Some(zone) = spec["timeZone"].as_str()
    {
        time_zone(zone, &at.field("timeZone"), errors);
    }
    errors.one_of(
        &at.field("concurrencyPolicy"),
        &spec["concurrencyPolicy"],
        &["Allow", "Forbid", "Replace"],
    );
    template(&spec["jobTemplate"]["spec"], &at.field("jobTemplate"), errors);
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        errors.non_negative(&at.field(field), &spec[field]);
    }
    if old.is_some() {
        return;
    }
    warn_of_name(new, errors);
    let name = text(&new["metadata"]["name"]);
    if name.len() > NAME_MAX {
        let why = format!("must be no more than {NAME_MAX} characters");
        errors.invalid_text(&Path::Root.field("metadata").field("name"), name, &why);
    }
}

fn schedule(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let schedule = text(&spec["schedule"]);
    if schedule.is_empty() {
        errors.required(at, "");
        return;
    }
    if schedule.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.invalid_text(at, schedule, why);
    } else if let Err(why) = Schedule::read(schedule) {
        errors.invalid_text(at, schedule, &why);
    }
}

fn time_zone(zone: &str, at: &Path<'_>, errors: &mut Errors) {
    if zone.is_empty() {
        errors.invalid_text(at, zone, "timeZone must be nil or non-empty string");
    } else if zone.eq_ignore_ascii_case("Local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid_text(at, zone, why);
    } else if !zone.split('/').all(is_zone_part) || cron::time_zone(zone).is_none() {
        errors.invalid_text(at, zone, &format!("unknown time zone {zone}"));
    }
}

fn is_zone_part(part: &str) -> bool {
    let known = |c: u8| c.is_ascii_alphanumeric() || b".-_+".contains(&c);
    (1..=ZONE_PART_MAX).contains(&part.len())
        && part.bytes().all(known)
        && !matches!(part, "." | "..")
        && !part.starts_with('-')
}

/// The specification of its Jobs, whose selector is always made by the server.
fn template(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let at = at.field("spec");
    validate_spec(spec, &at, errors);
    if !spec["selector"].is_null() {
        errors.invalid(&at.field("selector"), &spec["selector"], "`selector` will be auto-generated");
    }
    if spec["manualSelector"] == true {
        errors.unsupported(&at.field("manualSelector"), "true", &["nil", "false"]);
    }
}
