//! Configuration, rights, functions, namespaces, nodes, and metadata of all.

use super::{check, check_update, context, created, read};
use expect_test::expect;

#[test]
fn configuration() {
    check(
        "{kind: ConfigMap, metadata: {name: c}, data: {a/b: c, ok: x}, binaryData: {ok: AA==}}",
        expect![[r#"
            422 ConfigMap "c" is invalid: [data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+'), data[ok]: Invalid value: "ok": duplicate of key present in binaryData]
        "#]],
    );
    check(
        "{kind: Secret, metadata: {name: s}, stringData: {a: b}, data: {c: AA==}}",
        expect![[r#"
        data:
          a: Yg==
          c: AA==
        type: Opaque
    "#]],
    );
    check(
        "{kind: Secret, metadata: {name: s}, type: kubernetes.io/tls, data: {tls.crt: AA==}}",
        expect![[r#"
            422 Secret "s" is invalid: data[tls.key]: Required value
        "#]],
    );
    let frozen = "{kind: ConfigMap, metadata: {name: c}, immutable: true, data: {a: b}}";
    check_update(
        frozen,
        &frozen.replace("b}", "c}"),
        expect![[r#"
        422 ConfigMap "c" is invalid: data: Forbidden: field is immutable when `immutable` is set
    "#]],
    );
    check_update(
        frozen,
        &frozen.replace("immutable: true, ", ""),
        expect![[r#"
        422 ConfigMap "c" is invalid: immutable: Forbidden: field is immutable when `immutable` is set
    "#]],
    );
    let opaque = "{kind: Secret, metadata: {name: s}}";
    check_update(
        opaque,
        "{kind: Secret, metadata: {name: s}, type: other}",
        expect![[r#"
        422 Secret "s" is invalid: type: Invalid value: "other": field is immutable
    "#]],
    );
    let large =
        format!("{{kind: ConfigMap, metadata: {{name: c}}, data: {{a: {}}}}}", "x".repeat(1024 * 1024 + 1));
    check(
        &large,
        expect![[r#"
        422 ConfigMap "c" is invalid: Too long: may not be more than 1048576 bytes
    "#]],
    );
}

#[test]
fn namespaces_and_nodes() {
    check(
        "{kind: Namespace, metadata: {name: nn}}",
        expect![[r#"
        spec:
          finalizers:
          - kubernetes
        status:
          phase: Active
    "#]],
    );
    check(
        "{kind: Namespace, metadata: {name: a.b}}",
        expect![[r#"
        422 Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
    "#]],
    );
    check(
        "{kind: Node, metadata: {name: nn}, spec: {taints: [{key: a, effect: Never}]}, status: {capacity: {cpu: 2}}}",
        expect![[r#"
            422 Node "nn" is invalid: spec.taints[0].effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "PreferNoSchedule"
        "#]],
    );
    check(
        "{kind: Node, metadata: {name: nn}, status: {capacity: {cpu: 2}}}",
        expect![[r#"
        status:
          allocatable:
            cpu: "2"
          capacity:
            cpu: "2"
    "#]],
    );
}

#[test]
fn roles_and_bindings() {
    check(
        "{kind: Role, metadata: {name: 'a:b'}, rules: [{verbs: [], resources: [pods]}, {verbs: [get], nonResourceURLs: [/x]}]}",
        expect![[r#"
            422 Role.rbac.authorization.k8s.io "a:b" is invalid: [rules[0].verbs: Required value: verbs must contain at least one value, rules[0].apiGroups: Required value: resource rules must supply at least one api group, rules[1].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs]
        "#]],
    );
    let binding = "{kind: RoleBinding, metadata: {name: b}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: u},
        {kind: ServiceAccount, name: s, namespace: ns}]}";
    check(
        binding,
        expect![[r#"
        roleRef:
          apiGroup: rbac.authorization.k8s.io
          kind: Role
          name: r
        subjects:
        - apiGroup: rbac.authorization.k8s.io
          kind: User
          name: u
        - kind: ServiceAccount
          name: s
          namespace: ns
    "#]],
    );
    check("{kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {kind: Role, name: r}, subjects: [{kind: Robot, name: u},
        {kind: ServiceAccount, name: s}]}", expect![[r#"
            422 ClusterRoleBinding.rbac.authorization.k8s.io "b" is invalid: [roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole", subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group", subjects[1].namespace: Required value]
        "#]]);
    check_update(
        binding,
        &binding.replace("name: r}", "name: q}"),
        expect![[r#"
        422 RoleBinding.rbac.authorization.k8s.io "b" is invalid: roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"q"}: cannot change roleRef
    "#]],
    );
}

#[test]
fn functions() {
    check(
        "{kind: Function, metadata: {name: f}, spec: {runtime: nodejs22.x, url: {}}}",
        expect![[r#"
        spec:
          architectures:
          - x86_64
          ephemeralStorageMB: 512
          memoryMB: 128
          packageType: Zip
          runtime: nodejs22.x
          timeoutSeconds: 3
          url:
            authType: NONE
            invokeMode: BUFFERED
    "#]],
    );
    check(
        "{kind: Function, metadata: {name: f}, spec: {timeoutSeconds: 901, memoryMB: 1, reservedConcurrency: -1,
          environment: {1A: x}, code: {sha256: zz}, url: {authType: OPEN, routes: ['GET /a', 'FETCH /a', a]}}}",
        expect![[r#"
            422 Function.dory.dev "f" is invalid: [spec.runtime: Required value, spec.timeoutSeconds: Invalid value: 901: must be between 1 and 900, inclusive, spec.memoryMB: Invalid value: 1: must be between 128 and 10240, inclusive, spec.code.sha256: Invalid value: "zz": must be 64 lowercase hexadecimal digits, spec.environment[1A]: Invalid value: "1A": must start with a letter and hold only letters, digits and '_', spec.reservedConcurrency: Invalid value: -1: must be greater than or equal to 0, spec.url.authType: Unsupported value: "OPEN": supported values: "AWS_IAM", "NONE", spec.url.routes[1]: Unsupported value: "FETCH": supported values: "ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", spec.url.routes[2]: Invalid value: "a": must be a method and a path, as in "GET /users/{userId}"]
        "#]],
    );
}

#[test]
fn functions_that_are_images() {
    check(
        "{kind: Function, metadata: {name: f}, spec: {packageType: Image, image: {uri: 'app:1', digest: 'sha256:SHA'},
          imageConfig: {command: [app.handler]}}}"
            .replace("SHA", &"0".repeat(64))
            .as_str(),
        expect![[r#"
            spec:
              architectures:
              - x86_64
              ephemeralStorageMB: 512
              image:
                digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
                uri: app:1
              imageConfig:
                command:
                - app.handler
              memoryMB: 128
              packageType: Image
              timeoutSeconds: 3
        "#]],
    );
    check(
        "{kind: Function, metadata: {name: f}, spec: {packageType: Image, runtime: x, layers: [{arn: a, sha256: b}],
          image: {digest: 'sha256:ab'}, imageConfig: {workingDirectory: here}}}",
        expect![[r#"
            422 Function.dory.dev "f" is invalid: [spec.runtime: Forbidden: not for packageType Image, spec.layers: Forbidden: not for packageType Image, spec.image.uri: Required value: the name of the image, spec.image.digest: Invalid value: "sha256:ab": must be sha256: and 64 lowercase hexadecimal digits, spec.imageConfig.workingDirectory: Invalid value: "here": must be an absolute path, spec.layers[0].sha256: Invalid value: "b": must be 64 lowercase hexadecimal digits]
        "#]],
    );
    check(
        "{kind: Function, metadata: {name: f}, spec: {runtime: provided.al2, image: {uri: 'app:1'}}}",
        expect![[r#"
            422 Function.dory.dev "f" is invalid: spec.image: Forbidden: only for packageType Image
        "#]],
    );
}

#[test]
fn layers() {
    check(
        "{kind: Function, metadata: {name: f}, spec: {runtime: provided.al2, layers: [{arn: a}, {sha256: zz}],
          tracing: Sometimes, recursiveLoop: Maybe, eventInvoke: {maximumRetryAttempts: 3, maximumEventAgeInSeconds: 59}}}",
        expect![[r#"
            422 Function.dory.dev "f" is invalid: [spec.layers[0].sha256: Required value: the archive of the layer in the code store, spec.layers[1].arn: Required value, spec.layers[1].sha256: Invalid value: "zz": must be 64 lowercase hexadecimal digits, spec.tracing: Unsupported value: "Sometimes": supported values: "Active", "PassThrough", spec.eventInvoke.maximumRetryAttempts: Invalid value: 3: must be between 0 and 2, inclusive, spec.eventInvoke.maximumEventAgeInSeconds: Invalid value: 59: must be between 60 and 21600, inclusive, spec.recursiveLoop: Unsupported value: "Maybe": supported values: "Allow", "Terminate"]
        "#]],
    );
    let layer = "{kind: LayerVersion, metadata: {name: l.1}, spec: {layerName: l, version: 1, code: {sha256: \"SHA\", size: 3}}}";
    let layer = layer.replace("SHA", &"0".repeat(64));
    check(
        "{kind: LayerVersion, metadata: {name: l.1}, spec: {version: 0, compatibleArchitectures: [mips]}}",
        expect![[r#"
            422 LayerVersion.dory.dev "l.1" is invalid: [spec.layerName: Required value, spec.version: Invalid value: 0: must be greater than 0, spec.code.sha256: Required value, spec.compatibleArchitectures[0]: Unsupported value: "mips": supported values: "arm64", "x86_64"]
        "#]],
    );
    check_update(
        &layer,
        &layer.replace("version: 1", "version: 2"),
        expect![[r#"
        422 LayerVersion.dory.dev "l.1" is invalid: spec.version: Invalid value: 2: field is immutable
    "#]],
    );
    check_update(
        &layer,
        "{kind: LayerVersion, metadata: {name: l.1}, spec: {layerName: l, version: 1, deleted: true}}",
        expect![[r#"
        generation 2, spec changed true, status null
    "#]],
    );
}

#[test]
fn function_versions() {
    check(
        "{kind: FunctionVersion, metadata: {name: f.1}, spec: {functionName: f, version: '1', runtime: python3.13}}",
        expect![[r#"
            spec:
              architectures:
              - x86_64
              ephemeralStorageMB: 512
              functionName: f
              memoryMB: 128
              packageType: Zip
              runtime: python3.13
              timeoutSeconds: 3
              version: "1"
        "#]],
    );
    check(
        "{kind: FunctionVersion, metadata: {name: f}, spec: {version: '01', memoryMB: 1, provisionedConcurrency: 0}}",
        expect![[r#"
            422 FunctionVersion.dory.dev "f" is invalid: [spec.runtime: Required value, spec.memoryMB: Invalid value: 1: must be between 128 and 10240, inclusive, spec.functionName: Required value, spec.version: Invalid value: "01": must be a number without leading zeros, from 1, spec.provisionedConcurrency: Invalid value: 0: must be greater than or equal to 1]
        "#]],
    );
    check(
        "{kind: FunctionVersion, metadata: {name: f.2}, spec: {functionName: f, version: '1', runtime: python3.13}}",
        expect![[r#"
            422 FunctionVersion.dory.dev "f.2" is invalid: metadata.name: Invalid value: "f.2": must be the function's name, a dot and the version
        "#]],
    );
    let version =
        "kind: FunctionVersion, metadata: {name: f.1}, spec: {functionName: f, version: '1', runtime: x";
    check_update(
        &format!("{{{version}, description: a}}}}"),
        &format!("{{{version}, provisionedConcurrency: 2, memoryMB: 256}}}}"),
        expect![[r#"
            422 FunctionVersion.dory.dev "f.1" is invalid: [spec.memoryMB: Invalid value: 256: a published version cannot be changed: publish another, spec.description: Invalid value: "a": a published version cannot be changed: publish another]
        "#]],
    );
}

#[test]
fn function_aliases() {
    check(
        "{kind: FunctionAlias, metadata: {name: f.live}, spec: {functionName: f, name: live, functionVersion: '1',
          routing: {'2': 0.1}}}",
        expect![[r#"
            spec:
              functionName: f
              functionVersion: "1"
              name: live
              routing:
                "2": 0.1
        "#]],
    );
    check(
        "{kind: FunctionAlias, metadata: {name: live}, spec: {functionName: f, name: '12', functionVersion: new,
          routing: {'$LATEST': 2, '3': 0.5}, provisionedConcurrency: -1}}",
        expect![[r#"
            422 FunctionAlias.dory.dev "live" is invalid: [metadata.name: Invalid value: "live": must be the function's name, a dot and the alias, spec.name: Invalid value: "12": must not look like a version, spec.functionVersion: Invalid value: "new": must be a version or $LATEST, spec.routing: Too many: 2: must have at most 1 item, spec.routing[$LATEST]: Invalid value: "$LATEST": must be another published version, spec.routing[$LATEST]: Invalid value: 2: must be between 0 and 1, inclusive, spec.provisionedConcurrency: Invalid value: -1: must be greater than or equal to 1]
        "#]],
    );
    check(
        "{kind: FunctionAlias, metadata: {name: f.x}, spec: {functionName: f, name: x, functionVersion: $LATEST,
          routing: {'3': 0.5}}}",
        expect![[r#"
            422 FunctionAlias.dory.dev "f.x" is invalid: spec.routing: Forbidden: $LATEST cannot share its requests with another version
        "#]],
    );
    let alias = "kind: FunctionAlias, metadata: {name: f.a}, spec: {functionName: f, functionVersion: '1'";
    check_update(
        &format!("{{{alias}, name: a}}}}"),
        &format!("{{{alias}, name: b}}}}"),
        expect![[r#"
        422 FunctionAlias.dory.dev "f.a" is invalid: spec.name: Invalid value: "b": field is immutable
    "#]],
    );
}

#[test]
fn event_source_mappings() {
    let arn = "eventSourceArn: 'arn:aws:sqs:us-east-1:000000000000:q'";
    check(
        &format!("{{kind: EventSourceMapping, metadata: {{name: m}}, spec: {{functionName: f, {arn}}}}}"),
        expect![[r#"
            spec:
              batchSize: 10
              enabled: true
              eventSourceArn: arn:aws:sqs:us-east-1:000000000000:q
              functionName: f
              maximumBatchingWindowInSeconds: 0
        "#]],
    );
    check(
        "{kind: EventSourceMapping, metadata: {name: m}, spec: {functionName: '', eventSourceArn: 'arn:aws:sns:x',
          batchSize: 11, maximumConcurrency: 1, functionResponseTypes: [Other]}}",
        expect![[r#"
            422 EventSourceMapping.dory.dev "m" is invalid: [spec.functionName: Required value, spec.eventSourceArn: Invalid value: "arn:aws:sns:x": must be the ARN of an SQS queue, spec.maximumConcurrency: Invalid value: 1: must be between 2 and 1000, inclusive, spec.maximumBatchingWindowInSeconds: Invalid value: 0: must be greater than 0 where batchSize is greater than 10, spec.functionResponseTypes[0]: Unsupported value: "Other": supported values: "ReportBatchItemFailures"]
        "#]],
    );
    let mapping = "kind: EventSourceMapping, metadata: {name: m}, spec: {functionName: f";
    check_update(
        &format!("{{{mapping}, {arn}}}}}"),
        &format!("{{{mapping}, {}}}}}", arn.replace(":q", ":other")),
        expect![[r#"
            422 EventSourceMapping.dory.dev "m" is invalid: spec.eventSourceArn: Invalid value: "arn:aws:sqs:us-east-1:000000000000:other": field is immutable
        "#]],
    );
}

#[test]
fn metadata() {
    let (kind, mut object) = read(
        "{kind: ConfigMap, metadata: {generateName: a-, uid: mine, creationTimestamp: '2020-01-01T00:00:00Z'}}",
    );
    kind.admit_create(&mut object, &context(kind)).expect("valid");
    expect![[r#"{"creationTimestamp":"2026-09-21T14:13:20Z","generateName":"a-","name":"a-kbbbb","namespace":"default","uid":"00000000-0000-0000-0000-000000000007"}"#]].assert_eq(&object["metadata"].to_string());
    for (meta, want) in [
        (
            "{}",
            expect![[r#"
            422 ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required
        "#]],
        ),
        (
            "{name: c, namespace: other}",
            expect![[r#"
            400 the namespace of the provided object does not match the namespace sent on the request (other != default)
        "#]],
        ),
        (
            "{name: c, resourceVersion: '1'}",
            expect![[r#"
            400 resourceVersion should not be set on objects to be created
        "#]],
        ),
        (
            "{name: c, labels: {a: b c, -x: z}, annotations: {'': x}, finalizers: [a b]}",
            expect![[r#"
            422 ConfigMap "c" is invalid: [metadata.labels: Invalid value: "-x": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), metadata.labels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?'), metadata.annotations: Invalid value: "": name part must be non-empty, metadata.finalizers[0]: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')]
        "#]],
        ),
        (
            "{name: c, ownerReferences: [{name: x, controller: true}, {apiVersion: v1, kind: Pod, name: z, uid: u, controller: true}]}",
            expect![[r#"
                422 ConfigMap "c" is invalid: [metadata.ownerReferences[0].apiVersion: Invalid value: null: version must not be empty, metadata.ownerReferences[0].kind: Invalid value: null: must not be empty, metadata.ownerReferences[0].uid: Invalid value: null: must not be empty, metadata.ownerReferences: Invalid value: [{"controller":true,"name":"x"},{"apiVersion":"v1","controller":true,"kind":"Pod","name":"z","uid":"u"}]: Only one reference can have Controller set to true]
            "#]],
        ),
    ] {
        check(&format!("{{kind: ConfigMap, metadata: {meta}}}"), want);
    }
}

#[test]
fn what_is_hardly_meant_is_said() {
    let (kind, mut pod) = read(
        "{kind: Pod, metadata: {name: p, finalizers: [mine, a/b]}, spec: {containers: [{name: c, image: i,
          env: [{name: A, value: x}, {name: A, value: z}]}]}}",
    );
    let warnings = kind.admit_create(&mut pod, &context(kind)).expect("valid");
    expect![[r#"
        metadata.finalizers: "mine": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers
        spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#]].assert_eq(&warnings.join("\n"));
}

#[test]
fn what_is_being_deleted_gets_no_new_finalizers() {
    let mut old = created("{kind: ConfigMap, metadata: {name: c, finalizers: [a/b]}}").expect("valid");
    let (kind, mut new) = read("{kind: ConfigMap, metadata: {name: c, finalizers: [a/b, c/d]}}");
    let ctx = context(kind);
    kind.mark_deleted(&mut old, ctx.now, 30);
    assert_eq!(old["metadata"]["deletionTimestamp"], "2026-09-21T14:13:50Z");
    let status = kind.admit_update(&mut new, &old, None, &ctx).expect_err("a new finalizer");
    expect![[r#"ConfigMap "c" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"c/d"}"#]].assert_eq(&status.message);
}

#[test]
fn priority_classes() {
    check(
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 5}",
        expect![[r#"
            preemptionPolicy: PreemptLowerPriority
            value: 5
        "#]],
    );
    check(
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-own}, value: 5}",
        expect![[r#"
            422 PriorityClass.scheduling.k8s.io "system-own" is invalid: metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: only the classes that the system makes itself may have it
        "#]],
    );
    check(
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: x}, value: 1000000001, \
         preemptionPolicy: Sometimes}",
        expect![[r#"
            422 PriorityClass.scheduling.k8s.io "x" is invalid: [preemptionPolicy: Unsupported value: "Sometimes": supported values: "Never", "PreemptLowerPriority", value: Forbidden: maximum allowed value of a user defined priority is 1000000000]
        "#]],
    );
    let high = "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 5}";
    check_update(
        high,
        &high.replace(": 5", ": 6"),
        expect![[r#"
        422 PriorityClass.scheduling.k8s.io "high" is invalid: value: Forbidden: may not be changed in an update.
    "#]],
    );
}
