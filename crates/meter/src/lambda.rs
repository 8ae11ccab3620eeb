//! The metrics of functions, `AWS/Lambda`: what each invocation adds to its minute, and how the dimensions that CloudWatch
//! has for them are summed up from that. Dimensions: none (all functions), FunctionName, FunctionName and Resource, and
//! those with ExecutedVersion ("Lambda metrics", developer guide).

use crate::history::{Metric, Series};
use crate::meter::Provisioned;
use crate::stat::Stat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The namespace of these metrics.
pub const NAMESPACE: &str = "AWS/Lambda";

/// Each metric of an invocation, and its unit.
pub const UNITS: &[(&str, &str)] = &[
    ("Invocations", "Count"),
    ("Errors", "Count"),
    ("Throttles", "Count"),
    ("Duration", "Milliseconds"),
    ("PostRuntimeExtensionsDuration", "Milliseconds"),
    ("ConcurrentExecutions", "Count"),
    ("UnreservedConcurrentExecutions", "Count"),
    ("ClaimedAccountConcurrency", "Count"),
    ("ProvisionedConcurrentExecutions", "Count"),
    ("ProvisionedConcurrencyInvocations", "Count"),
    ("ProvisionedConcurrencySpilloverInvocations", "Count"),
    ("ProvisionedConcurrencyUtilization", "None"),
];

/// Those that only the account has.
const OF_ACCOUNT: [&str; 2] = ["UnreservedConcurrentExecutions", "ClaimedAccountConcurrency"];

/// Upper bounds of the histogram of durations, in milliseconds.
pub(crate) const BUCKETS_MS: [f64; 14] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 1e4, 6e4, 9e5];

/// One way in which a function is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Callee {
    pub(crate) function: String,
    /// The function's name, with `:` and the qualifier where the caller gave one.
    pub(crate) resource: String,
    pub(crate) version: String,
}

/// What happened in one minute.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Minute {
    pub(crate) errors: Stat,
    pub(crate) throttles: Stat,
    pub(crate) duration: Stat,
    pub(crate) concurrent: Stat,
    /// What extensions did after the runtime was done, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extensions: Option<Box<Stat>>,
    /// Where something is provisioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provisioned: Option<Box<OnProvisioned>>,
}

/// What happened in one minute on what is provisioned, and beyond it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OnProvisioned {
    pub(crate) concurrent: Stat,
    /// The share of it that was in use, 0 to 1.
    pub(crate) utilization: Stat,
    pub(crate) spilled: Stat,
}

/// What ran at once over all functions in one minute.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Together {
    pub(crate) all: Stat,
    pub(crate) unreserved: Stat,
    pub(crate) claimed: Stat,
}

/// The datapoints that only the account has; `None` for every other metric.
pub(crate) fn account(metric: &Metric, series: &Series<Together>) -> Option<Vec<(i64, Stat)>> {
    let stat: fn(&Together) -> &Stat = match metric.name.as_str() {
        "ConcurrentExecutions" if metric.dimensions.is_empty() => |minute| &minute.all,
        "UnreservedConcurrentExecutions" if metric.dimensions.is_empty() => |minute| &minute.unreserved,
        "ClaimedAccountConcurrency" if metric.dimensions.is_empty() => |minute| &minute.claimed,
        _ => return None,
    };
    let points = series.points.iter().map(|(minute, both)| (*minute, stat(both).clone()));
    Some(points.filter(|(_, stat)| stat.count > 0.0).collect())
}

impl Minute {
    fn merge(&mut self, other: &Minute) {
        self.errors.merge(&other.errors);
        self.throttles.merge(&other.throttles);
        self.duration.merge(&other.duration);
        if let Some(theirs) = &other.extensions {
            self.extensions.get_or_insert_default().merge(theirs);
        }
        self.concurrent.merge(&other.concurrent);
        if let Some(theirs) = &other.provisioned {
            let ours = self.provisioned.get_or_insert_default();
            ours.concurrent.merge(&theirs.concurrent);
            ours.utilization.merge(&theirs.utilization);
            ours.spilled.merge(&theirs.spilled);
        }
    }

    /// An invocation has begun that has this to do with what is provisioned.
    pub(crate) fn provisioned(&mut self, kind: Provisioned) {
        if kind == Provisioned::Not {
            return;
        }
        let minute = self.provisioned.get_or_insert_default();
        minute.spilled.take_in(f64::from(u8::from(kind == Provisioned::Spilled)), 1.0);
        match kind {
            Provisioned::Used { running, allocated } => {
                minute.concurrent.take_in(f64::from(running), 1.0);
                minute.utilization.take_in(f64::from(running) / f64::from(allocated.max(1)), 1.0);
            }
            // It found all of it in use.
            _ => minute.utilization.take_in(1.0, 1.0),
        }
    }

    fn stat(&self, name: &str) -> Option<Stat> {
        let provisioned = |stat: fn(&OnProvisioned) -> Stat| self.provisioned.as_deref().map(stat);
        let stat = match name {
            "ProvisionedConcurrentExecutions" => provisioned(|one| one.concurrent.clone())?,
            "ProvisionedConcurrencyInvocations" => {
                provisioned(|one| Stat::of(one.concurrent.count, one.concurrent.count, 1.0, 1.0))?
            }
            "ProvisionedConcurrencySpilloverInvocations" => provisioned(|one| one.spilled.clone())?,
            "ProvisionedConcurrencyUtilization" => provisioned(|one| one.utilization.clone())?,
            // Each invocation counts one.
            "Invocations" => Stat::of(self.errors.count, self.errors.count, 1.0, 1.0),
            "Errors" => self.errors.clone(),
            "Throttles" => self.throttles.clone(),
            "Duration" => self.duration.clone(),
            "PostRuntimeExtensionsDuration" => self.extensions.as_deref()?.clone(),
            "ConcurrentExecutions" => self.concurrent.clone(),
            _ => return None,
        };
        Some(stat).filter(|stat| stat.count > 0.0)
    }
}

/// What the histogram on `/metrics` needs, since the start of the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durations {
    pub(crate) buckets: [u64; BUCKETS_MS.len()],
    pub(crate) count: u64,
    pub(crate) sum_ms: f64,
}

impl Durations {
    pub(crate) fn take_in(&mut self, other: &Durations) {
        for (bucket, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += theirs;
        }
        self.count += other.count;
        self.sum_ms += other.sum_ms;
    }

    pub(crate) fn add(&mut self, ms: f64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(BUCKETS_MS) {
            *bucket += u64::from(ms <= bound);
        }
        self.count += 1;
        self.sum_ms += ms;
    }
}

/// Whether these dimensions are asked for together with what `callee` is; every dimension must be named.
fn fits(dimensions: &BTreeMap<String, String>, callee: &Callee) -> bool {
    dimensions.iter().all(|(name, value)| match name.as_str() {
        "FunctionName" => *value == callee.function,
        "Resource" => *value == callee.resource,
        "ExecutedVersion" => *value == callee.version,
        _ => false,
    })
}

/// The datapoints of one metric, summed up from those of all callees that its dimensions name.
pub(crate) fn points<'a>(
    metric: &Metric,
    callees: impl Iterator<Item = (&'a Callee, &'a Series<Minute>)>,
) -> Vec<(i64, Stat)> {
    let known: Vec<&str> = metric.dimensions.keys().map(String::as_str).collect();
    if !SETS.contains(&known.as_slice()) {
        return Vec::new();
    }
    let mut minutes: BTreeMap<i64, Minute> = BTreeMap::new();
    for (_, series) in callees.filter(|(callee, _)| fits(&metric.dimensions, callee)) {
        for (minute, point) in &series.points {
            minutes.entry(*minute).or_default().merge(point);
        }
    }
    minutes.into_iter().filter_map(|(minute, all)| Some((minute, all.stat(&metric.name)?))).collect()
}

/// The sets of dimensions that these metrics have, sorted as a map sorts them.
const SETS: &[&[&str]] = &[
    &[],
    &["FunctionName"],
    &["FunctionName", "Resource"],
    &["ExecutedVersion", "FunctionName", "Resource"],
];

/// The metrics that exist for these callees.
pub(crate) fn metrics<'a>(callees: impl Iterator<Item = (&'a Callee, &'a Series<Minute>)>) -> Vec<Metric> {
    let mut found = BTreeSet::new();
    for (callee, series) in callees {
        let mut all = Minute::default();
        series.points.iter().for_each(|(_, minute)| all.merge(minute));
        for (name, _) in UNITS.iter().filter(|(name, _)| all.stat(name).is_some()) {
            for set in SETS {
                let value = |dimension: &str| match dimension {
                    "FunctionName" => callee.function.clone(),
                    "Resource" => callee.resource.clone(),
                    _ => callee.version.clone(),
                };
                found.insert(Metric {
                    namespace: NAMESPACE.to_owned(),
                    name: (*name).to_owned(),
                    dimensions: set.iter().map(|name| ((*name).to_owned(), value(name))).collect(),
                });
            }
        }
    }
    if !found.is_empty() {
        found.extend(OF_ACCOUNT.map(|name| Metric {
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
            dimensions: BTreeMap::new(),
        }));
    }
    found.into_iter().collect()
}
