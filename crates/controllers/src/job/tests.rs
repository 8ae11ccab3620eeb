//! The plans of a Job as data.

mod counting;
mod ends;
mod pods;

use std::sync::Arc;

use object::time::{self, Timestamp};
use serde_json::{Value, json};

use super::backoff::Record;
use super::plan::{Change, Plan, plan_pods};
use super::read::FINALIZER;
use super::status::{Done, Tracked, plan_status};
use super::tally::{Tally, tally};

/// 2026-01-01T00:00:00Z and so many seconds.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("in range")
}

fn text(second: i64) -> String {
    time::seconds(at(second))
}

/// A Job that started at 0 with a specification of its own.
fn job(spec: Value) -> Value {
    let mut job = json!({
        "metadata": { "name": "j", "namespace": "n", "uid": "job" },
        "spec": { "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c" }] } } },
        "status": { "startTime": text(0) },
    });
    spec.as_object().into_iter().flatten().for_each(|(field, value)| job["spec"][field] = value.clone());
    job
}

fn indexed(completions: u32, spec: Value) -> Value {
    let mut job =
        job(json!({ "completions": completions, "parallelism": completions, "completionMode": "Indexed" }));
    spec.as_object().into_iter().flatten().for_each(|(field, value)| job["spec"][field] = value.clone());
    job
}

/// A pod of the Job in a phase, not counted yet.
fn pod(name: &str, phase: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "n", "uid": name, "finalizers": [FINALIZER],
            "creationTimestamp": text(0) },
        "spec": { "nodeName": "here" }, "status": { "phase": phase },
    })
}

fn with_index(mut pod: Value, index: u32) -> Value {
    pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = index.to_string().into();
    pod
}

/// A pod whose container ended with a code at a time.
fn failed(name: &str, code: i64, second: i64) -> Value {
    let mut pod = pod(name, "Failed");
    pod["status"]["containerStatuses"] =
        json!([{ "name": "c", "state": { "terminated": { "exitCode": code, "finishedAt": text(second) } } }]);
    pod
}

fn deleted(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = text(30).into();
    pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    pod
}

fn ready(name: &str) -> Value {
    let mut pod = pod(name, "Running");
    pod["status"]["conditions"] =
        json!([{ "type": "Ready", "status": "True", "lastTransitionTime": text(1) }]);
    pod
}

fn shared(pods: &[Value]) -> Vec<Arc<Value>> {
    pods.iter().cloned().map(Arc::new).collect()
}

fn tallied(job: &Value, pods: &[Value], second: i64) -> Tally {
    tally(job, &shared(pods), &Record::default(), at(second))
}

fn planned(job: &Value, pods: &[Value], second: i64) -> Plan {
    plan_pods(job, &shared(pods), &tallied(job, pods, second), at(second))
}

/// What a change does, in short: how many or which indexes are made, which pods go.
fn shown((change, again): &Plan) -> String {
    let names = |pods: &[Arc<Value>]| {
        pods.iter()
            .map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut text = match change {
        Change::Nothing => "nothing".to_owned(),
        Change::Create(all) if all[0].index.is_none() => format!("create {}", all.len()),
        Change::Create(all) => {
            format!("create {:?}", all.iter().filter_map(|one| one.index).collect::<Vec<_>>())
        }
        Change::Discard(pods) => format!("discard {}", names(pods)),
        Change::End(pods) => format!("end {}", names(pods)),
    };
    if let Some(again) = again {
        text += &format!(", again in {again:?}");
    }
    text
}

/// The status after a turn in which every pod that was to be deleted is being deleted and none was made.
fn tracked(job: &Value, pods: &[Value], second: i64) -> Tracked {
    let (change, _) = planned(job, pods, second);
    let deleted = match change {
        Change::Discard(pods) | Change::End(pods) => pods,
        _ => Vec::new(),
    };
    let done = Done { deleted, whole: true, ..Done::default() };
    plan_status(job, &shared(pods), &tallied(job, pods, second), &done, at(second))
}
