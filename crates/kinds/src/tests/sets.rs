//! DaemonSets, StatefulSets and their revisions.

use super::{check, check_update};
use expect_test::expect;

fn set(kind: &str, spec: &str) -> String {
    format!(
        "{{kind: {kind}, metadata: {{name: s}}, spec: {{selector: {{matchLabels: {{a: b}}}}, {spec} template: {{metadata:
        {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: 'i:1'}}]}}}}}}}}"
    )
}

#[test]
fn daemon_sets_get_their_defaults() {
    check(
        &set("DaemonSet", ""),
        expect![[r#"
        spec:
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              a: b
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
          updateStrategy:
            rollingUpdate:
              maxSurge: 0
              maxUnavailable: 1
            type: RollingUpdate
    "#]],
    );
    check(
        &set("DaemonSet", "updateStrategy: {type: OnDelete},")
            .replace("template", "minReadySeconds: 3, template"),
        expect![[r#"
            spec:
              minReadySeconds: 3
              revisionHistoryLimit: 10
              selector:
                matchLabels:
                  a: b
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
              updateStrategy:
                type: OnDelete
        "#]],
    );
}

#[test]
fn daemon_sets_that_are_refused() {
    for (spec, want) in [
        (
            "updateStrategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 0}}, minReadySeconds: -1,",
            expect![[r#"
                422 DaemonSet.apps "s" is invalid: [spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0, spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0]
            "#]],
        ),
        (
            "updateStrategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 1}},",
            expect![[r#"
            422 DaemonSet.apps "s" is invalid: spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero
        "#]],
        ),
        (
            "updateStrategy: {rollingUpdate: {maxUnavailable: 101%, maxSurge: x}}, revisionHistoryLimit: -1,",
            expect![[r#"
                422 DaemonSet.apps "s" is invalid: [spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0, spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%, spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "x": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%'), spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "x": may not be set when maxUnavailable is non-zero]
            "#]],
        ),
        (
            "updateStrategy: {type: Recreate},",
            expect![[r#"
            422 DaemonSet.apps "s" is invalid: spec.updateStrategy.type: Unsupported value: "Recreate": supported values: "OnDelete", "RollingUpdate"
        "#]],
        ),
    ] {
        check(&set("DaemonSet", spec), want);
    }
}

#[test]
fn daemon_sets_change() {
    let old = set("DaemonSet", "");
    check_update(
        &old,
        &old.replace("i:1", "i:2"),
        expect![[r#"
        generation 2, spec changed true, status null
    "#]],
    );
    check_update(
        &old,
        &old.replace("a: b", "a: c"),
        expect![[r#"
        422 DaemonSet.apps "s" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable
    "#]],
    );
}

#[test]
fn stateful_sets_get_their_defaults() {
    check(
        &set("StatefulSet", "serviceName: front,"),
        expect![[r#"
        spec:
          persistentVolumeClaimRetentionPolicy:
            whenDeleted: Retain
            whenScaled: Retain
          podManagementPolicy: OrderedReady
          replicas: 1
          revisionHistoryLimit: 10
          selector:
            matchLabels:
              a: b
          serviceName: front
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
          updateStrategy:
            rollingUpdate:
              maxUnavailable: 1
              partition: 0
            type: RollingUpdate
    "#]],
    );
}

#[test]
fn stateful_sets_that_are_refused() {
    for (spec, want) in [
        (
            "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}],",
            expect![[r#"
                422 StatefulSet.apps "s" is invalid: spec.volumeClaimTemplates[0].spec.resources[storage]: Required value
            "#]],
        ),
        (
            "podManagementPolicy: Wild, replicas: -1, ordinals: {start: -1}, serviceName: A.B,",
            expect![[r#"
            422 StatefulSet.apps "s" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.podManagementPolicy: Invalid value: "Wild": must be 'OrderedReady' or 'Parallel', spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0, spec.serviceName: Invalid value: "A.B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')]
        "#]],
        ),
        (
            "updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}},",
            expect![[r#"
            422 StatefulSet.apps "s" is invalid: spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy 'RollingUpdate'
        "#]],
        ),
        (
            "updateStrategy: {rollingUpdate: {partition: -1, maxUnavailable: 0}}, revisionHistoryLimit: -1,",
            expect![[r#"
                422 StatefulSet.apps "s" is invalid: [spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0, spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0, spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0]
            "#]],
        ),
        (
            "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 200%}},",
            expect![[r#"
            422 StatefulSet.apps "s" is invalid: spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "200%": must not be greater than 100%
        "#]],
        ),
        (
            "updateStrategy: {type: Recreate}, persistentVolumeClaimRetentionPolicy: {whenScaled: Keep},",
            expect![[r#"
                422 StatefulSet.apps "s" is invalid: [spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Delete", "Retain", spec.updateStrategy.type: Invalid value: "Recreate": must be 'RollingUpdate' or 'OnDelete']
            "#]],
        ),
    ] {
        check(&set("StatefulSet", spec), want);
    }
    check(
        &set("StatefulSet", "").replace("name: s", "name: a.b"),
        expect![[r#"
        422 StatefulSet.apps "a.b" is invalid: metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
    "#]],
    );
}

#[test]
fn stateful_sets_change() {
    let old = set("StatefulSet", "serviceName: front,");
    check_update(
        &old,
        &old.replace("i:1", "i:2"),
        expect![[r#"
        generation 2, spec changed true, status null
    "#]],
    );
    check_update(
        &old,
        &old.replace("serviceName: front,", "podManagementPolicy: Parallel,"),
        expect![[r#"
        422 StatefulSet.apps "s" is invalid: [spec.serviceName: Invalid value: null: field is immutable, spec.podManagementPolicy: Invalid value: "Parallel": field is immutable]
    "#]],
    );
}

#[test]
fn controller_revisions() {
    let revision =
        "{kind: ControllerRevision, metadata: {name: r}, revision: 3, data: {spec: {template: {}}}}";
    check(
        revision,
        expect![[r#"
        data:
          spec:
            template: {}
        revision: 3
    "#]],
    );
    check(
        "{kind: ControllerRevision, metadata: {name: r}, revision: -1}",
        expect![[r#"
        422 ControllerRevision.apps "r" is invalid: [revision: Invalid value: -1: must be greater than or equal to 0, data: Required value: data is mandatory]
    "#]],
    );
    check(
        "{kind: ControllerRevision, metadata: {name: r}, revision: 1, data: [1]}",
        expect![[r#"
        422 ControllerRevision.apps "r" is invalid: data: Required value: data must be a valid JSON object
    "#]],
    );
    check_update(
        revision,
        &revision.replace("revision: 3", "revision: 4"),
        expect![[r#"
        generation null, spec changed false, status null
    "#]],
    );
    check_update(
        revision,
        &revision.replace("template", "other"),
        expect![[r#"
        422 ControllerRevision.apps "r" is invalid: data: Invalid value: {"spec":{"other":{}}}: field is immutable
    "#]],
    );
}
