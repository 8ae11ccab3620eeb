//! The plans of a CronJob as data.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use object::time::{self, Timestamp};
use serde_json::{Value, json};

use super::plan::{
    after_change, job_for, plan_history, plan_start, plan_status, schedule, with_started, without,
};

fn at(text: &str) -> Timestamp {
    time::parse(&format!("2026-01-01T{text}Z")).expect(text)
}

/// A CronJob that was made at ten, with more of a specification and a status.
fn cron_job(spec: Value, status: Value) -> Value {
    let mut cron_job = json!({
        "metadata": { "name": "c", "namespace": "n", "uid": "u", "creationTimestamp": "2026-01-01T10:00:00Z" },
        "spec": { "schedule": "*/10 * * * *", "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
            "jobTemplate": { "metadata": { "labels": { "a": "b" } }, "spec": { "template": {} } } },
        "status": status,
    });
    spec.as_object().into_iter().flatten().for_each(|(field, value)| cron_job["spec"][field] = value.clone());
    cron_job
}

fn job(name: &str, end: &str, minute: u32) -> Arc<Value> {
    let mut job = json!({ "metadata": { "name": name, "uid": name },
        "status": { "startTime": format!("2026-01-01T10:{minute:02}:00Z") } });
    if !end.is_empty() {
        job["status"]["conditions"] = json!([{ "type": end, "status": "True" }]);
        job["status"]["completionTime"] = format!("2026-01-01T10:{minute:02}:30Z").into();
    }
    Arc::new(job)
}

/// What is started at a time, what is told, and when the next comes.
fn check(cron_job: &Value, now: &str, want: Expect) {
    let read = schedule(cron_job).expect("a schedule");
    let plan = plan_start(cron_job, &cron_job["status"], &read, at(now));
    let start = plan.start.map_or_else(|| "nothing".to_owned(), time::seconds);
    let replaced = if plan.replace.is_empty() { "" } else { " for another" };
    let told: Vec<_> =
        plan.events.iter().map(|event| format!("\n{}: {}", event.reason, event.message)).collect();
    let again = plan.again.unwrap_or_default();
    want.assert_eq(&format!("{start}{replaced}, again in {again:?}{}", told.concat()));
}

#[test]
fn it_starts_what_is_due() {
    let new = cron_job(json!({}), json!({}));
    check(&new, "10:03:00", expect!["nothing, again in 420.1s"]);
    check(&new, "10:10:00.05", expect!["2026-01-01T10:10:00Z, again in 600.05s"]);
    let started = cron_job(json!({}), json!({ "lastScheduleTime": "2026-01-01T10:10:00Z" }));
    check(&started, "10:10:01", expect!["nothing, again in 599.1s"]);
    check(&started, "10:45:00", expect!["2026-01-01T10:40:00Z, again in 300.1s"]);
    let every = cron_job(json!({ "schedule": "@every 7m" }), json!({}));
    check(&every, "10:30:00", expect!["2026-01-01T10:28:00Z, again in 300.1s"]);
}

#[test]
fn what_was_missed() {
    let old = cron_job(json!({ "schedule": "* * * * *" }), json!({}));
    check(
        &old,
        "13:00:30",
        expect![[r#"
        2026-01-01T13:00:00Z, again in 30.1s
        TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"#]],
    );
    let late = cron_job(json!({ "startingDeadlineSeconds": 60 }), json!({}));
    check(&late, "10:10:30", expect!["2026-01-01T10:10:00Z, again in 570.1s"]);
    check(&late, "10:12:00", expect!["nothing, again in 480.1s"]);
    let never = cron_job(json!({ "schedule": "0 0 31 2 *" }), json!({}));
    check(
        &never,
        "10:12:00",
        expect![[r#"
        nothing, again in 0ns
        InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second"#]],
    );
}

#[test]
fn one_at_a_time_or_many() {
    let active = json!({ "active": [{ "name": "c-1", "uid": "c-1" }] });
    check(
        &cron_job(json!({ "concurrencyPolicy": "Allow" }), active.clone()),
        "10:10:01",
        expect!["2026-01-01T10:10:00Z, again in 599.1s"],
    );
    check(
        &cron_job(json!({ "concurrencyPolicy": "Forbid" }), active.clone()),
        "10:10:01",
        expect![[r#"
        nothing, again in 599.1s
        JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid"#]],
    );
    check(
        &cron_job(json!({ "concurrencyPolicy": "Replace" }), active),
        "10:10:01",
        expect!["2026-01-01T10:10:00Z for another, again in 599.1s"],
    );
    let own = json!({ "active": [{ "name": "c-29454370", "uid": "x" }] });
    check(&cron_job(json!({}), own), "10:10:01", expect!["nothing, again in 599.1s"]);
}

#[test]
fn what_its_jobs_have_become() {
    let status = json!({ "active": [{ "name": "done", "uid": "done" }, { "name": "lost", "uid": "lost" },
        { "name": "busy", "uid": "busy" }], "lastSuccessfulTime": "2026-01-01T10:05:00Z" });
    let jobs =
        [job("done", "Complete", 20), job("busy", "", 30), job("before", "Complete", 1), job("own", "", 3)];
    let (status, events) = plan_status(&cron_job(json!({}), status), &jobs, &["lost".to_owned()]);
    expect![[r#"{"active":[{"name":"busy","uid":"busy"}],"lastSuccessfulTime":"2026-01-01T10:20:30Z"}"#]]
        .assert_eq(&status.to_string());
    let told: Vec<_> = events.iter().map(|event| format!("{}: {}\n", event.reason, event.message)).collect();
    expect![[r#"
        SawCompletedJob: Saw completed job: done, condition: Complete
        UnexpectedJob: Saw a job that the controller did not create or forgot: own
        MissingJob: Active job went missing: lost
    "#]]
    .assert_eq(&told.concat());
}

#[test]
fn the_oldest_go_from_the_history() {
    let jobs = [
        job("b", "Complete", 20),
        job("a", "Complete", 10),
        job("c", "Complete", 30),
        job("d", "Failed", 5),
        job("e", "", 1),
    ];
    let names = |cron_job: &Value| -> Vec<String> {
        plan_history(cron_job, &jobs).iter().map(|job| client::Key::of(job).name).collect()
    };
    assert_eq!(names(&cron_job(json!({}), json!({}))), ["a", "b"]);
    assert_eq!(names(&cron_job(json!({ "failedJobsHistoryLimit": 0 }), json!({}))), ["a", "b", "d"]);
    let all = json!({ "successfulJobsHistoryLimit": null, "failedJobsHistoryLimit": null });
    assert_eq!(names(&cron_job(all, json!({}))), [""; 0]);
}

#[test]
fn the_job_of_a_time() {
    let berlin = cron_job(json!({ "timeZone": "Europe/Berlin" }), json!({}));
    let (_, zone) = schedule(&berlin).expect("a schedule");
    let made = job_for(&berlin, at("10:10:00"), &zone, &json!({ "uid": "u" }));
    expect![[r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"annotations":{"batch.kubernetes.io/cronjob-scheduled-timestamp":"2026-01-01T11:10:00+01:00"},"labels":{"a":"b"},"name":"c-29454370","ownerReferences":[{"uid":"u"}]},"spec":{"template":{}}}"#]].assert_eq(&made.to_string());
    let mut status = with_started(json!({}), &made, at("10:10:00"));
    expect![[r#"{"active":[{"apiVersion":"batch/v1","kind":"Job","name":"c-29454370","namespace":null,"resourceVersion":null,"uid":null}],"lastScheduleTime":"2026-01-01T10:10:00Z"}"#]].assert_eq(&status.to_string());
    status["active"][0]["uid"] = "x".into();
    without(&mut status, "x");
    assert_eq!(status, json!({ "lastScheduleTime": "2026-01-01T10:10:00Z" }));
}

#[test]
fn a_new_schedule_waits_for_its_first_time() {
    let (old, mut new) = (cron_job(json!({}), json!({})), cron_job(json!({}), json!({})));
    assert_eq!(after_change(&old, &new, at("10:45:00")), None);
    new["spec"]["schedule"] = "*/30 * * * *".into();
    assert_eq!(after_change(&old, &new, at("10:45:00")), Some(Duration::from_millis(900_100)));
    let unknown = cron_job(json!({ "timeZone": "Mars/Olympus" }), json!({}));
    assert_eq!(schedule(&unknown).expect_err("unknown").reason, "UnknownTimeZone");
    let nonsense = cron_job(json!({ "schedule": "often" }), json!({}));
    assert_eq!(schedule(&nonsense).expect_err("nonsense").reason, "UnparseableSchedule");
}
