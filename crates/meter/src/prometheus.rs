//! Counters of functions in the Prometheus text format. Pure.

use crate::lambda::{BUCKETS_MS, Durations};
use crate::ledger::{FunctionUsage, precise};
use std::fmt::Write;

/// Writing to a String cannot fail, so results are dropped below.
pub(crate) fn write(text: &mut String, all: &[(&FunctionUsage, &Durations)]) {
    type Counter = (&'static str, &'static str, fn(&FunctionUsage) -> f64);
    let counters: [Counter; 5] = [
        ("invocations_total", "Invocations that ran.", |one| precise(one.invocations)),
        ("errors_total", "Invocations that ended in an error.", |one| precise(one.errors)),
        ("throttles_total", "Invocations refused for want of concurrency.", |one| precise(one.throttles)),
        ("billed_seconds_total", "Billed time, initialisation included.", |one| {
            precise(one.billed_ms) / 1000.0
        }),
        ("gb_seconds_total", "Billed GB-seconds.", FunctionUsage::gb_seconds),
    ];
    for (name, help, value) in counters {
        let _ = write!(text, "# HELP dory_function_{name} {help}\n# TYPE dory_function_{name} counter\n");
        for (usage, _) in all {
            let _ = writeln!(text, "dory_function_{name}{{{}}} {}", labels(usage), value(usage));
        }
    }
    let name = "dory_function_duration_seconds";
    let _ = write!(text, "# HELP {name} How long handlers ran.\n# TYPE {name} histogram\n");
    for (usage, durations) in all {
        let labels = labels(usage);
        for (count, bound) in durations.buckets.iter().zip(BUCKETS_MS) {
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{}\"}} {count}", bound / 1000.0);
        }
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", durations.count);
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", durations.sum_ms / 1000.0);
        let _ = writeln!(text, "{name}_count{{{labels}}} {}", durations.count);
    }
}

/// How many datapoints CloudWatch's metrics have.
pub(crate) fn write_datapoints(text: &mut String, count: usize) {
    let name = "dory_metric_datapoints";
    let _ = write!(
        text,
        "# HELP {name} Datapoints of metrics that are kept.\n# TYPE {name} gauge\n{name} {count}\n"
    );
}

/// None of these values can have a quote, a backslash or a line's end in it.
fn labels(usage: &FunctionUsage) -> String {
    format!("namespace=\"{}\",function=\"{}\",version=\"{}\"", usage.namespace, usage.function, usage.version)
}
