//! How `kubectl get jobs` shows a Job.

use super::super::replica_set::shown_selector;
use object::json::items;
use object::table::{age, age_of, containers, name_of};
use object::time::{self, Timestamp};
use serde_json::Value;

pub(super) fn row(job: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&job["spec"]["template"]["spec"]);
    vec![
        name_of(job),
        state(job).into(),
        completions(job).into(),
        duration(&job["status"], now).into(),
        age_of(job, now),
        names,
        images,
        shown_selector(job),
    ]
}

fn state(job: &Value) -> &'static str {
    let conditions = items(&job["status"]["conditions"]);
    let holds = |kind: &&str| conditions.iter().any(|c| c["type"] == *kind && c["status"] == "True");
    if let Some(end) = ["Complete", "Failed"].into_iter().find(holds) {
        return end;
    }
    if job["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating";
    }
    ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter().find(holds).unwrap_or("Running")
}

fn completions(job: &Value) -> String {
    let succeeded = job["status"]["succeeded"].as_i64().unwrap_or(0);
    match (job["spec"]["completions"].as_i64(), job["spec"]["parallelism"].as_i64().unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(status: &Value, now: Timestamp) -> String {
    let at = |field: &str| status[field].as_str().and_then(time::parse);
    let Some(start) = at("startTime") else { return String::new() };
    age::human(at("completionTime").unwrap_or(now).as_second() - start.as_second())
}
