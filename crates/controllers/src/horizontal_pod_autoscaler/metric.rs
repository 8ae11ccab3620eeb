//! One metric of an autoscaler: which number of replicas it asks for, and what `status.currentMetrics` says of it. Pure;
//! the words are upstream's, since people search for them.

use std::sync::Arc;

use object::quantity::Quantity;
use object::selector::LabelSelector;
use object::time::Timestamp;
use serde_json::{Value, json};

use super::usage::{self, Answer, Goal, Question, Tolerances, amount, plan_replicas};

/// By how much a metric may miss its goal, if the behavior does not say (upstream's figure).
const TOLERANCE: f64 = 0.1;

/// What one turn sees of the pods of a target.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) pods: Vec<Arc<Value>>,
    pub(super) selector: LabelSelector,
    /// The items of the PodMetricsList of the namespace, or why there is none.
    pub(super) usage: Result<Vec<Value>, String>,
}

/// What a metric asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) replicas: i64,
    /// What is said when it is followed.
    pub(super) name: String,
    /// Its entry in `status.currentMetrics`.
    pub(super) status: Value,
}

/// Why a metric asks for nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Of the event and of the condition.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The message where several metrics are spoken of.
    pub(super) summary: String,
}

/// What a metric of an autoscaler asks for, while the target has `current` replicas.
pub(super) fn plan_metric(
    autoscaler: &Value,
    metric: &Value,
    current: i64,
    seen: &Seen,
    now: Timestamp,
) -> Result<Proposal, Failure> {
    let kind = metric["type"].as_str().unwrap_or_default();
    match kind {
        "Resource" => of_pods(autoscaler, &metric["resource"], kind, current, seen, now),
        "ContainerResource" => of_pods(autoscaler, &metric["containerResource"], kind, current, seen, now),
        _ => Err(from_elsewhere(autoscaler, metric, kind)),
    }
}

fn tolerances(behavior: &Value) -> Tolerances {
    let given = |rules: &Value| rules["tolerance"].as_str().and_then(|text| Quantity::parse(text).ok());
    let tolerance = |direction: &str| given(&behavior[direction]).map_or(TOLERANCE, Quantity::as_f64);
    Tolerances { up: tolerance("scaleUp"), down: tolerance("scaleDown") }
}

/// A metric that `kubectl top` has too.
fn of_pods(
    autoscaler: &Value,
    source: &Value,
    kind: &str,
    current: i64,
    seen: &Seen,
    now: Timestamp,
) -> Result<Proposal, Failure> {
    let resource = source["name"].as_str().unwrap_or_default();
    let container = source["container"].as_str();
    let average = amount(&source["target"]["averageValue"]);
    let goal = match average {
        Some(milli) => Goal::AverageMilli(milli),
        None => Goal::Utilization(source["target"]["averageUtilization"].as_i64().unwrap_or_default()),
    };
    let tolerances = tolerances(&autoscaler["spec"]["behavior"]);
    let question = Question { resource, container, goal, current, tolerances };
    let answer = answer(&question, seen, now).map_err(|why| {
        let what = if average.is_some() { "usage" } else { "utilization" };
        let message = format!("failed to get {resource} {what}: {why}");
        match container {
            Some(container) => Failure {
                reason: "FailedGetContainerResourceMetric",
                summary: format!("failed to get {container} container metric value: {message}"),
                message,
            },
            None => Failure {
                reason: "FailedGetResourceMetric",
                summary: format!("failed to get {resource} resource metric value: {message}"),
                message,
            },
        }
    })?;
    let name = match (average, container) {
        (Some(_), _) => format!("{resource} resource"),
        (None, None) => format!("{resource} resource utilization (percentage of request)"),
        (None, Some(_)) => format!("{resource} container resource utilization (percentage of request)"),
    };
    let mut value = Quantity::from_milli(answer.average_milli);
    if resource == "memory" {
        value = value.in_binary();
    }
    let mut found = json!({ "averageValue": value.to_string() });
    if let Some(percent) = answer.utilization {
        found["averageUtilization"] = percent.into();
    }
    let status = match container {
        Some(container) => {
            let status = json!({ "name": resource, "container": container, "current": found });
            json!({ "type": kind, "containerResource": status })
        }
        None => json!({ "type": kind, "resource": { "name": resource, "current": found } }),
    };
    Ok(Proposal { replicas: answer.replicas, name, status })
}

fn answer(question: &Question<'_>, seen: &Seen, now: Timestamp) -> Result<Answer, String> {
    let resource = question.resource;
    let unfetched =
        |why: &str| format!("unable to get metrics for resource {resource}: {why} resource metrics API");
    let list = seen.usage.as_ref();
    let list = list.map_err(|why| format!("{}: {why}", unfetched("unable to fetch metrics from")))?;
    if !list.iter().any(|one| seen.selector.matches(&one["metadata"]["labels"])) {
        return Err(unfetched("no metrics returned from"));
    }
    let samples = usage::samples(list, &seen.selector, resource, question.container);
    plan_replicas(question, &seen.pods, &samples, now)
}

/// Metrics of pods, objects and the world outside come from APIs that somebody else has to serve, and nobody does here.
fn from_elsewhere(autoscaler: &Value, metric: &Value, kind: &str) -> Failure {
    const CUSTOM: &str = "unable to fetch metrics from custom metrics API: no custom metrics API \
                          (custom.metrics.k8s.io) registered";
    let namespace = autoscaler["metadata"]["namespace"].as_str().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match kind {
        "Pods" => {
            let message =
                format!("unable to get metric {}: {CUSTOM}", text(&metric["pods"]["metric"]["name"]));
            let summary = format!("failed to get pods metric value: {message}");
            Failure { reason: "FailedGetPodsMetric", message, summary }
        }
        "Object" => {
            let (name, of) =
                (text(&metric["object"]["metric"]["name"]), &metric["object"]["describedObject"]);
            let of = format!("{} {namespace}/{}", text(&of["kind"]), text(&of["name"]));
            let message = format!("unable to get metric {name} on {of}: {CUSTOM}");
            let summary = format!("failed to get object metric value: {message}");
            Failure { reason: "FailedGetObjectMetric", message, summary }
        }
        "External" => {
            let name = text(&metric["external"]["metric"]["name"]);
            let message = format!(
                "unable to get external metric {namespace}/{name}: unable to fetch metrics from external metrics API: \
                 no external metrics API (external.metrics.k8s.io) registered"
            );
            let summary = format!("failed to get {name} external metric value: {message}");
            Failure { reason: "FailedGetExternalMetric", message, summary }
        }
        other => {
            let message = format!("unknown metric source type \"{other}\"");
            Failure { reason: "InvalidMetricSourceType", summary: message.clone(), message }
        }
    }
}
