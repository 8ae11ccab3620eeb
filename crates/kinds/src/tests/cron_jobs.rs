//! CronJobs: their defaults, what is refused, and their row.

use super::{check, check_update, context, created, read};
use expect_test::expect;
use object::table::{Include, row};
use serde_json::json;

const CRON_JOB: &str =
    "{kind: CronJob, metadata: {name: c}, spec: {schedule: '*/5 * * * *', jobTemplate: {spec:
    {template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: 'i:1'}]}}}}}}";

/// A CronJob with more of a spec, in flow style.
fn cron_job(more: &str) -> String {
    CRON_JOB.replace("jobTemplate: {", &format!("{more}, jobTemplate: {{"))
}

#[test]
fn they_get_their_defaults() {
    check(
        CRON_JOB,
        expect![[r#"
        spec:
          concurrencyPolicy: Allow
          failedJobsHistoryLimit: 1
          jobTemplate:
            metadata: {}
            spec:
              template:
                metadata: {}
                spec:
                  containers:
                  - image: i:1
                    imagePullPolicy: IfNotPresent
                    name: c
                    resources: {}
                    terminationMessagePath: /dev/termination-log
                    terminationMessagePolicy: File
                  dnsPolicy: ClusterFirst
                  restartPolicy: OnFailure
                  schedulerName: default-scheduler
                  securityContext: {}
                  terminationGracePeriodSeconds: 30
          schedule: "*/5 * * * *"
          successfulJobsHistoryLimit: 3
          suspend: false
    "#]],
    );
}

#[test]
fn what_is_refused() {
    for (more, want) in [
        (
            "concurrencyPolicy: Wait, startingDeadlineSeconds: -1, successfulJobsHistoryLimit: -1,
            failedJobsHistoryLimit: -1",
            expect![[r#"
                422 CronJob.batch "c" is invalid: [spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0, spec.concurrencyPolicy: Unsupported value: "Wait": supported values: "Allow", "Forbid", "Replace", spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0, spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0]
            "#]],
        ),
        (
            "timeZone: ''",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string
        "#]],
        ),
        (
            "timeZone: Local",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones
        "#]],
        ),
        (
            "timeZone: ../etc/passwd",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.timeZone: Invalid value: "../etc/passwd": unknown time zone ../etc/passwd
        "#]],
        ),
        (
            "timeZone: Mars/Olympus",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus
        "#]],
        ),
    ] {
        check(&cron_job(more), want);
    }
}

#[test]
fn schedules_templates_and_names_that_are_refused() {
    for (from, to, want) in [
        (
            "*/5 * * * *",
            "",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.schedule: Required value
        "#]],
        ),
        (
            "*/5 * * * *",
            "61 * * * *",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61
        "#]],
        ),
        (
            "*/5 * * * *",
            "TZ=UTC 5 * * * *",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.schedule: Invalid value: "TZ=UTC 5 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead
        "#]],
        ),
        (
            "OnFailure",
            "Always",
            expect![[r#"
            422 CronJob.batch "c" is invalid: spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"
        "#]],
        ),
        (
            "{template:",
            "{selector: {}, manualSelector: true, backoffLimit: -1, template:",
            expect![[r#"
            422 CronJob.batch "c" is invalid: [spec.jobTemplate.spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0, spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated, spec.jobTemplate.spec.manualSelector: Unsupported value: "true": supported values: "nil", "false"]
        "#]],
        ),
        (
            "name: c}, spec",
            "name: a-name-that-would-be-too-long-with-the-time-at-its-end-1}, spec",
            expect![[r#"
                422 CronJob.batch "a-name-that-would-be-too-long-with-the-time-at-its-end-1" is invalid: metadata.name: Invalid value: "a-name-that-would-be-too-long-with-the-time-at-its-end-1": must be no more than 52 characters
            "#]],
        ),
    ] {
        check(&CRON_JOB.replace(from, to), want);
    }
}

#[test]
fn everything_may_change() {
    check_update(
        CRON_JOB,
        &CRON_JOB.replace("*/5", "*/6").replace("i:1", "i:2"),
        expect![[r#"
        generation 2, spec changed true, status null
    "#]],
    );
}

#[test]
fn as_a_row() {
    let mut object = created(&cron_job("timeZone: Europe/Berlin")).expect("valid");
    let (kind, _) = read(CRON_JOB);
    let cells =
        |object: &serde_json::Value| row(kind, object, Include::None, context(kind).now)["cells"].to_string();
    expect![[r#"["c","*/5 * * * *","Europe/Berlin","False",0,"<none>","0s","c","i:1","<none>"]"#]]
        .assert_eq(&cells(&object));
    object["status"] = json!({"active": [{"name": "c-1"}], "lastScheduleTime": "2026-09-21T14:10:00Z"});
    object["spec"]["suspend"] = true.into();
    expect![[r#"["c","*/5 * * * *","Europe/Berlin","True",1,"3m20s","0s","c","i:1","<none>"]"#]]
        .assert_eq(&cells(&object));
}
