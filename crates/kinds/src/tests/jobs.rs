//! Jobs, and the rules that their status obeys.

use super::{check, check_update, context, created, read};
use expect_test::expect;
use serde_json::{Value, json};

const JOB: &str = "{kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never,
    containers: [{name: c, image: 'i:1'}]}}}}";

/// A Job with more of a spec, in flow style.
fn job(more: &str) -> String {
    JOB.replace("spec: {template", &format!("spec: {{{more}, template"))
}

#[test]
fn jobs_get_their_defaults() {
    check(
        JOB,
        expect![[r#"
        spec:
          backoffLimit: 6
          completionMode: NonIndexed
          completions: 1
          manualSelector: false
          parallelism: 1
          podReplacementPolicy: TerminatingOrFailed
          selector:
            matchLabels:
              batch.kubernetes.io/controller-uid: 00000000-0000-0000-0000-000000000007
          suspend: false
          template:
            metadata:
              labels:
                batch.kubernetes.io/controller-uid: 00000000-0000-0000-0000-000000000007
                batch.kubernetes.io/job-name: j
                controller-uid: 00000000-0000-0000-0000-000000000007
                job-name: j
            spec:
              containers:
              - image: i:1
                imagePullPolicy: IfNotPresent
                name: c
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              restartPolicy: Never
              schedulerName: default-scheduler
              securityContext: {}
              terminationGracePeriodSeconds: 30
    "#]],
    );
    let indexed = created(&job("completions: 3, completionMode: Indexed, backoffLimitPerIndex: 1,
        podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}"));
    let spec = &indexed.expect("valid")["spec"];
    assert_eq!((&spec["parallelism"], &spec["backoffLimit"]), (&json!(1), &json!(2_147_483_647)));
    assert_eq!(spec["podReplacementPolicy"], "Failed");
    assert_eq!(spec["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["status"], "True");
    let queue = created(&job("parallelism: 4")).expect("valid");
    assert_eq!(queue["spec"].get("completions"), None, "its pods say when it is done");
}

#[test]
fn the_selector_and_its_labels_are_generated() {
    let job = created(JOB).expect("valid");
    let uid = &job["metadata"]["uid"];
    let labels = json!({"controller-uid": uid, "batch.kubernetes.io/controller-uid": uid, "job-name": "j",
        "batch.kubernetes.io/job-name": "j"});
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(job["metadata"]["labels"], labels, "a Job without labels takes those of its pods");
    let selector = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    assert_eq!(job["spec"]["selector"], selector);
    let own = created(
        "{kind: Job, metadata: {name: j}, spec: {manualSelector: true, selector: {matchLabels: {a: b}}, template:
        {metadata: {labels: {a: b}}, spec: {restartPolicy: OnFailure, containers: [{name: c, image: i}]}}}}",
    );
    assert_eq!(own.expect("valid")["spec"]["template"]["metadata"]["labels"], json!({"a": "b"}));
}

#[test]
fn jobs_that_are_refused() {
    for (more, want) in [
        (
            "parallelism: -1, completions: -1, backoffLimit: -1, activeDeadlineSeconds: -1, ttlSecondsAfterFinished: -1,
            maxFailedIndexes: -1, backoffLimitPerIndex: -1",
            expect![[r#"
                422 Job.batch "j" is invalid: [spec.parallelism: Invalid value: -1: must be greater than or equal to 0, spec.completions: Invalid value: -1: must be greater than or equal to 0, spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0, spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0, spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0, spec.backoffLimitPerIndex: Invalid value: -1: must be greater than or equal to 0, spec.maxFailedIndexes: Invalid value: -1: must be greater than or equal to 0, spec.backoffLimitPerIndex: Invalid value: -1: requires indexed completion mode, spec.maxFailedIndexes: Invalid value: -1: requires indexed completion mode]
            "#]],
        ),
        ("completionMode: Indexed, maxFailedIndexes: 2", expect![[r#"
            422 Job.batch "j" is invalid: [spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified, spec.maxFailedIndexes: Invalid value: 2: must be less than or equal to completions]
        "#]]),
        (
            "completionMode: Indexed, completions: 200000, parallelism: 200000, backoffLimitPerIndex: 1",
            expect![[r#"
                422 Job.batch "j" is invalid: [spec.parallelism: Invalid value: 200000: must be less than or equal to 100000 when completion mode is Indexed, spec.parallelism: Invalid value: 200000: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index, spec.maxFailedIndexes: Required value: must be specified when completions is above 100000]
            "#]],
        ),
        ("completionMode: Ordered, podReplacementPolicy: Never, managedBy: me", expect![[r#"
            422 Job.batch "j" is invalid: [spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo"), spec.completionMode: Unsupported value: "Ordered": supported values: "NonIndexed", "Indexed", spec.podReplacementPolicy: Unsupported value: "Never": supported values: "Failed", "TerminatingOrFailed"]
        "#]]),
        ("managedBy: 'No_Host/a b', scheduling: {}", expect![[r#"
            422 Job.batch "j" is invalid: [spec.managedBy: Invalid value: "No_Host": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), spec.managedBy: Invalid value: "a b": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+'), spec.scheduling: Forbidden: scheduling pods as a group is not supported by this server: leave it out]
        "#]]),
        ("selector: {matchLabels: {batch.kubernetes.io/controller-uid: x}}", expect![[r#"
            422 Job.batch "j" is invalid: [spec.selector: Invalid value: {"matchLabels":{"batch.kubernetes.io/controller-uid":"x"}}: `selector` not auto-generated, spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"00000000-0000-0000-0000-000000000007","batch.kubernetes.io/job-name":"j","controller-uid":"00000000-0000-0000-0000-000000000007","job-name":"j"}: `selector` does not match template `labels`]
        "#]]),
        ("selector: {matchLabels: {a: b}}", expect![[r#"
            422 Job.batch "j" is invalid: [spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"00000000-0000-0000-0000-000000000007"}}: `selector` not auto-generated, spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"00000000-0000-0000-0000-000000000007","batch.kubernetes.io/job-name":"j","controller-uid":"00000000-0000-0000-0000-000000000007","job-name":"j"}: `selector` does not match template `labels`]
        "#]]),
        ("manualSelector: true", expect![[r#"
            422 Job.batch "j" is invalid: spec.selector: Required value
        "#]]),
    ] {
        check(&job(more), want);
    }
    for (from, to, want) in [
        (
            "restartPolicy: Never,",
            "",
            expect![[r#"
            422 Job.batch "j" is invalid: spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"
        "#]],
        ),
        (
            "restartPolicy: Never",
            "restartPolicy: Sometimes",
            expect![[r#"
            422 Job.batch "j" is invalid: [spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never", spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "OnFailure", "Never"]
        "#]],
        ),
        (
            "template: {",
            "template: {metadata: {labels: {job-name: k, controller-uid: x}}, ",
            expect![[r#"
            422 Job.batch "j" is invalid: [spec.template.metadata.labels[job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"00000000-0000-0000-0000-000000000007","batch.kubernetes.io/job-name":"j","controller-uid":"x","job-name":"k"}: must be 'j', spec.template.metadata.labels[controller-uid]: Invalid value: {"batch.kubernetes.io/controller-uid":"00000000-0000-0000-0000-000000000007","batch.kubernetes.io/job-name":"j","controller-uid":"x","job-name":"k"}: must be '00000000-0000-0000-0000-000000000007']
        "#]],
        ),
    ] {
        check(&JOB.replace(from, to), want);
    }
    let long = JOB.replace("name: j", &format!("name: {}", "j".repeat(60)));
    check(
        &long.replace("spec: {template", "spec: {completions: 1001, completionMode: Indexed, template"),
        expect![[r#"
        422 Job.batch "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj" is invalid: metadata.name: Invalid value: "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj": will not able to create pod with invalid DNS label: jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj-1000
    "#]],
    );
}

#[test]
fn a_name_that_is_no_host_name_is_warned_of() {
    let (kind, mut job) = read(&JOB.replace("name: j", "name: j.k"));
    let warnings = kind.admit_create(&mut job, &context(kind)).expect("valid");
    assert!(
        warnings[0].starts_with("metadata.name: this is used in Pod names and hostnames"),
        "{warnings:?}"
    );
}

#[test]
fn policies_that_are_refused() {
    for (more, want) in [
        ("podReplacementPolicy: TerminatingOrFailed, podFailurePolicy: {rules: []}", expect![[r#"
            422 Job.batch "j" is invalid: spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"
        "#]]),
        (
            "podFailurePolicy: {rules: [{}, {action: FailIndex, onExitCodes: {operator: In, values: [0, 3, 2, 2],
            containerName: x}}, {action: Retry, onExitCodes: {operator: Near, values: []}, onPodConditions:
            [{type: 'a b', status: Maybe}]}, {action: Count, onExitCodes: {values: [1]}}]}",
            expect![[r#"
                422 Job.batch "j" is invalid: [spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"], spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required, spec.podFailurePolicy.rules[1].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set, spec.podFailurePolicy.rules[1].onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template, spec.podFailurePolicy.rules[1].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator, spec.podFailurePolicy.rules[1].onExitCodes.values[3]: Duplicate value: 2, spec.podFailurePolicy.rules[1].onExitCodes.values: Invalid value: [0,3,2,2]: must be ordered, spec.podFailurePolicy.rules[2].action: Unsupported value: "Retry": supported values: "Count", "FailIndex", "FailJob", "Ignore", spec.podFailurePolicy.rules[2].onExitCodes.operator: Unsupported value: "Near": supported values: "In", "NotIn", spec.podFailurePolicy.rules[2].onExitCodes.values: Invalid value: []: at least one value is required, spec.podFailurePolicy.rules[2].onPodConditions[0].type: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), spec.podFailurePolicy.rules[2].onPodConditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown", spec.podFailurePolicy.rules[2]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported, spec.podFailurePolicy.rules[3].onExitCodes.operator: Required value: valid values: ["In" "NotIn"]]
            "#]],
        ),
        ("successPolicy: {rules: [{succeededCount: 1}]}", expect![[r#"
            422 Job.batch "j" is invalid: spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode
        "#]]),
        (
            "completionMode: Indexed, completions: 4, successPolicy: {rules: [{}, {succeededIndexes: '1-2,2'},
            {succeededIndexes: '0,9'}, {succeededCount: 5}, {succeededCount: 3, succeededIndexes: '0-1'},
            {succeededCount: -1}]}",
            expect![[r#"
                422 Job.batch "j" is invalid: [spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified, spec.successPolicy.rules[1].succeededIndexes: Invalid value: "1-2,2": error parsing succeededIndexes: non-increasing order, previous: 2, current: 2, spec.successPolicy.rules[2].succeededIndexes: Invalid value: "0,9": error parsing succeededIndexes: too large index: "9", spec.successPolicy.rules[3].succeededCount: Invalid value: 5: must be less than or equal to 4 (the number of specified completions), spec.successPolicy.rules[4].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field), spec.successPolicy.rules[5].succeededCount: Invalid value: -1: must be greater than or equal to 0]
            "#]],
        ),
        ("completionMode: Indexed, completions: 4, successPolicy: {rules: []}", expect![[r#"
            422 Job.batch "j" is invalid: spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified
        "#]]),
    ] {
        check(&job(more), want);
    }
    let restarted = job("podFailurePolicy: {rules: []}").replace("Never", "OnFailure");
    check(
        &restarted,
        expect![[r#"
        422 Job.batch "j" is invalid: spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified
    "#]],
    );
}

#[test]
fn jobs_hardly_change() {
    // A PUT says what was generated, too.
    let generated = "selector: {matchLabels: {batch.kubernetes.io/controller-uid: 00000000-0000-0000-0000-000000000007}},
        template: {metadata: {labels: {controller-uid: 00000000-0000-0000-0000-000000000007, job-name: j,
        batch.kubernetes.io/controller-uid: 00000000-0000-0000-0000-000000000007, batch.kubernetes.io/job-name: j}},";
    let full = |manifest: &str| manifest.replace("template: {", generated);
    for (old, new, want) in [
        (
            JOB.to_owned(),
            JOB.to_owned(),
            expect![[r#"
            422 Job.batch "j" is invalid: [spec.selector: Required value, spec.selector: Invalid value: null: field is immutable, spec.template: Invalid value: {"metadata":{},"spec":{"containers":[{"image":"i:1","imagePullPolicy":"IfNotPresent","name":"c","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Never","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}: field is immutable]
        "#]],
        ),
        (
            JOB.to_owned(),
            full(&job("parallelism: 3, completions: 1, suspend: true, backoffLimit: 2")),
            expect![[r#"
            generation 2, spec changed true, status null
        "#]],
        ),
        (
            JOB.to_owned(),
            full(&job("completions: 2, completionMode: Indexed")),
            expect![[r#"
            422 Job.batch "j" is invalid: [spec.completions: Invalid value: 2: can only be modified in tandem with spec.parallelism, spec.completionMode: Invalid value: "Indexed": field is immutable]
        "#]],
        ),
        (
            JOB.to_owned(),
            full(&JOB.replace("i:1", "i:2")),
            expect![[r#"
            422 Job.batch "j" is invalid: spec.template: Invalid value: {"metadata":{"labels":{"batch.kubernetes.io/controller-uid":"00000000-0000-0000-0000-000000000007","batch.kubernetes.io/job-name":"j","controller-uid":"00000000-0000-0000-0000-000000000007","job-name":"j"}},"spec":{"containers":[{"image":"i:2","imagePullPolicy":"IfNotPresent","name":"c","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Never","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}: field is immutable
        "#]],
        ),
        (
            job("completions: 2, completionMode: Indexed"),
            full(&job("completions: 4, completionMode: Indexed")),
            expect![[r#"
                422 Job.batch "j" is invalid: spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism
            "#]],
        ),
        (
            job("completions: 2, parallelism: 2, completionMode: Indexed"),
            full(&job("completions: 4, parallelism: 4, completionMode: Indexed")),
            expect![[r#"
                generation 2, spec changed true, status null
            "#]],
        ),
        (
            job("suspend: true"),
            full(&job("suspend: true").replace("'i:1'", "'i:1', resources: {limits: {cpu: 2}}"))
                .replace("restartPolicy", "nodeSelector: {a: b}, restartPolicy"),
            expect![[r#"
                generation 2, spec changed true, status null
            "#]],
        ),
        (
            job("suspend: true"),
            full(&job("suspend: true").replace("i:1", "i:2")),
            expect![[r#"
            422 Job.batch "j" is invalid: spec.template.spec: Invalid value: {"containers":[{"image":"i:2","imagePullPolicy":"IfNotPresent","name":"c","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Never","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}: field is immutable
        "#]],
        ),
    ] {
        check_update(&old, &new, want);
    }
}

/// What a status written over another is told.
fn written(spec: &str, old: Value, new: Value) -> String {
    let mut before = created(&job(spec)).expect("valid");
    before["status"] = old;
    let mut after = before.clone();
    after["status"] = new;
    let (kind, _) = read(JOB);
    match kind.admit_update(&mut after, &before, Some("status"), &context(kind)) {
        Ok(_) => "fine".to_owned(),
        Err(status) => status.message.replace("Job.batch \"j\" is invalid: ", ""),
    }
}

fn conditions(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect()
}

#[test]
fn an_end_is_an_end() {
    let start = "2026-01-01T00:00:00Z";
    let done = json!({"startTime": start, "completionTime": "2026-01-01T00:00:09Z", "succeeded": 1,
        "conditions": conditions(&["SuccessCriteriaMet", "Complete"])});
    assert_eq!(written("completions: 1", json!({"startTime": start}), done.clone()), "fine");
    assert_eq!(written("completions: 1", done.clone(), done.clone()), "fine");
    let mut texts = String::new();
    let mut refused = |old: &Value, new: Value| {
        texts.push_str(&written("completions: 1", old.clone(), new));
        texts.push('\n');
    };
    refused(&done, json!({"startTime": start, "failed": -1}));
    refused(&json!({}), json!({"conditions": conditions(&["Complete", "Failed"])}));
    refused(&json!({"failed": 2, "startTime": start}), json!({"failed": 1, "active": 1, "ready": 2}));
    let both = conditions(&["SuccessCriteriaMet", "FailureTarget"]);
    refused(&json!({}), json!({"conditions": both, "completedIndexes": "0", "failedIndexes": "1"}));
    let failed = conditions(&["FailureTarget", "Failed"]);
    let pods = json!({"failed": ["a", "a", ""]});
    let busy = json!({"conditions": failed, "startTime": start, "completionTime": start, "active": 1, "terminating": 1,
        "uncountedTerminatedPods": pods});
    refused(&json!({}), busy);
    expect![[r#"
        [status.failed: Invalid value: -1: must be greater than or equal to 0, status.conditions: Invalid value: cannot disable the terminal Complete=True condition, status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition, status.failed: Invalid value: -1: cannot decrease the failed counter, status.succeeded: Invalid value: 0: cannot decrease the succeeded counter]
        [status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions, status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition, status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition, status.completionTime: Required value: completionTime is required for Complete jobs, status.startTime: Required value: startTime is required for finished job]
        [status.startTime: Invalid value: null: field is immutable for unsuspended job once set, status.ready: Invalid value: 2: cannot set more ready pods than active, status.failed: Invalid value: 1: cannot decrease the failed counter]
        [status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions, status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode, status.failedIndexes: Invalid value: "1": error parsing failedIndexes: too large index: "1", status.failedIndexes: Invalid value: "1": cannot set non-null failedIndexes when backoffLimitPerIndex is null]
        [status.uncountedTerminatedPods.failed[1]: Duplicate value: "a", status.uncountedTerminatedPods.failed[2]: Invalid value: "": must not be empty, status.uncountedTerminatedPods: Invalid value: {"failed":["a","a",""]}: must be empty for finished job, status.completionTime: Invalid value: "2026-01-01T00:00:00Z": cannot set completionTime when there is no Complete=True condition, status.active: Invalid value: 1: active>0 is invalid for finished job, status.terminating: Invalid value: 1: terminating>0 is invalid for finished job]
    "#]].assert_eq(&texts);
    let indexed = "completions: 3, completionMode: Indexed, backoffLimitPerIndex: 1";
    let new = json!({"completedIndexes": "0-2", "failedIndexes": "2,5"});
    expect![[r#"[status.failedIndexes: Invalid value: "2,5": error parsing failedIndexes: too large index: "5", status.failedIndexes: Invalid value: "2,5": failedIndexes and completedIndexes overlap at index: 2]"#]].assert_eq(&written(indexed, json!({}), new));
}

#[test]
fn jobs_as_rows() {
    let shown = |spec: &str, status: Value| {
        let mut job = created(&job(spec)).expect("valid");
        job["status"] = status;
        let (kind, _) = read(JOB);
        let row = object::table::row(kind, &job, object::table::Include::None, context(kind).now);
        row["cells"].to_string()
    };
    let (start, end) = ("2026-09-21T14:13:10Z", "2026-09-21T14:13:17Z");
    let done = json!({"startTime": start, "completionTime": end, "succeeded": 1, "conditions": conditions(&["Complete"])});
    expect![[r#"["j","Complete","1/1","7s","0s","c","i:1","batch.kubernetes.io/controller-uid=00000000-0000-0000-0000-000000000007"]"#]].assert_eq(&shown("completions: 1", done));
    expect![[r#"["j","Running","0/1 of 3","10s","0s","c","i:1","batch.kubernetes.io/controller-uid=00000000-0000-0000-0000-000000000007"]"#]].assert_eq(&shown("parallelism: 3", json!({"startTime": start})));
    let states = ["Suspended", "FailureTarget", "SuccessCriteriaMet", "Failed"];
    for kind in states {
        let text = shown("parallelism: 1", json!({"conditions": conditions(&[kind])}));
        assert!(text.starts_with(&format!("[\"j\",\"{kind}\",\"0/1\",\"\"")), "{text}");
    }
}
