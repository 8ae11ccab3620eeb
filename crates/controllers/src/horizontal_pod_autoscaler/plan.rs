//! What an autoscaler does in one turn, and what it says about it. Pure.

use object::time::{self, Timestamp};
use serde_json::{Map, Value};

use super::history::History;
use super::limits::{Wanted, plan_limits};
use super::metric::{Failure, Proposal, Seen, plan_metric};
use crate::conditions::{self, Condition};

/// The size of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rescale {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) reason: String,
}

/// What a turn decides.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) rescale: Option<Rescale>,
    /// What the metrics asked for, to be remembered.
    pub(super) recommended: Option<i64>,
    /// Events that warn: reason and message.
    pub(super) warnings: Vec<(&'static str, String)>,
}

/// The status of an autoscaler as it is changed in the course of a turn.
#[derive(Debug)]
pub(super) struct Report {
    status: Value,
    conditions: Vec<Value>,
    now: Timestamp,
}

impl Report {
    pub(super) fn of(autoscaler: &Value, now: Timestamp) -> Report {
        let status = match &autoscaler["status"] {
            Value::Object(status) => status.clone(),
            _ => Map::new(),
        };
        Report { status: status.into(), conditions: conditions::of(autoscaler), now }
    }

    pub(super) fn note(&mut self, condition: &Condition) {
        conditions::set(&mut self.conditions, condition, self.now);
    }

    fn active(&mut self, holds: bool, reason: &str, message: impl Into<String>) {
        self.note(&Condition::new("ScalingActive", if holds { "True" } else { "False" }, reason, message));
    }

    /// What was found and wanted; without `desired` what was wanted before.
    fn count(&mut self, autoscaler: &Value, current: i64, desired: Option<i64>, metrics: Vec<Value>) {
        let before = self.status["desiredReplicas"].as_i64().unwrap_or_default();
        self.status["observedGeneration"] = autoscaler["metadata"]["generation"].clone();
        self.status["currentReplicas"] = current.into();
        self.status["desiredReplicas"] = desired.unwrap_or(before).into();
        self.status["currentMetrics"] = metrics.into();
    }

    /// The target has its new size, or not: why not.
    pub(super) fn rescaled(&mut self, rescale: &Rescale, done: Result<(), &str>) {
        match done {
            Ok(()) => {
                let message =
                    format!("the HPA controller was able to update the target scale to {}", rescale.to);
                self.note(&Condition::new("AbleToScale", "True", "SucceededRescale", message));
                let message = "the HPA controller did not scale the workload to zero";
                self.note(&Condition::new("ScaledToZero", "False", "NotScaledToZero", message));
                self.status["desiredReplicas"] = rescale.to.into();
                self.status["lastScaleTime"] = time::seconds(self.now).into();
            }
            Err(why) => {
                let message = format!("the HPA controller was unable to update the target scale: {why}");
                self.note(&Condition::new("AbleToScale", "False", "FailedUpdateScale", message));
            }
        }
    }

    /// The status as it is to be written.
    pub(super) fn finish(mut self) -> Value {
        self.status["conditions"] = self.conditions.into();
        self.status
    }
}

/// What can be decided without looking at metrics; `None` when they decide. `current` is the size of the target.
pub(super) fn plan_bounds(autoscaler: &Value, current: i64, report: &mut Report) -> Option<Plan> {
    let (minimum, maximum) = bounds(autoscaler);
    let (to, reason) = match current {
        0 => {
            let message = "scaling is disabled since the replica count of the target is zero";
            report.active(false, "ScalingDisabled", message);
            report.count(autoscaler, current, Some(current), Vec::new());
            return Some(Plan::default());
        }
        _ if current > maximum => (maximum, "Current number of replicas above Spec.MaxReplicas"),
        _ if current < minimum => (minimum, "Current number of replicas below Spec.MinReplicas"),
        _ => return None,
    };
    report.count(autoscaler, current, None, Vec::new());
    let rescale = Rescale { from: current, to, reason: reason.to_owned() };
    Some(Plan { rescale: Some(rescale), ..Plan::default() })
}

fn bounds(autoscaler: &Value) -> (i64, i64) {
    let spec = &autoscaler["spec"];
    (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64().unwrap_or_default())
}

/// What the metrics decide: the most that one of them asks for, within the limits.
pub(super) fn plan_scaling(
    autoscaler: &Value,
    current: i64,
    seen: &Seen,
    history: &History,
    report: &mut Report,
) -> Plan {
    let now = report.now;
    let metrics = autoscaler["spec"]["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found: Vec<Result<Proposal, Failure>> =
        metrics.iter().map(|metric| plan_metric(autoscaler, metric, current, seen, now)).collect();
    let mut plan = Plan::default();
    let failures: Vec<&Failure> = found.iter().filter_map(|one| one.as_ref().err()).collect();
    plan.warnings = failures.iter().map(|failure| (failure.reason, failure.message.clone())).collect();
    // The first of several that ask for the most, as upstream has it.
    let most = found.iter().flatten().rev().max_by_key(|proposal| proposal.replicas);
    let statuses = found.iter().map(|one| match one {
        Ok(proposal) => proposal.status.clone(),
        // Keeps its place, so that the other entries stay beside their metrics.
        Err(_) => serde_json::json!({ "type": "" }),
    });
    let statuses: Vec<Value> = statuses.collect();
    let most = match (most, failures.first()) {
        // What is not known may well be what asks for more.
        (most, Some(first)) if most.is_none_or(|proposal| proposal.replicas < current) => {
            let message = format!("the HPA was unable to compute the replica count: {}", first.message);
            report.active(false, first.reason, message);
            report.count(autoscaler, current, None, statuses);
            plan.warnings.push(("FailedComputeMetricsReplicas", summary(&failures, metrics.len())));
            return plan;
        }
        (Some(most), _) => most,
        (None, _) => return plan,
    };
    let message = format!("the HPA was able to successfully calculate a replica count from {}", most.name);
    report.active(true, "ValidMetricFound", message);
    let (minimum, maximum) = bounds(autoscaler);
    let wanted = Wanted { current, replicas: most.replicas, minimum, maximum };
    let limited = plan_limits(&autoscaler["spec"]["behavior"], wanted, history, now);
    report.note(&limited.able);
    report.note(&limited.limited);
    plan.recommended = Some(most.replicas);
    if limited.replicas != current {
        let reason = match most.replicas {
            more if more > current => format!("{} above target", most.name),
            less if less < current => "All metrics below target".to_owned(),
            _ => String::new(),
        };
        plan.rescale = Some(Rescale { from: current, to: limited.replicas, reason });
    }
    let desired = plan.rescale.is_none().then_some(current);
    report.count(autoscaler, current, desired, statuses);
    plan
}

fn summary(failures: &[&Failure], metrics: usize) -> String {
    let first = failures.first().map(|failure| failure.summary.as_str()).unwrap_or_default();
    format!("invalid metrics ({} invalid out of {metrics}), first error is: {first}", failures.len())
}

/// Why it cannot be told which pods an autoscaler is about.
#[derive(Debug)]
pub(super) struct Unselected {
    /// Of the event.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Nothing can be decided about pods that cannot be told.
pub(super) fn plan_unselected(
    autoscaler: &Value,
    current: i64,
    unselected: Unselected,
    report: &mut Report,
) -> Plan {
    let Unselected { reason, message } = unselected;
    match reason {
        "SelectorRequired" => {
            report.active(false, "InvalidSelector", "the HPA target's scale is missing a selector");
        }
        reason => report.active(false, reason, message.as_str()),
    }
    report.count(autoscaler, current, None, Vec::new());
    let warnings = vec![(reason, message.clone()), ("FailedComputeMetricsReplicas", message)];
    Plan { warnings, ..Plan::default() }
}
