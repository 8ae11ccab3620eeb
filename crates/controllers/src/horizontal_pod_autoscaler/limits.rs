//! From what the metrics ask for to what is done: the windows of the past, the policies, and the bounds, in upstream's
//! order and words. Pure.

use std::time::Duration;

use object::time::Timestamp;
use serde_json::Value;

use super::history::History;
use crate::conditions::Condition;

/// How long an autoscaler looks back before it takes pods away, if it does not say (upstream's figure).
const DOWN_WINDOW: Duration = Duration::from_secs(300);
/// Without a behavior, at most so many times the pods at once, or so many pods (upstream's figures).
const GROWTH_FACTOR: i64 = 2;
const GROWTH_PODS: i64 = 4;

/// What an autoscaler has and wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) current: i64,
    /// What the metrics ask for.
    pub(super) replicas: i64,
    pub(super) minimum: i64,
    pub(super) maximum: i64,
}

/// What is done, and why it is not more or less.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Limited {
    pub(super) replicas: i64,
    /// `AbleToScale`
    pub(super) able: Condition,
    /// `ScalingLimited`
    pub(super) limited: Condition,
}

/// What holds a number back.
type Limit = (&'static str, &'static str);

const UP_STABILIZED: Limit = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILIZED: Limit = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const STEADY: Limit = ("ReadyForNewScale", "recommended size matches current size");
const UP_LIMIT: Limit =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const DOWN_LIMIT: Limit =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
const TOO_MANY: Limit =
    ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Limit = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const IN_RANGE: Limit = ("DesiredWithinRange", "the desired count is within the acceptable range");

/// The size that an autoscaler with this `spec.behavior` gives its target.
pub(super) fn plan_limits(behavior: &Value, wanted: Wanted, history: &History, now: Timestamp) -> Limited {
    let (stabilized, why) = stabilize(behavior, wanted, history, now);
    let steady = stabilized == wanted.replicas;
    let able = condition("AbleToScale", true, if steady { STEADY } else { why });
    let wanted = Wanted { replicas: stabilized, ..wanted };
    let (replicas, why) = if behavior.is_null() {
        bound(wanted, (GROWTH_FACTOR * wanted.current).max(GROWTH_PODS))
    } else {
        bound_by_policies(behavior, wanted, history, now)
    };
    Limited { replicas, able, limited: condition("ScalingLimited", replicas != stabilized, why) }
}

fn condition(kind: &'static str, holds: bool, (reason, message): Limit) -> Condition {
    Condition::new(kind, if holds { "True" } else { "False" }, reason, message)
}

fn window(rules: &Value) -> Option<Duration> {
    rules["stabilizationWindowSeconds"].as_u64().map(Duration::from_secs)
}

/// Neither more than the least nor less than the most that was asked for lately.
fn stabilize(behavior: &Value, wanted: Wanted, history: &History, now: Timestamp) -> (i64, Limit) {
    let down = window(&behavior["scaleDown"]).unwrap_or(DOWN_WINDOW);
    let most = history.recommendations(down, now).fold(wanted.replicas, i64::max);
    if behavior.is_null() {
        return (most, DOWN_STABILIZED);
    }
    let up = window(&behavior["scaleUp"]).unwrap_or_default();
    let least = history.recommendations(up, now).fold(wanted.replicas, i64::min);
    let why = if wanted.replicas >= wanted.current { UP_STABILIZED } else { DOWN_STABILIZED };
    (wanted.current.max(least).min(most), why)
}

/// Without policies: between minimum and maximum, and no more than `growth`.
fn bound(wanted: Wanted, growth: i64) -> (i64, Limit) {
    let (most, why) = if wanted.maximum > growth { (growth, UP_LIMIT) } else { (wanted.maximum, TOO_MANY) };
    if wanted.replicas < wanted.minimum {
        (wanted.minimum, TOO_FEW)
    } else if wanted.replicas > most {
        (most, why)
    } else {
        (wanted.replicas, IN_RANGE)
    }
}

fn bound_by_policies(behavior: &Value, wanted: Wanted, history: &History, now: Timestamp) -> (i64, Limit) {
    let Wanted { current, replicas, minimum, maximum } = wanted;
    if replicas > current {
        let limit = up_limit(&behavior["scaleUp"], current, history, now).max(current);
        let (most, why) = if maximum > limit { (limit, UP_LIMIT) } else { (maximum, TOO_MANY) };
        if replicas > most {
            return (most, why);
        }
    } else if replicas < current {
        let limit = down_limit(&behavior["scaleDown"], current, history, now).min(current);
        let (least, why) = if minimum < limit { (limit, DOWN_LIMIT) } else { (minimum, TOO_FEW) };
        if replicas < least {
            return (least, why);
        }
    }
    (replicas, IN_RANGE)
}

fn policies(rules: &Value) -> impl Iterator<Item = &Value> {
    rules["policies"].as_array().into_iter().flatten()
}

/// The number of pods at the beginning of a policy's period, and what the policy allows to change.
fn change<'a>(policy: &'a Value, current: i64, history: &History, now: Timestamp) -> (i64, i64, &'a Value) {
    let period = Duration::from_secs(policy["periodSeconds"].as_u64().unwrap_or_default());
    let before = history.replicas_before(period, current, now);
    (before, policy["value"].as_i64().unwrap_or_default(), &policy["type"])
}

/// As many pods as there may be. What is a percentage is rounded up, or one pod would never become two.
fn up_limit(rules: &Value, current: i64, history: &History, now: Timestamp) -> i64 {
    let limits = policies(rules).map(|policy| match change(policy, current, history, now) {
        (before, value, kind) if kind == "Percent" => {
            (before as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64
        }
        (before, value, _) => before + value,
    });
    match rules["selectPolicy"].as_str() {
        Some("Disabled") => current,
        Some("Min") => limits.min().unwrap_or(current),
        _ => limits.max().unwrap_or(current),
    }
}

/// As few pods as there may be.
fn down_limit(rules: &Value, current: i64, history: &History, now: Timestamp) -> i64 {
    let limits = policies(rules).map(|policy| match change(policy, current, history, now) {
        (before, value, kind) if kind == "Percent" => (before as f64 * (1.0 - value as f64 / 100.0)) as i64,
        (before, value, _) => before - value,
    });
    match rules["selectPolicy"].as_str() {
        Some("Disabled") => current,
        // The smallest change leaves the most pods.
        Some("Min") => limits.max().unwrap_or(current),
        _ => limits.min().unwrap_or(current),
    }
}
