//! What `kubectl get -o wide` shows, row by row.

use expect_test::{Expect, expect};
use object::json::items;
use object::table::{Include, render, row};
use object::time::Timestamp;
use object::{time, yaml};
use serde_json::json;

fn now() -> Timestamp {
    time::parse("2026-11-21T06:00:00Z").expect("a time")
}

fn check(manifest: &str, want: Expect) {
    let object = yaml::parse(manifest.as_bytes()).expect(manifest);
    let kind = kinds::kinds().iter().find(|k| object["kind"] == k.kind).expect("a served kind");
    let row = row(kind, &object, Include::None, now());
    let cells: Vec<String> = items(&row["cells"])
        .iter()
        .zip(kind.columns.columns)
        .map(|(cell, column)| {
            format!("{}: {}", column.name, cell.as_str().map_or_else(|| cell.to_string(), str::to_owned))
        })
        .collect();
    assert_eq!(cells.len(), kind.columns.columns.len(), "{manifest}");
    want.assert_eq(&cells.join(" | "));
}

fn pod(rest: &str) -> String {
    format!("{{kind: Pod, metadata: {{name: p, creationTimestamp: '2026-11-21T05:55:00Z'}}, {rest}}}")
}

#[test]
fn pods() {
    let two = "spec: {nodeName: here, containers: [{name: a}, {name: b}]}";
    let one =
        "spec: {initContainers: [{name: i}, {name: s, restartPolicy: Always}], containers: [{name: a}]}";
    for (rest, want) in [
        (format!("{two}, status: {{phase: Pending}}"), expect!["Name: p | Ready: 0/2 | Status: Pending | Restarts: 0 | Age: 5m | IP: <none> | Node: here | Nominated Node: <none> | Readiness Gates: <none>"]),
        (
            format!("{two}, status: {{phase: Running, podIP: 10.42.0.2, conditions: [{{type: Ready, status: 'True'}}],
                containerStatuses: [{{name: a, ready: true, restartCount: 0, state: {{running: {{}}}}}},
                {{name: b, ready: true, restartCount: 2, state: {{running: {{}}}},
                  lastState: {{terminated: {{exitCode: 1, finishedAt: '2026-11-21T05:59:55Z'}}}}}}]}}"),
            expect!["Name: p | Ready: 2/2 | Status: Running | Restarts: 2 (5s ago) | Age: 5m | IP: 10.42.0.2 | Node: here | Nominated Node: <none> | Readiness Gates: <none>"],
        ),
        (
            format!("{two}, status: {{phase: Running, containerStatuses: [{{name: a, restartCount: 5,
                state: {{waiting: {{reason: CrashLoopBackOff}}}}}}, {{name: b, ready: true, restartCount: 0, state: {{running: {{}}}}}}]}}"),
            expect!["Name: p | Ready: 1/2 | Status: CrashLoopBackOff | Restarts: 5 | Age: 5m | IP: <none> | Node: here | Nominated Node: <none> | Readiness Gates: <none>"],
        ),
        (
            format!("{two}, status: {{phase: Succeeded, containerStatuses: [{{name: a, restartCount: 0,
                state: {{terminated: {{exitCode: 0, reason: Completed}}}}}}, {{name: b, restartCount: 0, state: {{terminated: {{exitCode: 0, reason: Completed}}}}}}]}}"),
            expect!["Name: p | Ready: 0/2 | Status: Completed | Restarts: 0 | Age: 5m | IP: <none> | Node: here | Nominated Node: <none> | Readiness Gates: <none>"],
        ),
        (
            format!("{two}, status: {{phase: Failed, containerStatuses: [{{name: a, restartCount: 0,
                state: {{terminated: {{exitCode: 0, reason: Completed}}}}}}, {{name: b, restartCount: 0, state: {{terminated: {{exitCode: 137, reason: OOMKilled}}}}}}]}}"),
            expect!["Name: p | Ready: 0/2 | Status: OOMKilled | Restarts: 0 | Age: 5m | IP: <none> | Node: here | Nominated Node: <none> | Readiness Gates: <none>"],
        ),
        (
            format!("{two}, status: {{phase: Failed, containerStatuses: [{{name: a, restartCount: 0, state: {{terminated: {{exitCode: 3}}}}}}]}}"),
            expect!["Name: p | Ready: 0/2 | Status: ExitCode:3 | Restarts: 0 | Age: 5m | IP: <none> | Node: here | Nominated Node: <none> | Readiness Gates: <none>"],
        ),
        (format!("{one}, status: {{phase: Pending, initContainerStatuses: [{{name: i, restartCount: 0, state: {{running: {{}}}}}}]}}"), expect!["Name: p | Ready: 0/2 | Status: Init:0/2 | Restarts: 0 | Age: 5m | IP: <none> | Node: <none> | Nominated Node: <none> | Readiness Gates: <none>"]),
        (
            format!("{one}, status: {{phase: Pending, initContainerStatuses: [{{name: i, restartCount: 1, state: {{waiting: {{reason: CrashLoopBackOff}}}},
                lastState: {{terminated: {{exitCode: 1, finishedAt: '2026-11-21T05:59:00Z'}}}}}}]}}"),
            expect!["Name: p | Ready: 0/2 | Status: Init:CrashLoopBackOff | Restarts: 1 (60s ago) | Age: 5m | IP: <none> | Node: <none> | Nominated Node: <none> | Readiness Gates: <none>"],
        ),
        (
            format!("{one}, status: {{phase: Running, conditions: [{{type: Initialized, status: 'True'}}], initContainerStatuses: [
                {{name: i, restartCount: 0, state: {{terminated: {{exitCode: 0}}}}}}, {{name: s, restartCount: 0, started: true, ready: true, state: {{running: {{}}}}}}],
                containerStatuses: [{{name: a, ready: true, restartCount: 0, state: {{running: {{}}}}}}]}}"),
            expect!["Name: p | Ready: 2/2 | Status: Running | Restarts: 0 | Age: 5m | IP: <none> | Node: <none> | Nominated Node: <none> | Readiness Gates: <none>"],
        ),
        ("status: {phase: Failed, reason: Evicted}, spec: {containers: [{name: a}]}".to_owned(), expect!["Name: p | Ready: 0/1 | Status: Evicted | Restarts: 0 | Age: 5m | IP: <none> | Node: <none> | Nominated Node: <none> | Readiness Gates: <none>"]),
    ] {
        check(&pod(&rest), want);
    }
    let going = "{kind: Pod, metadata: {name: p, deletionTimestamp: '2026-11-21T05:59:00Z'}, spec: {containers: [{name: a}]}, status: {phase: Running}}";
    check(
        going,
        expect![
            "Name: p | Ready: 0/1 | Status: Terminating | Restarts: 0 | Age: <unknown> | IP: <none> | Node: <none> | Nominated Node: <none> | Readiness Gates: <none>"
        ],
    );
}

#[test]
fn workloads() {
    let spec = "spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: {spec: {containers: [{name: a, image: x:1}, {name: b, image: x:2}]}}}";
    check(
        &format!(
            "{{kind: Deployment, metadata: {{name: d, creationTimestamp: '2026-11-21T03:00:00Z'}}, {spec}, status: {{readyReplicas: 2, updatedReplicas: 3, availableReplicas: 2}}}}"
        ),
        expect![
            "Name: d | Ready: 2/3 | Up-to-date: 3 | Available: 2 | Age: 3h | Containers: a,b | Images: x:1,x:2 | Selector: app=web"
        ],
    );
    check(
        &format!("{{kind: ReplicaSet, metadata: {{name: r}}, {spec}, status: {{replicas: 3}}}}"),
        expect![
            "Name: r | Desired: 3 | Current: 3 | Ready: 0 | Age: <unknown> | Containers: a,b | Images: x:1,x:2 | Selector: app=web"
        ],
    );
}

#[test]
fn network() {
    check(
        "{kind: Service, metadata: {name: s}, spec: {type: NodePort, clusterIP: 10.43.0.9, clusterIPs: [10.43.0.9], selector: {a: b, c: d}, ports: [{port: 80, nodePort: 30080, protocol: TCP}, {port: 53, protocol: UDP}]}}",
        expect![
            "Name: s | Type: NodePort | Cluster-IP: 10.43.0.9 | External-IP: <none> | Port(s): 80:30080/TCP,53/UDP | Age: <unknown> | Selector: a=b,c=d"
        ],
    );
    check(
        "{kind: Service, metadata: {name: s}, spec: {type: LoadBalancer, clusterIP: 10.43.0.9}}",
        expect![
            "Name: s | Type: LoadBalancer | Cluster-IP: 10.43.0.9 | External-IP: <pending> | Port(s): <none> | Age: <unknown> | Selector: <none>"
        ],
    );
    check(
        "{kind: Service, metadata: {name: s}, spec: {type: ExternalName, externalName: example.com}}",
        expect![
            "Name: s | Type: ExternalName | Cluster-IP: <none> | External-IP: example.com | Port(s): <none> | Age: <unknown> | Selector: <none>"
        ],
    );
    check(
        "{kind: Ingress, metadata: {name: i}, spec: {ingressClassName: dory, tls: [{}], rules: [{host: a}, {host: b}, {host: c}, {host: d}]}, status: {loadBalancer: {ingress: [{ip: 127.0.0.1}]}}}",
        expect![
            "Name: i | Class: dory | Hosts: a,b,c + 1 more... | Address: 127.0.0.1 | Ports: 80, 443 | Age: <unknown>"
        ],
    );
    check(
        "{kind: IngressClass, metadata: {name: c, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}, spec: {controller: dory.dev/gateway}}",
        expect!["Name: c (default) | Controller: dory.dev/gateway | Parameters: <none> | Age: <unknown>"],
    );
    check(
        "{kind: Endpoints, metadata: {name: e}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}, {port: 81}]}]}",
        expect!["Name: e | Endpoints: 10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more... | Age: <unknown>"],
    );
    check(
        "{kind: EndpointSlice, metadata: {name: e}, addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]}",
        expect!["Name: e | AddressType: IPv4 | Ports: 80 | Endpoints: 10.0.0.1,10.0.0.2 | Age: <unknown>"],
    );
}

#[test]
fn the_rest() {
    check(
        "{kind: Node, metadata: {name: here, labels: {node-role.kubernetes.io/control-plane: '', kubernetes.io/role: x}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: {kubeletVersion: v1.37.0, kernelVersion: '6.1', architecture: amd64, osImage: Debian, containerRuntimeVersion: dory://0.1.0}}}",
        expect![
            "Name: here | Status: Ready,SchedulingDisabled | Roles: control-plane,x | Age: <unknown> | Version: v1.37.0 | Internal-IP: 10.0.0.1 | External-IP: <none> | OS-Image: Debian | Kernel-Version: 6.1 (amd64) | Container-Runtime: dory://0.1.0"
        ],
    );
    check(
        "{kind: Node, metadata: {name: gone}}",
        expect![
            "Name: gone | Status: Unknown | Roles: <none> | Age: <unknown> | Version:  | Internal-IP: <none> | External-IP: <none> | OS-Image: <unknown> | Kernel-Version: <unknown> | Container-Runtime: <unknown>"
        ],
    );
    check(
        "{kind: Event, metadata: {name: e}, type: Warning, reason: BackOff, message: ' m ', count: 4, firstTimestamp: '2026-11-21T05:00:00Z', lastTimestamp: '2026-11-21T05:59:50Z', involvedObject: {kind: Pod, name: p, fieldPath: 'spec.containers{c}'}, source: {component: kubelet, host: here}}",
        expect![
            "Last Seen: 10s | Type: Warning | Reason: BackOff | Object: pod/p | Subobject: spec.containers{c} | Source: kubelet, here | Message: m | First Seen: 60m | Count: 4 | Name: e"
        ],
    );
    check(
        "{kind: Event, metadata: {name: e}, eventTime: '2026-11-21T05:59:00.000000Z', reportingComponent: x}",
        expect![
            "Last Seen: 60s | Type:  | Reason:  | Object:  | Subobject:  | Source: x | Message:  | First Seen: 60s | Count: 1 | Name: e"
        ],
    );
    check(
        "{kind: Secret, metadata: {name: s}, type: Opaque, data: {a: b, c: d}}",
        expect!["Name: s | Type: Opaque | Data: 2 | Age: <unknown>"],
    );
    check(
        "{kind: ConfigMap, metadata: {name: c}, data: {a: b}, binaryData: {c: d}}",
        expect!["Name: c | Data: 2 | Age: <unknown>"],
    );
    check(
        "{kind: Namespace, metadata: {name: ns}, status: {phase: Terminating}}",
        expect!["Name: ns | Status: Terminating | Age: <unknown>"],
    );
    check(
        "{kind: Lease, metadata: {name: l}, spec: {holderIdentity: me}}",
        expect!["Name: l | Holder: me | Age: <unknown>"],
    );
    check(
        "{kind: ClusterRole, metadata: {name: admin, creationTimestamp: '2026-11-21T05:00:00Z'}}",
        expect!["Name: admin | Created At: 2026-11-21T05:00:00Z"],
    );
    check(
        "{kind: RoleBinding, metadata: {name: b}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: u}, {kind: User, name: v}, {kind: ServiceAccount, name: s, namespace: ns}]}",
        expect!["Name: b | Role: Role/r | Age: <unknown> | Users: u, v | Groups:  | ServiceAccounts: ns/s"],
    );
    check(
        "{kind: Function, metadata: {name: f}, spec: {runtime: nodejs22.x, handler: index.handler, memoryMB: 128, timeoutSeconds: 3, code: {sha256: 0123456789abcdef}, url: {id: abc}}}",
        expect![
            "Name: f | Runtime: nodejs22.x | Handler: index.handler | Memory: 128 | Timeout: 3 | Age: <unknown> | Code SHA: 0123456789ab | URL: abc"
        ],
    );
}

#[test]
fn tables() {
    let kind = kinds::kind("", "v1", "configmaps").expect("configmaps");
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let whole = |include, headers| {
        render(kind, std::iter::once(&object), json!({"resourceVersion": "7"}), include, headers, now())
    };
    let table = whole(Include::Metadata, true);
    assert_eq!(table["columnDefinitions"][0]["format"], "name");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(whole(Include::Object, false)["rows"][0]["object"], object);
    assert_eq!(whole(Include::None, false)["rows"][0].get("object"), None);
    assert_eq!(whole(Include::None, false)["columnDefinitions"], json!([]));
    assert_eq!(Include::parse("Everything").map_err(|s| s.code), Err(400));
}
