//! Deployments and pods.

use super::{check, check_update, context, created, read};
use expect_test::expect;

const DEPLOYMENT: &str = "{kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {a: b}},
    template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: 'i:1'}]}}}}";

#[test]
fn deployments_get_their_defaults() {
    check(
        DEPLOYMENT,
        expect![[r#"
        spec:
          progressDeadlineSeconds: 600
          replicas: 1
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              a: b
          strategy:
            rollingUpdate:
              maxSurge: 25%
              maxUnavailable: 25%
            type: RollingUpdate
          template:
            metadata:
              labels:
                a: b
            spec:
              containers:
              - image: i:1
                imagePullPolicy: IfNotPresent
                name: c
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
    "#]],
    );
}

#[test]
fn deployments_that_are_refused() {
    for (manifest, want) in [
        ("{kind: Deployment, metadata: {name: D_}, spec: {}}", expect![[r#"
            422 Deployment.apps "D_" is invalid: [metadata.name: Invalid value: "D_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), spec.selector: Required value, spec.template.spec.containers: Required value]
        "#]]),
        (
            "{kind: Deployment, metadata: {name: d}, spec: {replicas: -1, selector: {matchLabels: {a: x}},
              strategy: {type: Now}, template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never,
              containers: [{name: c, image: i}]}}}}",
            expect![[r#"
                422 Deployment.apps "d" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`, spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always", spec.strategy.type: Unsupported value: "Now": supported values: "Recreate", "RollingUpdate"]
            "#]],
        ),
        (
            "{kind: Deployment, metadata: {name: d}, spec: {selector: {}, strategy: {rollingUpdate: {maxSurge: 0,
              maxUnavailable: 0}}, template: {spec: {containers: [{name: c, image: i}]}}}}",
            expect![[r#"
                422 Deployment.apps "d" is invalid: [spec.selector: Invalid value: {}: empty selector is invalid for deployment, spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0]
            "#]],
        ),
        (
            "{kind: Deployment, metadata: {name: d}, spec: {selector: {matchExpressions: [{key: a, operator: In}]},
              strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}, template: {metadata: {labels: {a: '-'}},
              spec: {containers: []}}}}",
            expect![[r#"
                422 Deployment.apps "d" is invalid: [spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn', spec.template.metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?'), spec.template.spec.containers: Required value, spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate']
            "#]],
        ),
    ] {
        check(manifest, want);
    }
}

#[test]
fn deployments_change() {
    let other = DEPLOYMENT.replace("a: b", "a: x");
    check_update(
        DEPLOYMENT,
        &other,
        expect![[r#"
        422 Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"x"}}: field is immutable
    "#]],
    );
    check_update(
        DEPLOYMENT,
        DEPLOYMENT,
        expect![[r#"
        generation 1, spec changed false, status null
    "#]],
    );
    check_update(
        DEPLOYMENT,
        &DEPLOYMENT.replace("i:1", "i:2"),
        expect![[r#"
        generation 2, spec changed true, status null
    "#]],
    );
    let annotated = DEPLOYMENT.replace("{name: d}", "{name: d, annotations: {x: z}}");
    check_update(
        DEPLOYMENT,
        &annotated,
        expect![[r#"
        generation 2, spec changed false, status null
    "#]],
    );
}

const POD: &str =
    "{kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i, resources: {limits:
    {cpu: 1, memory: 64Mi}}, ports: [{containerPort: 80}], readinessProbe: {httpGet: {port: 80}}}],
    volumes: [{name: v}, {name: w, configMap: {name: m}}]}}";

#[test]
fn pods_get_their_defaults() {
    check(
        POD,
        expect![[r#"
        spec:
          containers:
          - image: i
            imagePullPolicy: Always
            name: c
            ports:
            - containerPort: 80
              protocol: TCP
            readinessProbe:
              failureThreshold: 3
              httpGet:
                path: /
                port: 80
                scheme: HTTP
              periodSeconds: 10
              successThreshold: 1
              timeoutSeconds: 1
            resources:
              limits:
                cpu: "1"
                memory: 64Mi
              requests:
                cpu: "1"
                memory: 64Mi
            terminationMessagePath: /dev/termination-log
            terminationMessagePolicy: File
          dnsPolicy: ClusterFirst
          enableServiceLinks: true
          restartPolicy: Always
          schedulerName: default-scheduler
          securityContext: {}
          terminationGracePeriodSeconds: 30
          volumes:
          - emptyDir: {}
            name: v
          - configMap:
              defaultMode: 420
              name: m
            name: w
        status:
          phase: Pending
          qosClass: Guaranteed
    "#]],
    );
}

#[test]
fn pods_that_are_refused() {
    for (spec, want) in [
        ("{}", expect![[r#"
            422 Pod "p" is invalid: spec.containers: Required value
        "#]]),
        (
            "{restartPolicy: Sometimes, dnsPolicy: Mine, containers: [{name: A, image: ''}, {name: c, image: ' i'},
              {name: c, image: i, imagePullPolicy: Perhaps}]}",
            expect![[r#"
                422 Pod "p" is invalid: [spec.containers[0].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.containers[0].image: Required value, spec.containers[1].image: Invalid value: " i": must not have leading or trailing whitespace, spec.containers[2].imagePullPolicy: Unsupported value: "Perhaps": supported values: "Always", "IfNotPresent", "Never", spec.containers[2].name: Duplicate value: "c", spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never", spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]
            "#]],
        ),
        (
            "{containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /a}, {name: w, mountPath: /a},
              {name: w, mountPath: /b, subPath: ../x}], env: [{name: 'a=b'}, {value: x},
              {name: x, value: z, valueFrom: {fieldRef: {fieldPath: spec.nope}}}],
              ports: [{containerPort: 0}, {containerPort: 70000, name: UPPER}, {containerPort: 1, protocol: ICMP}]}],
              volumes: [{name: w, emptyDir: {}, hostPath: {path: /x}}, {name: w}, {name: s, secret: {}}]}",
            expect![[r#"
                422 Pod "p" is invalid: [spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type, spec.volumes[1].name: Duplicate value: "w", spec.volumes[2].secret.secretName: Required value, spec.containers[0].ports[0].containerPort: Required value, spec.containers[0].ports[1].name: Invalid value: "UPPER": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-), spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.containers[0].ports[2].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP", spec.containers[0].env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '=', spec.containers[0].env[1].name: Required value, spec.containers[0].env[2].valueFrom: Invalid value: "": may not be specified when `value` is not empty, spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.nope": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", spec.containers[0].volumeMounts[0].name: Not found: "v", spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique, spec.containers[0].volumeMounts[2].subPath: Invalid value: "../x": must not contain '..']
            "#]],
        ),
        (
            "{containers: [{name: c, image: i, resources: {limits: {cpu: -1, memory: 1Gi, gpu: 1},
              requests: {memory: 2Gi, example.com/x: 500m}}, livenessProbe: {exec: {}, tcpSocket: {port: nope_},
              successThreshold: 2}, securityContext: {runAsUser: -1}}],
              initContainers: [{name: c, image: i, readinessProbe: {exec: {command: [a]}}}],
              tolerations: [{operator: Equal}, {key: a, operator: Near}], terminationGracePeriodSeconds: -5,
              activeDeadlineSeconds: 0, nodeSelector: {a b: c}, hostname: A.B}",
            expect![[r#"
                422 Pod "p" is invalid: [spec.containers[0].livenessProbe.exec.command: Required value, spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type, spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1, spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0, spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers, spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0, spec.containers[0].resources.requests[example.com/x]: Invalid value: "500m": must be an integer, spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers, spec.containers[0].resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi, spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive, spec.initContainers[0].name: Duplicate value: "c", spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always, spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive, spec.hostname: Invalid value: "A.B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.nodeSelector: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys", spec.tolerations[1].operator: Unsupported value: "Near": supported values: "Equal", "Exists"]
            "#]],
        ),
    ] {
        check(&format!("{{kind: Pod, metadata: {{name: p}}, spec: {spec}}}"), want);
    }
}

#[test]
fn pods_hardly_change() {
    check_update(
        POD,
        &POD.replace("image: i", "image: j"),
        expect![[r#"
        generation 2, spec changed true, status {"phase":"Pending","qosClass":"Guaranteed"}
    "#]],
    );
    check_update(
        POD,
        &POD.replace("64Mi", "65Mi"),
        expect![[r#"
        422 Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)
    "#]],
    );
    check_update(
        POD,
        &POD.replace("name: p", "name: q"),
        expect![[r#"
        422 Pod "q" is invalid: metadata.name: Invalid value: "q": field is immutable
    "#]],
    );
    check_update(
        POD,
        &POD.replace("volumes", "tolerations: [{operator: Exists}], volumes"),
        expect![[r#"
            generation 2, spec changed true, status {"phase":"Pending","qosClass":"Guaranteed"}
        "#]],
    );
}

#[test]
fn status_comes_in_by_its_own_door() {
    let old = created(DEPLOYMENT).expect("valid");
    let (kind, mut new) = read(&DEPLOYMENT.replace("i:1", "i:2"));
    new["status"] = serde_json::json!({"replicas": 3});
    let ctx = context(kind);
    let mut main = new.clone();
    kind.admit_update(&mut main, &old, None, &ctx).expect("valid");
    assert_eq!((main.get("status"), &main["metadata"]["generation"]), (None, &2.into()));
    new["metadata"]["annotations"] = serde_json::json!({"deployment.kubernetes.io/revision": "1"});
    kind.admit_update(&mut new, &old, Some("status"), &ctx).expect("valid");
    assert_eq!(new["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert_eq!((&new["spec"], &new["status"]["replicas"]), (&old["spec"], &3.into()));
    assert_eq!(new["metadata"]["generation"], 1);
}
