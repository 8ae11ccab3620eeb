//! What is counted of events: CloudWatch's metrics of asynchronous invocations, by function, in the meter; and the same
//! since the start of the process, with what waits now, on `/metrics`.

use super::Backlog;
use crate::Functions;
use jiff::Timestamp;
use meter::{LAMBDA_NAMESPACE, Metric, Stat};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::PoisonError;
use std::time::Duration;

/// Functions that are counted on `/metrics`; without a bound, functions that come and go would fill the memory.
const FUNCTIONS_MAX: usize = 10_000;

/// Counters on `/metrics`: the metric of CloudWatch, the name here, and what it counts.
const COUNTERS: [(&str, &str, &str); 4] = [
    ("AsyncEventsReceived", "async_events_received_total", "Events accepted."),
    (
        "AsyncEventsDropped",
        "async_events_dropped_total",
        "Events given up, whether or not a destination has them.",
    ),
    ("DeadLetterErrors", "async_dead_letter_errors_total", "Dead letters that could not be delivered."),
    (
        "DestinationDeliveryFailures",
        "async_destination_delivery_failures_total",
        "Records of invocations that could not be delivered.",
    ),
];

/// By function, in the order of [`COUNTERS`].
pub(super) type Totals = BTreeMap<String, [u64; COUNTERS.len()]>;

impl Functions {
    /// Appends counters and gauges of events in the Prometheus text format. Writing to a String cannot fail.
    pub(crate) fn write_event_metrics(&self, text: &mut String) {
        let totals = self.events.totals.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, (_, name, help)) in COUNTERS.iter().enumerate() {
            let _ = write!(text, "# HELP dory_function_{name} {help}\n# TYPE dory_function_{name} counter\n");
            for (function, counts) in totals.iter() {
                let _ = writeln!(text, "dory_function_{name}{{function=\"{function}\"}} {}", counts[at]);
            }
        }
        drop(totals);
        let backlogs = self.backlogs();
        let mut gauge = |name: &str, help: &str, value: fn(&Backlog) -> f64| {
            let _ = write!(text, "# HELP dory_function_{name} {help}\n# TYPE dory_function_{name} gauge\n");
            for one in &backlogs {
                let labels = format!("namespace=\"{}\",function=\"{}\"", one.namespace, one.object);
                let _ = writeln!(text, "dory_function_{name}{{{labels}}} {}", value(one));
            }
        };
        gauge("async_events_waiting", "Events that wait or are being worked on.", |one| one.events as f64);
        gauge("async_event_oldest_age_seconds", "How long the oldest of them has been there.", |one| {
            one.oldest_age.as_secs_f64()
        });
    }

    pub(super) fn events_received(&self, function: &str) {
        self.count("AsyncEventsReceived", function, "Count", 1.0);
    }

    /// Not run to a good end: retries used up, too old, nothing reserved, or the function is gone.
    pub(super) fn events_dropped(&self, name: &str, count: u64) {
        self.count("AsyncEventsDropped", name, "Count", count as f64);
    }

    /// How long an event had been there when it was tried.
    pub(super) fn event_age(&self, function: &str, age: Duration) {
        self.count("AsyncEventAge", function, "Milliseconds", age.as_secs_f64() * 1000.0);
    }

    pub(super) fn dead_letter_failed(&self, function: &str) {
        self.count("DeadLetterErrors", function, "Count", 1.0);
    }

    pub(super) fn destination_failed(&self, function: &str) {
        self.count("DestinationDeliveryFailures", function, "Count", 1.0);
    }

    fn count(&self, name: &str, function: &str, unit: &str, value: f64) {
        if let Some(at) = COUNTERS.iter().position(|(metric, ..)| *metric == name) {
            let mut totals = self.events.totals.lock().unwrap_or_else(PoisonError::into_inner);
            if totals.contains_key(function) || totals.len() < FUNCTIONS_MAX {
                totals.entry(function.to_owned()).or_default()[at] += value as u64;
            }
        }
        let metric = Metric {
            namespace: LAMBDA_NAMESPACE.to_owned(),
            name: name.to_owned(),
            dimensions: BTreeMap::from([("FunctionName".to_owned(), function.to_owned())]),
        };
        let now = Timestamp::now();
        let mut values = Stat::default();
        values.add(value, 1.0);
        if let Err(error) = self.meter().put(metric, unit, &values, now, now) {
            tracing::debug!(%error, name, "a metric was not kept");
        }
    }
}
