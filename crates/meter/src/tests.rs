//! The meter counts, keeps and forgets as it says.

use super::*;
use jiff::{Timestamp, ToSpan};
use std::time::Duration;

fn invoked(qualifier: Option<&str>) -> Invoked {
    Invoked::new("default", "hello", qualifier, "$LATEST")
}

fn run(ms: u64, failed: bool) -> Run {
    Run { duration: Duration::from_millis(ms), billed_ms: ms, memory_mb: 128, failed, extensions: None }
}

fn metric(name: &str, dimensions: &[(&str, &str)]) -> Metric {
    let dimensions =
        dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Metric { namespace: "AWS/Lambda".to_owned(), name: name.to_owned(), dimensions }
}

fn time() -> Timestamp {
    "2026-11-21T12:00:30Z".parse().expect("a time")
}

#[test]
fn totals_and_history_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    meter.ran(&invoked(None), run(10, false), time());
    meter.ran(&invoked(Some("live")), run(30, true), time());
    meter.throttled(&invoked(None), time());
    meter.flush();
    drop(meter);
    let meter = Meter::open(dir.path()).expect("the same again");
    meter.ran(&invoked(None), run(60, false), time());
    let usage = meter.usage(time());
    let hello = &usage.functions[0];
    assert_eq!((hello.invocations, hello.errors, hello.throttles, hello.billed_ms), (3, 1, 1, 100));
    assert_eq!(hello.gb_seconds(), 0.0125);
    let sum = |metric: &Metric, statistic: &str| {
        let (points, _) = meter.points(metric);
        points.iter().filter_map(|(_, stat)| stat.value(statistic)).sum::<f64>()
    };
    assert_eq!(sum(&metric("Invocations", &[]), "Sum"), 3.0);
    assert_eq!(sum(&metric("Errors", &[("FunctionName", "hello")]), "Sum"), 1.0);
    let alias = [("FunctionName", "hello"), ("Resource", "hello:live")];
    assert_eq!(sum(&metric("Duration", &alias), "Maximum"), 30.0);
    assert_eq!(sum(&metric("Duration", &[("Resource", "hello:live")]), "Maximum"), 0.0);
    // Four metrics, with three sets of dimensions each for two resources; and the two of the account.
    assert_eq!(meter.metrics(time() - 3.hours()).len(), 4 * 6 + 2);
    assert!(meter.metrics(time() + 1.hour()).is_empty());
}

#[test]
fn totals_reach_the_disk_by_themselves() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    meter.ran(&invoked(None), run(10, false), time());
    let file = dir.path().join("ledger.json");
    for _ in 0..3000 {
        if file.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(std::fs::read_to_string(file).expect("the ledger").contains("\"invocations\":1"));
}

#[test]
fn metrics_of_others_are_kept_and_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    let own = |name: &str| Metric { namespace: "App".to_owned(), ..metric(name, &[]) };
    let mut one = Stat::default();
    one.add(4.0, 2.0);
    meter.put(own("Depth"), "Count", &one, time(), time()).expect("put");
    meter.put(own("Depth"), "Count", &one, time() - 5.minutes(), time()).expect("put late");
    assert_eq!(meter.put(own("Depth"), "Count", &one, time() - 48.hours(), time()), Err(PutError::Time));
    let (points, unit) = meter.points(&own("Depth"));
    assert_eq!((points.len(), points[1].0 - points[0].0, unit.as_deref()), (2, 5, Some("Count")));
    let refused = (0..20_000)
        .find_map(|number| meter.put(own(&number.to_string()), "None", &one, time(), time()).err());
    assert_eq!(refused, Some(PutError::TooMany));
}

#[test]
fn datapoints_of_functions_that_come_and_go_are_bounded() {
    use crate::history::POINTS_MAX;
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    let names: Vec<String> = (0..POINTS_MAX + POINTS_MAX / 4).map(|number| format!("f{number}")).collect();
    let running = Running { function: 1, all: 1, unreserved: 1, claimed: 1, provisioned: Provisioned::Not };
    for (number, name) in names.iter().enumerate() {
        let at = time() + i64::try_from(number / 1000).expect("small").minutes();
        meter.entered(&of("default", name, "$LATEST"), running, at);
    }
    let mut text = String::new();
    meter.write(&mut text);
    let kept = text.lines().find_map(|line| line.strip_prefix("dory_metric_datapoints "));
    let kept: usize = kept.and_then(|count| count.parse().ok()).expect("how many there are");
    assert!((POINTS_MAX / 2..POINTS_MAX + 1024).contains(&kept), "{kept}");
    let newest = metric("ConcurrentExecutions", &[("FunctionName", &names[names.len() - 1])]);
    assert_eq!(meter.points(&newest).0.len(), 1, "the newest is there");
    let oldest = metric("ConcurrentExecutions", &[("FunctionName", "f0")]);
    assert_eq!(meter.points(&oldest).0.len(), 0, "the oldest went");
}
#[test]
fn pods_are_counted_while_they_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    let pod = |uid| Pod { namespace: "default", owner: "Deployment/api", uid, cpu_milli: 100, memory_mb: 64 };
    meter.pod_runs(pod("a"), time());
    meter.pod_runs(pod("b"), time());
    meter.pod_runs(pod("a"), time() + 1.minute());
    meter.pod_ended("default", "Deployment/api", "b", time() + 2.minutes());
    meter.flush();
    drop(meter);
    let meter = Meter::open(dir.path()).expect("the same again");
    let usage = meter.usage(time() + 4.minutes());
    assert_eq!((usage.pods[0].pod_ms, usage.pods[0].running), (6 * 60_000, 1));
    meter.pods_are(&std::collections::BTreeSet::new());
    assert_eq!(meter.usage(time() + 9.minutes()).pods[0].pod_ms, 6 * 60_000);
}

#[test]
fn prometheus_reads_counters_and_a_histogram() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    meter.ran(&invoked(None), run(10, true), time());
    let mut text = String::new();
    meter.write(&mut text);
    let labels = "{namespace=\"default\",function=\"hello\",version=\"$LATEST\"";
    for line in [
        format!("dory_function_invocations_total{labels}}} 1"),
        format!("dory_function_errors_total{labels}}} 1"),
        format!("dory_function_duration_seconds_bucket{labels},le=\"0.005\"}} 0"),
        format!("dory_function_duration_seconds_bucket{labels},le=\"0.01\"}} 1"),
        format!("dory_function_duration_seconds_count{labels}}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}

#[test]
fn what_was_used_long_ago_is_summed_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    let rows = crate::rows::ROWS_MAX;
    let names: Vec<String> = (0..rows + 1).map(|number| format!("f{number}")).collect();
    for (second, name) in names.iter().enumerate() {
        let invoked = Invoked::new("team", name, None, "$LATEST");
        meter.ran(&invoked, run(10, second == 0), time() + i64::try_from(second).expect("small").seconds());
        let pod = Pod { namespace: "team", owner: name, uid: name, cpu_milli: 1, memory_mb: 1 };
        meter.pod_runs(pod, time());
        if second > 5 {
            meter.pod_ended("team", name, name, time() + 1.minute());
        }
    }
    let usage = meter.usage(time());
    assert!(usage.functions.len() < rows && usage.pods.len() < rows, "{}", usage.functions.len());
    let others = usage.functions.iter().find(|one| one.function == OTHERS).expect("a row of the others");
    assert_eq!((others.invocations, others.errors), (rows as u64 / 10, 1));
    let billed: u64 = usage.functions.iter().map(|one| one.billed_ms).sum();
    assert_eq!(billed, 10 * names.len() as u64, "no total is lost");
    assert!(usage.functions.iter().any(|one| one.function == names[rows]), "the newest is there");
    // Those that run keep their rows.
    assert!((0..6).all(|n| usage.pods.iter().any(|one| one.owner == names[n] && one.running == 1)));
}

fn of(namespace: &str, function: &str, version: &str) -> Invoked {
    Invoked::new(namespace, function, None, version)
}

#[test]
fn deleted_functions_are_summed_up_and_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    meter.ran(&of("default", "lives", "$LATEST"), run(5, false), time());
    let many = 3000_u32;
    for number in 0..many {
        let name = format!("short-{number}");
        meter.ran(&of("default", &name, "$LATEST"), run(10, true), time());
        meter.ran(&of("default", &name, "1"), run(20, false), time());
        meter.deleted("default", &name, time() + i64::from(number).seconds());
    }
    let usage = meter.usage(time());
    let (rows, max) = (usage.functions.len(), crate::rows::DELETED_ROWS_MAX);
    assert!(rows > max && rows < max * 6 / 5, "{rows}");
    let sum = |count: fn(&FunctionUsage) -> u64| meter.usage(time()).functions.iter().map(count).sum::<u64>();
    assert_eq!(sum(|one| one.billed_ms), 5 + u64::from(many) * 30);
    let counts = (sum(|one| one.invocations), sum(|one| one.errors));
    assert_eq!(counts, (1 + u64::from(many) * 2, u64::from(many)));
    assert!(
        usage.functions.iter().any(|one| one.function == format!("short-{}", many - 1)),
        "the newest is there"
    );
    meter.flush();
    let size = std::fs::metadata(dir.path().join("ledger.json")).expect("the ledger").len();
    assert!(size < 400_000, "{size}");
    // A month later all of them are one row. One that was made again is itself.
    let last = format!("short-{}", many - 1);
    meter.exists("default", &last);
    meter.deleted("default", "nobody", time() + (40 * 24).hours());
    let usage = meter.usage(time());
    let rows: Vec<_> =
        usage.functions.iter().map(|one| (one.function.as_str(), one.version.as_str())).collect();
    assert_eq!(rows, [(DELETED, ""), ("lives", "$LATEST"), (&last, "$LATEST"), (&last, "1")]);
    assert_eq!(sum(|one| one.billed_ms), 5 + u64::from(many) * 30);
    let bill = bill(&usage, &Prices::default(), time().as_millisecond());
    let costs = bill.functions.iter().map(|one| (one.deleted, one.cost > 0.0, one.cost_per_month > 0.0));
    assert_eq!(costs.collect::<Vec<_>>(), [(true, true, false), (false, true, true), (false, true, true)]);
}

#[test]
fn what_was_deleted_while_nobody_looked_and_versions() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    for (function, version) in [("gone", "$LATEST"), ("here", "$LATEST"), ("here", "1"), ("here", "2")] {
        meter.ran(&of("default", function, version), run(1, false), time());
    }
    let known = [("default".to_owned(), "here".to_owned())].into();
    meter.functions_are(&known, time());
    meter.version_deleted("default", "here", "1");
    meter.version_deleted("default", "here", "2");
    meter.flush();
    drop(meter);
    let meter = Meter::open(dir.path()).expect("the same again");
    let usage = meter.usage(time());
    let rows = usage
        .functions
        .iter()
        .map(|one| (one.function.as_str(), one.version.as_str(), one.invocations, one.deleted_ms > 0));
    let expected = [("gone", "$LATEST", 1, true), ("here", "$LATEST", 1, false), ("here", DELETED, 2, false)];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn namespaces_that_come_and_go_are_summed_up_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let meter = Meter::open(dir.path()).expect("a meter");
    let (rows, month) = (crate::rows::ROWS_MAX, (40 * 24).hours());
    let count = rows + rows / 2;
    for number in 0..count {
        let namespace = format!("run-{number}");
        meter.ran(&of(&namespace, "f", "$LATEST"), run(1, false), time());
        if number % 500 == 499 {
            // All are deleted; a month passes, and they are a row of their namespace, which is gone as well.
            meter.functions_are(&std::collections::BTreeSet::new(), time());
            meter.deleted("none", "none", time() + month);
        }
    }
    let usage = meter.usage(time());
    assert!(usage.functions.len() <= rows, "{}", usage.functions.len());
    assert_eq!(usage.functions.iter().map(|one| one.invocations).sum::<u64>(), count as u64);
    assert!(usage.functions.iter().any(|one| one.namespace == OTHERS && one.function == OTHERS));
}
