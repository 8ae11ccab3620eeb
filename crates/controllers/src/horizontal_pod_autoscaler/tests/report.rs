//! Whole turns: what is decided, and the status that tells of it.

use std::fmt::Write;

use expect_test::{Expect, expect};
use object::selector::LabelSelector;
use serde_json::{Value, json};

use super::super::history::History;
use super::super::metric::Seen;
use super::super::plan::{Plan, Report, Unselected, plan_bounds, plan_scaling, plan_unselected};
use super::{at, old, text};

fn autoscaler(metrics: Value) -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "ns", "generation": 2 },
        "spec": { "minReplicas": 2, "maxReplicas": 10, "metrics": metrics },
    })
}

fn cpu(percent: i64) -> Value {
    let target = json!({ "type": "Utilization", "averageUtilization": percent });
    json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } })
}

fn memory(average: &str) -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": average });
    json!({ "type": "Resource", "resource": { "name": "memory", "target": target } })
}

/// So many pods of which each uses so much.
fn seen(pods: usize, cpu: &str, memory: &str) -> Seen {
    let usage = |n: usize| {
        json!({ "metadata": { "name": format!("p{n}"), "labels": { "app": "web" } },
            "timestamp": text(1000), "window": "15s",
            "containers": [{ "name": "web", "usage": { "cpu": cpu, "memory": memory } }] })
    };
    let selector = LabelSelector::from_labels(&json!({ "app": "web" }));
    Seen { pods: old(pods), selector, usage: Ok((0..pods).map(usage).collect()) }
}

fn shown(plan: &Plan, status: &Value) -> String {
    let mut out = String::new();
    if let Some(rescale) = &plan.rescale {
        writeln!(out, "{} -> {}: {}", rescale.from, rescale.to, rescale.reason).expect("a string");
    }
    for (reason, message) in &plan.warnings {
        writeln!(out, "! {reason}: {message}").expect("a string");
    }
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let word = |field: &str| condition[field].as_str().unwrap_or_default();
        let line = format!("{} {} {}: {}", word("type"), word("status"), word("reason"), word("message"));
        writeln!(out, "{line}").expect("a string");
    }
    let mut rest = status.clone();
    rest.as_object_mut().map(|status| status.remove("conditions"));
    writeln!(out, "{rest}").expect("a string");
    out
}

#[expect(clippy::needless_pass_by_value, reason = "expectations are written in place")]
fn check(autoscaler: Value, current: i64, seen: Seen, expected: Expect) {
    let mut report = Report::of(&autoscaler, at(1000));
    let plan = match plan_bounds(&autoscaler, current, &mut report) {
        Some(plan) => plan,
        None => plan_scaling(&autoscaler, current, &seen, &History::default(), &mut report),
    };
    expected.assert_eq(&shown(&plan, &report.finish()));
}

#[test]
fn the_metric_that_asks_for_the_most_decides() {
    check(
        autoscaler(json!([cpu(70), memory("100Mi")])),
        3,
        seen(3, "126m", "50Mi"),
        expect![[r#"
        3 -> 6: cpu resource utilization (percentage of request) above target
        ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
        AbleToScale True ReadyForNewScale: recommended size matches current size
        ScalingLimited False DesiredWithinRange: the desired count is within the acceptable range
        {"currentMetrics":[{"resource":{"current":{"averageUtilization":126,"averageValue":"126m"},"name":"cpu"},"type":"Resource"},{"resource":{"current":{"averageValue":"50Mi"},"name":"memory"},"type":"Resource"}],"currentReplicas":3,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
}

#[test]
fn a_metric_that_fails_keeps_pods_but_does_not_keep_them_back() {
    let pods = json!({ "type": "Pods", "pods": { "metric": { "name": "packets" },
        "target": { "type": "AverageValue", "averageValue": "1k" } } });
    check(
        autoscaler(json!([pods, cpu(70)])),
        3,
        seen(3, "10m", "1Mi"),
        expect![[r#"
        ! FailedGetPodsMetric: unable to get metric packets: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered
        ! FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 2), first error is: failed to get pods metric value: unable to get metric packets: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered
        ScalingActive False FailedGetPodsMetric: the HPA was unable to compute the replica count: unable to get metric packets: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered
        {"currentMetrics":[{"type":""},{"resource":{"current":{"averageUtilization":10,"averageValue":"10m"},"name":"cpu"},"type":"Resource"}],"currentReplicas":3,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
    check(
        autoscaler(json!([pods, cpu(70)])),
        3,
        seen(3, "126m", "1Mi"),
        expect![[r#"
        3 -> 6: cpu resource utilization (percentage of request) above target
        ! FailedGetPodsMetric: unable to get metric packets: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered
        ScalingActive True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
        AbleToScale True ReadyForNewScale: recommended size matches current size
        ScalingLimited False DesiredWithinRange: the desired count is within the acceptable range
        {"currentMetrics":[{"type":""},{"resource":{"current":{"averageUtilization":126,"averageValue":"126m"},"name":"cpu"},"type":"Resource"}],"currentReplicas":3,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
}

#[test]
fn metrics_from_elsewhere_are_not_served() {
    let external = json!({ "type": "External", "external": { "metric": { "name": "queue" },
        "target": { "type": "Value", "value": "30" } } });
    let object = json!({ "type": "Object", "object": { "metric": { "name": "hits" },
        "describedObject": { "kind": "Ingress", "name": "front" }, "target": { "type": "Value", "value": "2k" } } });
    check(
        autoscaler(json!([external, object])),
        3,
        seen(3, "1", "1Mi"),
        expect![[r#"
        ! FailedGetExternalMetric: unable to get external metric ns/queue: unable to fetch metrics from external metrics API: no external metrics API (external.metrics.k8s.io) registered
        ! FailedGetObjectMetric: unable to get metric hits on Ingress ns/front: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered
        ! FailedComputeMetricsReplicas: invalid metrics (2 invalid out of 2), first error is: failed to get queue external metric value: unable to get external metric ns/queue: unable to fetch metrics from external metrics API: no external metrics API (external.metrics.k8s.io) registered
        ScalingActive False FailedGetExternalMetric: the HPA was unable to compute the replica count: unable to get external metric ns/queue: unable to fetch metrics from external metrics API: no external metrics API (external.metrics.k8s.io) registered
        {"currentMetrics":[{"type":""},{"type":""}],"currentReplicas":3,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
    let mut blind = seen(3, "1", "1Mi");
    blind.usage = Err("the server could not find the requested resource".into());
    check(
        autoscaler(json!([cpu(50)])),
        3,
        blind,
        expect![[r#"
        ! FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource
        ! FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource
        ScalingActive False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource
        {"currentMetrics":[{"type":""}],"currentReplicas":3,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
}

#[test]
fn bounds_come_before_metrics() {
    check(
        autoscaler(json!([cpu(70)])),
        0,
        seen(0, "0", "0"),
        expect![[r#"
        ScalingActive False ScalingDisabled: scaling is disabled since the replica count of the target is zero
        {"currentMetrics":[],"currentReplicas":0,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
    check(
        autoscaler(json!([cpu(70)])),
        1,
        seen(1, "0", "0"),
        expect![[r#"
        1 -> 2: Current number of replicas below Spec.MinReplicas
        {"currentMetrics":[],"currentReplicas":1,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
    check(
        autoscaler(json!([cpu(70)])),
        12,
        seen(1, "0", "0"),
        expect![[r#"
        12 -> 10: Current number of replicas above Spec.MaxReplicas
        {"currentMetrics":[],"currentReplicas":12,"desiredReplicas":0,"observedGeneration":2}
    "#]],
    );
}

#[test]
fn a_new_size_is_told_and_a_failure_as_well() {
    let autoscaler = autoscaler(json!([cpu(70)]));
    let tell = |done: Result<(), &str>| {
        let mut report = Report::of(&autoscaler, at(1000));
        let plan = plan_bounds(&autoscaler, 12, &mut report).expect("too many");
        report.rescaled(plan.rescale.as_ref().expect("a new size"), done);
        shown(&plan, &report.finish())
    };
    expect![[r#"
        12 -> 10: Current number of replicas above Spec.MaxReplicas
        AbleToScale True SucceededRescale: the HPA controller was able to update the target scale to 10
        ScaledToZero False NotScaledToZero: the HPA controller did not scale the workload to zero
        {"currentMetrics":[],"currentReplicas":12,"desiredReplicas":10,"lastScaleTime":"2027-01-15T08:16:40Z","observedGeneration":2}
    "#]].assert_eq(&tell(Ok(())));
    expect![[r#"
        12 -> 10: Current number of replicas above Spec.MaxReplicas
        AbleToScale False FailedUpdateScale: the HPA controller was unable to update the target scale: forbidden
        {"currentMetrics":[],"currentReplicas":12,"desiredReplicas":0,"observedGeneration":2}
    "#]].assert_eq(&tell(Err("forbidden")));
}

#[test]
fn pods_that_cannot_be_told_are_not_counted() {
    let autoscaler = autoscaler(json!([cpu(70)]));
    let tell = |reason, message: &str| {
        let mut report = Report::of(&autoscaler, at(1000));
        let unselected = Unselected { reason, message: message.to_owned() };
        let plan = plan_unselected(&autoscaler, 3, unselected, &mut report);
        shown(&plan, &report.finish())
    };
    expect![[r#"
        ! SelectorRequired: selector is required
        ! FailedComputeMetricsReplicas: selector is required
        ScalingActive False InvalidSelector: the HPA target's scale is missing a selector
        {"currentMetrics":[],"currentReplicas":3,"desiredReplicas":0,"observedGeneration":2}
    "#]]
    .assert_eq(&tell("SelectorRequired", "selector is required"));
    expect![[r#"
        ! AmbiguousSelector: pods by selector a=b are controlled by more than one HPA
        ! FailedComputeMetricsReplicas: pods by selector a=b are controlled by more than one HPA
        ScalingActive False AmbiguousSelector: pods by selector a=b are controlled by more than one HPA
        {"currentMetrics":[],"currentReplicas":3,"desiredReplicas":0,"observedGeneration":2}
    "#]]
    .assert_eq(&tell("AmbiguousSelector", "pods by selector a=b are controlled by more than one HPA"));
}
