//! HorizontalPodAutoscalers.

use super::{check, check_update, created};
use expect_test::expect;
use object::table::{Include, row};
use serde_json::{Value, json};

fn autoscaler(spec: &str) -> String {
    format!(
        "{{kind: HorizontalPodAutoscaler, metadata: {{name: h}}, spec: {{scaleTargetRef: {{apiVersion: apps/v1,
        kind: Deployment, name: web}}, {spec}}}}}"
    )
}

#[test]
fn they_get_their_defaults() {
    check(
        &autoscaler("maxReplicas: 3"),
        expect![[r#"
        spec:
          maxReplicas: 3
          metrics:
          - resource:
              name: cpu
              target:
                averageUtilization: 80
                type: Utilization
            type: Resource
          minReplicas: 1
          scaleTargetRef:
            apiVersion: apps/v1
            kind: Deployment
            name: web
    "#]],
    );
    check(
        &autoscaler(
            "maxReplicas: 3, minReplicas: 2, behavior: {scaleDown: {stabilizationWindowSeconds: 5, policies:
            [{type: Pods, value: 1, periodSeconds: 60}]}}, metrics: [{type: ContainerResource, containerResource:
            {name: memory, container: main, target: {type: AverageValue, averageValue: 0.5Gi}}}]",
        ),
        expect![[r#"
            spec:
              behavior:
                scaleDown:
                  policies:
                  - periodSeconds: 60
                    type: Pods
                    value: 1
                  selectPolicy: Max
                  stabilizationWindowSeconds: 5
                scaleUp:
                  policies:
                  - periodSeconds: 15
                    type: Pods
                    value: 4
                  - periodSeconds: 15
                    type: Percent
                    value: 100
                  selectPolicy: Max
                  stabilizationWindowSeconds: 0
              maxReplicas: 3
              metrics:
              - containerResource:
                  container: main
                  name: memory
                  target:
                    averageValue: 512Mi
                    type: AverageValue
                type: ContainerResource
              minReplicas: 2
              scaleTargetRef:
                apiVersion: apps/v1
                kind: Deployment
                name: web
        "#]],
    );
}

#[test]
fn they_are_refused() {
    for (spec, want) in [
        ("maxReplicas: 0, minReplicas: -1", expect![[r#"
            422 HorizontalPodAutoscaler.autoscaling "h" is invalid: [spec.minReplicas: Invalid value: -1: must be greater than or equal to 0, spec.maxReplicas: Required value: must be set and greater than 0]
        "#]]),
        ("maxReplicas: 2, minReplicas: 3", expect![[r#"
            422 HorizontalPodAutoscaler.autoscaling "h" is invalid: spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`
        "#]]),
        ("maxReplicas: 2, minReplicas: 0", expect![[r#"
            422 HorizontalPodAutoscaler.autoscaling "h" is invalid: spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas
        "#]]),
        (
            "maxReplicas: 2, metrics: [{type: Disk}, {type: Resource}, {type: Resource, resource: {name: cpu, target:
            {type: Utilization}}, pods: {metric: {name: x}, target: {type: Value}}}, {type: Resource, resource:
            {name: cpu, target: {type: Much, averageUtilization: 0, averageValue: -1}}}]",
            expect![[r#"
                422 HorizontalPodAutoscaler.autoscaling "h" is invalid: [spec.metrics[0].type: Unsupported value: "Disk": supported values: "ContainerResource", "External", "Object", "Pods", "Resource", spec.metrics[1].resource: Required value: must populate information for the given metric source, spec.metrics[2].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization, spec.metrics[2].pods: Forbidden: must populate the given metric source only, spec.metrics[3].resource.target.type: Invalid value: "Much": must be either Utilization, Value, or AverageValue, spec.metrics[3].resource.target.averageValue: Invalid value: "-1": must be positive, spec.metrics[3].resource.target.averageUtilization: Invalid value: 0: must be greater than 0, spec.metrics[3].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization]
            "#]],
        ),
        (
            "maxReplicas: 2, metrics: [{type: ContainerResource, containerResource: {name: gpu, container: A_, target:
            {type: Utilization, averageUtilization: 5}}}, {type: Pods, pods: {metric: {name: a/b}, target: {type:
            AverageValue}}}, {type: Object, object: {describedObject: {kind: '', name: x}, metric: {name: ''}, target:
            {type: Value}}}, {type: External, external: {metric: {name: q}, target: {type: Value, value: 1,
            averageValue: 1}}}]",
            expect![[r#"
                422 HorizontalPodAutoscaler.autoscaling "h" is invalid: [spec.metrics[0].containerResource.container: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.metrics[0].containerResource.name: Invalid value: "gpu": must be a standard resource for containers, spec.metrics[1].pods.metric.name: Invalid value: "a/b": may not contain '/', spec.metrics[1].pods.target.averageValue: Required value: must specify a positive target averageValue, spec.metrics[2].object.describedObject.kind: Required value, spec.metrics[2].object.metric.name: Required value: must specify a metric name, spec.metrics[2].object.target.averageValue: Required value: must set either a target value or averageValue, spec.metrics[3].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target]
            "#]],
        ),
        (
            "maxReplicas: 2, behavior: {scaleUp: {selectPolicy: Some, stabilizationWindowSeconds: 3601, policies: []},
            scaleDown: {tolerance: -0.1, stabilizationWindowSeconds: -1, policies: [{type: Half, value: 0, periodSeconds:
            1801}]}}",
            expect![[r#"
                422 HorizontalPodAutoscaler.autoscaling "h" is invalid: [spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600, spec.behavior.scaleUp.selectPolicy: Unsupported value: "Some": supported values: "Disabled", "Max", "Min", spec.behavior.scaleUp.policies: Required value: must specify at least one Policy, spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero, spec.behavior.scaleDown.policies[0].type: Unsupported value: "Half": supported values: "Percent", "Pods", spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero, spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800, spec.behavior.scaleDown.tolerance: Invalid value: "-100m": must be greater than or equal to 0]
            "#]],
        ),
    ] {
        check(&autoscaler(spec), want);
    }
    let elsewhere = |target: &str| autoscaler("maxReplicas: 3").replace("apiVersion: apps/v1", target);
    check(
        &elsewhere("apiVersion: v1"),
        expect![[r#"
        422 HorizontalPodAutoscaler.autoscaling "h" is invalid: spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group
    "#]],
    );
    check(
        &elsewhere("apiVersion: a/b/c"),
        expect![[r#"
        422 HorizontalPodAutoscaler.autoscaling "h" is invalid: spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c
    "#]],
    );
    check(
        &elsewhere("apiVersion: ''").replace("name: web", "name: ''"),
        expect![[r#"
        422 HorizontalPodAutoscaler.autoscaling "h" is invalid: [spec.scaleTargetRef.name: Required value, spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group]
    "#]],
    );
}

#[test]
fn they_change() {
    let old = autoscaler("maxReplicas: 3");
    check_update(
        &old,
        &old.replace("maxReplicas: 3", "maxReplicas: 4"),
        expect![[r#"
        generation 2, spec changed true, status null
    "#]],
    );
    check_update(
        &old,
        &old.replace("maxReplicas: 3", "maxReplicas: -4"),
        expect![[r#"
        422 HorizontalPodAutoscaler.autoscaling "h" is invalid: [spec.maxReplicas: Invalid value: -4: must be greater than or equal to 1, spec.maxReplicas: Invalid value: -4: must be greater than or equal to `minReplicas`]
    "#]],
    );
}

#[test]
fn they_are_printed_with_what_is_and_what_should_be() {
    let kind = crate::kind("autoscaling", "v2", "horizontalpodautoscalers").expect("a kind");
    let shown = |metrics: &str, current: Value| {
        let mut object = created(&autoscaler(&format!("maxReplicas: 9, metrics: {metrics}"))).expect("valid");
        object["status"] = json!({ "currentReplicas": 3, "currentMetrics": current });
        let now = super::context(kind).now;
        row(kind, &object, Include::None, now)["cells"].to_string()
    };
    let cpu = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}";
    let memory = "{type: ContainerResource, containerResource: {name: memory, container: a, target: {type: AverageValue,
        averageValue: 64Mi}}}";
    let hits = "{type: Object, object: {describedObject: {kind: Service, name: s}, metric: {name: hits}, target: {type:
        Value, value: 2k}}}";
    let queue =
        "{type: External, external: {metric: {name: q}, target: {type: AverageValue, averageValue: 30}}}";
    let is = json!([
        { "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": 12, "averageValue": "12m" } } },
        { "type": "ContainerResource", "containerResource": { "name": "memory", "container": "a", "current": {
            "averageValue": "12Mi" } } },
    ]);
    expect![[r#"["h","Deployment/web","cpu: <unknown>/80%","1",9,3,"0s"]"#]]
        .assert_eq(&shown("", Value::Null));
    expect![[r#"["h","Deployment/web","cpu: 12%/70%, memory: 12Mi/64Mi","1",9,3,"0s"]"#]]
        .assert_eq(&shown(&format!("[{cpu}, {memory}]"), is.clone()));
    expect![[r#"["h","Deployment/web","cpu: 12%/70%, memory: 12Mi/64Mi + 2 more...","1",9,3,"0s"]"#]]
        .assert_eq(&shown(&format!("[{cpu}, {memory}, {hits}, {queue}]"), is));
    expect![[r#"["h","Deployment/web","<unknown>/2k, <unknown>/30 (avg)","1",9,3,"0s"]"#]]
        .assert_eq(&shown(&format!("[{hits}, {queue}]"), Value::Null));
}
