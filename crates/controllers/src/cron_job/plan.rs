//! When a CronJob is due, and what its Jobs have become: pure decisions.

use std::sync::Arc;
use std::time::Duration;

use client::Key;
use object::cron::{self, Schedule, TimeZone};
use object::time::{self, Timestamp};
use serde_json::{Map, Value, json};

use crate::job::read::end;
use crate::pod::is_deleting;

/// Clocks that differ a little are no reason to be early (upstream's figure).
const LATE: Duration = Duration::from_millis(100);
/// Of more missed times than this a person is told (upstream's figure).
const MISSED_MAX: i64 = 100;
/// The name of a Job ends in the minute for which it was made.
const MINUTE_SECONDS: i64 = 60;
/// The annotation that says so too.
const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// An event about the CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Event {
    pub(super) fn normal(reason: &'static str, message: impl Into<String>) -> Event {
        Event { warning: false, reason, message: message.into() }
    }

    pub(super) fn warning(reason: &'static str, message: impl Into<String>) -> Event {
        Event { warning: true, reason, message: message.into() }
    }
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

fn started_at(job: &Value) -> (bool, Option<Timestamp>, String) {
    let at = job["status"]["startTime"].as_str().and_then(time::parse);
    (at.is_none(), at, Key::of(job).name)
}

/// The oldest Jobs that are over, beyond those that the history keeps.
pub(super) fn plan_history(cron_job: &Value, jobs: &[Arc<Value>]) -> Vec<Arc<Value>> {
    let mut gone = Vec::new();
    for (kind, limit) in [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")] {
        let Some(limit) = cron_job["spec"][limit].as_u64() else { continue };
        let over = jobs.iter().filter(|job| end(job).is_some_and(|condition| condition["type"] == kind));
        let mut over: Vec<&Arc<Value>> = over.filter(|job| !is_deleting(job)).collect();
        over.sort_by_cached_key(|job| started_at(job));
        let surplus = over.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        gone.extend(over.into_iter().take(surplus).cloned());
    }
    gone
}

/// The status after a look at the Jobs: which are active, and when the last succeeded. `missing` are the uids of active
/// Jobs that are not there any more.
pub(super) fn plan_status(cron_job: &Value, jobs: &[Arc<Value>], missing: &[String]) -> (Value, Vec<Event>) {
    let mut status = cron_job["status"].as_object().cloned().unwrap_or_default();
    let mut active = active(cron_job).to_vec();
    let mut events = Vec::new();
    for job in jobs {
        let (name, known) = (Key::of(job).name, active.iter().any(|own| own["uid"] == uid(job)));
        let Some(condition) = end(job) else {
            if !known {
                let text = format!("Saw a job that the controller did not create or forgot: {name}");
                events.push(Event::warning("UnexpectedJob", text));
            }
            continue;
        };
        let kind = condition["type"].as_str().unwrap_or_default();
        if known {
            active.retain(|own| own["uid"] != uid(job));
            let text = format!("Saw completed job: {name}, condition: {kind}");
            events.push(Event::normal("SawCompletedJob", text));
        }
        let at = |value: &Value| value.as_str().and_then(time::parse);
        let success = &job["status"]["completionTime"];
        let before = status.get("lastSuccessfulTime").and_then(at);
        if kind == "Complete" && at(success).is_some_and(|time| before.is_none_or(|before| time > before)) {
            status.insert("lastSuccessfulTime".into(), success.clone());
        }
    }
    for gone in missing {
        if let Some(reference) = active.iter().find(|own| own["uid"] == gone.as_str()) {
            let name = reference["name"].as_str().unwrap_or_default();
            events.push(Event::normal("MissingJob", format!("Active job went missing: {name}")));
            active.retain(|own| own["uid"] != gone.as_str());
        }
    }
    put_active(&mut status, active);
    (Value::Object(status), events)
}

fn put_active(status: &mut Map<String, Value>, active: Vec<Value>) {
    status.remove("active");
    if !active.is_empty() {
        status.insert("active".into(), active.into());
    }
}

/// The Jobs that a CronJob knows to be active.
pub(super) fn active(cron_job: &Value) -> &[Value] {
    cron_job["status"]["active"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What is to be done about the schedule now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Make the Job of this time.
    pub(super) start: Option<Timestamp>,
    /// End these first.
    pub(super) replace: Vec<Value>,
    pub(super) events: Vec<Event>,
    /// When the next time comes.
    pub(super) again: Option<Duration>,
}

impl Plan {
    fn told(event: Event) -> Plan {
        Plan { events: vec![event], ..Plan::default() }
    }
}

/// The schedule as it is written, with its zone; UTC where none is named. The error is an event's.
pub(super) fn schedule(cron_job: &Value) -> Result<(Schedule, TimeZone), Event> {
    let spec = &cron_job["spec"];
    let name = spec["timeZone"].as_str().unwrap_or("UTC");
    let Some(zone) = cron::time_zone(name) else {
        let text = format!("invalid timeZone: {name:?}: unknown time zone {name}");
        return Err(Event::warning("UnknownTimeZone", text));
    };
    let text = spec["schedule"].as_str().unwrap_or_default();
    let schedule = Schedule::read(text).map_err(|why| {
        Event::warning("UnparseableSchedule", format!("unparseable schedule: {text:?} : {why}"))
    })?;
    Ok((schedule, zone))
}

/// What a schedule has come to by now.
struct Recent {
    /// The last time that is settled.
    settled: Timestamp,
    /// The last time that is due.
    due: Option<Timestamp>,
    /// How many times have come since.
    missed: i64,
}

/// Looks at the times since the last one that was started, or not before the starting deadline.
fn recent(
    cron_job: &Value,
    status: &Value,
    next: impl Fn(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
    within_deadline: bool,
) -> Result<Recent, String> {
    let never = || "time difference between two schedules is less than 1 second".to_owned();
    let at = |value: &Value| value.as_str().and_then(time::parse);
    let created = at(&cron_job["metadata"]["creationTimestamp"]).unwrap_or(now);
    let mut settled = at(&status["lastScheduleTime"]).unwrap_or(created);
    let deadline = cron_job["spec"]["startingDeadlineSeconds"].as_u64().filter(|_| within_deadline);
    if let Some(earliest) = deadline.and_then(|n| now.checked_sub(Duration::from_secs(n)).ok()) {
        settled = settled.max(earliest);
    }
    let first = next(settled).ok_or_else(never)?;
    let second = next(first).ok_or_else(never)?;
    if now < first {
        return Ok(Recent { settled, due: None, missed: 0 });
    }
    if now < second {
        return Ok(Recent { settled, due: Some(first), missed: 0 });
    }
    let between = second.as_second() - first.as_second();
    if between < 1 {
        return Err(never());
    }
    // A guess from the first two, and from a little before it the true times: a year of minutes is not walked through.
    let missed = (now.as_second() - first.as_second()) / between + 1;
    let near = first.as_second().saturating_add((missed - 2).saturating_mul(between));
    let mut due = None;
    let mut time = Timestamp::from_second(near).ok().and_then(&next);
    while let Some(found) = time.filter(|found| *found <= now) {
        due = Some(found);
        time = next(found);
    }
    Ok(Recent { settled, due, missed })
}

/// How long until the next time.
fn until_next(
    cron_job: &Value,
    status: &Value,
    next: impl Fn(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
) -> Option<Duration> {
    let from = match recent(cron_job, status, &next, now, false) {
        Ok(Recent { due: Some(due), .. }) => due,
        Ok(Recent { settled, missed: 0, .. }) => settled,
        Ok(_) | Err(_) => now,
    };
    let left = next(from)?.duration_since(now);
    Some(Duration::try_from(left).unwrap_or_default() + LATE)
}

/// Decides whether a Job is to be made now, `status` being the one after [`plan_status`].
pub(super) fn plan_start(
    cron_job: &Value,
    status: &Value,
    (schedule, zone): &(Schedule, TimeZone),
    now: Timestamp,
) -> Plan {
    let next = |after: Timestamp| schedule.next(after, zone);
    let again = until_next(cron_job, status, next, now);
    let spec = &cron_job["spec"];
    let (due, missed) = match recent(cron_job, status, next, now, true) {
        Ok(recent) => (recent.due, recent.missed),
        Err(why) => {
            let schedule = spec["schedule"].as_str().unwrap_or_default();
            return Plan::told(Event::warning(
                "InvalidSchedule",
                format!("invalid schedule: {schedule} : {why}"),
            ));
        }
    };
    let Some(due) = due else { return Plan { again, ..Plan::default() } };
    let mut plan = Plan { again, ..Plan::default() };
    if missed > MISSED_MAX {
        let text =
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        plan.events.push(Event::warning("TooManyMissedTimes", text));
    }
    let allowed = spec["startingDeadlineSeconds"].as_i64();
    if allowed.is_some_and(|seconds| due.as_second().saturating_add(seconds) < now.as_second()) {
        let text =
            format!("Missed scheduled time to start a job: {}", due.strftime("%a, %d %b %Y %H:%M:%S +0000"));
        plan.events.push(Event::warning("MissSchedule", text));
        return plan;
    }
    let active = status["active"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = job_name(cron_job, due);
    let done =
        status["lastScheduleTime"] == time::seconds(due) || active.iter().any(|own| own["name"] == name);
    if done {
        return plan;
    }
    match spec["concurrencyPolicy"].as_str() {
        Some("Forbid") if !active.is_empty() => {
            let text = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.events.push(Event::normal("JobAlreadyActive", text));
            return plan;
        }
        Some("Replace") => plan.replace = active.to_vec(),
        _ => {}
    }
    plan.start = Some(due);
    plan
}

/// The name of the Job of a time, one for each minute: it is never made twice.
fn job_name(cron_job: &Value, due: Timestamp) -> String {
    format!("{}-{}", Key::of(cron_job).name, due.as_second().div_euclid(MINUTE_SECONDS))
}

/// The Job of a time, owned by the CronJob as `owner` says.
pub(super) fn job_for(cron_job: &Value, due: Timestamp, zone: &TimeZone, owner: &Value) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut metadata = Map::new();
    for field in ["labels", "annotations"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata.insert(field.into(), value.clone());
        }
    }
    metadata.insert("name".into(), job_name(cron_job, due).into());
    metadata.insert("ownerReferences".into(), json!([owner]));
    let mut job =
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"] });
    job["metadata"]["annotations"][SCHEDULED_AT] = cron::local(due, zone).into();
    job
}

/// The status with a Job that was just made.
pub(super) fn with_started(mut status: Value, job: &Value, due: Timestamp) -> Value {
    let metadata = &job["metadata"];
    let reference = json!({ "apiVersion": "batch/v1", "kind": "Job", "namespace": metadata["namespace"],
        "name": metadata["name"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"] });
    match status["active"].as_array_mut() {
        Some(list) => list.push(reference),
        None => status["active"] = json!([reference]),
    }
    status["lastScheduleTime"] = time::seconds(due).into();
    status
}

/// The status without a Job that was deleted.
pub(super) fn without(status: &mut Value, gone: &str) {
    if let Some(status) = status.as_object_mut() {
        let mut active = status.get("active").and_then(Value::as_array).cloned().unwrap_or_default();
        active.retain(|own| own["uid"] != gone);
        put_active(status, active);
    }
}

/// How long a changed schedule waits for its first time: what it would have missed before is not made up for. None when
/// the schedule did not change.
pub(super) fn after_change(old: &Value, new: &Value, now: Timestamp) -> Option<Duration> {
    let same = |field: &str| old["spec"][field] == new["spec"][field];
    if same("schedule") && same("timeZone") {
        return None;
    }
    let (schedule, zone) = schedule(new).ok()?;
    until_next(new, &new["status"], |after| schedule.next(after, &zone), now)
}
