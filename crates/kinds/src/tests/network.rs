//! Services, Ingresses, slices, leases and events.

use super::{check, check_update, context, created, read};
use expect_test::expect;

#[test]
fn services() {
    for (spec, want) in [
        (
            "{selector: {a: b}, ports: [{port: 80}]}",
            expect![[r#"
            spec:
              internalTrafficPolicy: Cluster
              ipFamilies:
              - IPv4
              ipFamilyPolicy: SingleStack
              ports:
              - port: 80
                protocol: TCP
                targetPort: 80
              selector:
                a: b
              sessionAffinity: None
              type: ClusterIP
            status:
              loadBalancer: {}
        "#]],
        ),
        (
            "{type: NodePort, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: http}]}",
            expect![[r#"
                spec:
                  externalTrafficPolicy: Cluster
                  internalTrafficPolicy: Cluster
                  ipFamilies:
                  - IPv4
                  ipFamilyPolicy: SingleStack
                  ports:
                  - port: 80
                    protocol: TCP
                    targetPort: http
                  sessionAffinity: ClientIP
                  sessionAffinityConfig:
                    clientIP:
                      timeoutSeconds: 10800
                  type: NodePort
                status:
                  loadBalancer: {}
            "#]],
        ),
        (
            "{type: ExternalName, externalName: example.com}",
            expect![[r#"
            spec:
              externalName: example.com
              sessionAffinity: None
              type: ExternalName
            status:
              loadBalancer: {}
        "#]],
        ),
        (
            "{clusterIP: None}",
            expect![[r#"
            spec:
              clusterIP: None
              clusterIPs:
              - None
              internalTrafficPolicy: Cluster
              ipFamilies:
              - IPv4
              ipFamilyPolicy: SingleStack
              sessionAffinity: None
              type: ClusterIP
            status:
              loadBalancer: {}
        "#]],
        ),
    ] {
        check(&format!("{{kind: Service, metadata: {{name: s}}, spec: {spec}}}"), want);
    }
}

#[test]
fn services_that_are_refused() {
    for (spec, want) in [
        (
            "{type: Sideways, ports: [{port: 0}, {name: a, port: 80}, {name: a, port: 80, nodePort: 30000}],
              clusterIP: 300.1.1.1}",
            expect![[r#"
                422 Service "s" is invalid: [spec.type: Unsupported value: "Sideways": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort", spec.ports[0].name: Required value, spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[2].name: Duplicate value: "a", spec.ports[2]: Duplicate value: {"port":80,"protocol":"TCP"}, spec.clusterIPs[0]: Invalid value: "300.1.1.1": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)]
            "#]],
        ),
        (
            "{}",
            expect![[r#"
            422 Service "s" is invalid: spec.ports: Required value
        "#]],
        ),
    ] {
        check(&format!("{{kind: Service, metadata: {{name: s}}, spec: {spec}}}"), want);
    }
    check(
        "{kind: Service, metadata: {name: s.t}, spec: {ports: [{port: 1}]}}",
        expect![[r#"
            422 Service "s.t" is invalid: metadata.name: Invalid value: "s.t": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
        "#]],
    );
}

#[test]
fn services_keep_their_address() {
    let of = |spec: &str| format!("{{kind: Service, metadata: {{name: s}}, spec: {spec}}}");
    let old = of("{clusterIP: 10.43.0.9, type: NodePort, ports: [{port: 1, nodePort: 30001}]}");
    let (kind, mut new) = read(&of("{type: NodePort, ports: [{port: 1}, {name: b, port: 2}]}"));
    new["spec"]["ports"][0]["name"] = "a".into();
    kind.admit_update(&mut new, &created(&old).expect("valid"), None, &context(kind)).expect("valid");
    assert_eq!(
        (&new["spec"]["clusterIP"], &new["spec"]["clusterIPs"][0]),
        (&"10.43.0.9".into(), &"10.43.0.9".into())
    );
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30001);
    check_update(
        &old,
        &of("{clusterIP: 10.43.0.8, clusterIPs: [10.43.0.8], ports: [{port: 1}]}"),
        expect![[r#"
            422 Service "s" is invalid: spec.clusterIPs[0]: Invalid value: ["10.43.0.8"]: may not change once set
        "#]],
    );
    check_update(
        &old,
        &of("{type: ClusterIP, clusterIP: 10.43.0.9, ports: [{port: 1, nodePort: 30001}]}"),
        expect![[r#"
            generation null, spec changed true, status {"loadBalancer":{}}
        "#]],
    );
}

#[test]
fn ingresses() {
    check(
        "{kind: Ingress, metadata: {name: i}, spec: {rules: [{host: a.example.com, http: {paths: [{path: /,
          pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}}",
        expect![[r#"
            spec:
              rules:
              - host: a.example.com
                http:
                  paths:
                  - backend:
                      service:
                        name: s
                        port:
                          number: 80
                    path: /
                    pathType: Prefix
        "#]],
    );
    check(
        "{kind: Ingress, metadata: {name: i}, spec: {rules: [{host: 10.0.0.1}, {host: 'a*', http: {paths: [{path: x,
          pathType: Prefix, backend: {}}, {path: /, backend: {service: {name: S, port: {}}}},
          {path: /a/../b, pathType: Exact, backend: {service: {name: s, port: {name: x, number: 1}}}}]}}]}}",
        expect![[r#"
            422 Ingress.networking.k8s.io "i" is invalid: [spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address, spec.rules[1].host: Invalid value: "a*": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), spec.rules[1].http.paths[0].path: Invalid value: "x": must be an absolute path, spec.rules[1].http.paths[0].backend: Required value: must specify either resource or service backend, spec.rules[1].http.paths[1].pathType: Required value: pathType must be specified, spec.rules[1].http.paths[1].backend.service.name: Invalid value: "S": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.rules[1].http.paths[1].backend.service.port: Required value: port name or number is required, spec.rules[1].http.paths[2].path: Invalid value: "/a/../b": must not contain '/../', spec.rules[1].http.paths[2].backend.service.port: Invalid value: {"name":"x","number":1}: cannot set both port name & port number]
        "#]],
    );
    check(
        "{kind: Ingress, metadata: {name: i}, spec: {}}",
        expect![[r#"
        422 Ingress.networking.k8s.io "i" is invalid: spec: Invalid value: {}: either `defaultBackend` or `rules` must be specified
    "#]],
    );
}

#[test]
fn leases_events_and_slices() {
    check(
        "{kind: Lease, metadata: {name: l}, spec: {leaseDurationSeconds: 0, renewTime: '2026-11-21T05:50:00.1Z'}}",
        expect![[r#"
            422 Lease.coordination.k8s.io "l" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0
        "#]],
    );
    check(
        "{kind: Event, metadata: {name: e}, involvedObject: {kind: Pod, namespace: other}}",
        expect![[r#"
            422 Event "e" is invalid: involvedObject.namespace: Invalid value: "other": does not match event.namespace
        "#]],
    );
    check(
        "{kind: EndpointSlice, metadata: {name: e}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 80}]}",
        expect![[r#"
            addressType: IPv4
            endpoints:
            - addresses:
              - "10.0.0.1"
            ports:
            - name: ""
              port: 80
              protocol: TCP
        "#]],
    );
    check(
        "{kind: EndpointSlice, metadata: {name: e}, addressType: v4, endpoints: [{addresses: []}], ports: [{port: 0}, {port: 1}]}",
        expect![[r#"
            422 EndpointSlice.discovery.k8s.io "e" is invalid: [addressType: Unsupported value: "v4": supported values: "FQDN", "IPv4", "IPv6", endpoints[0].addresses: Required value: must contain at least 1 address, ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, ports[1].name: Duplicate value: ""]
        "#]],
    );
    check(
        "{kind: Endpoints, metadata: {name: e}, subsets: [{addresses: [{ip: x}], ports: [{port: 80}]}]}",
        expect![[r#"
            422 Endpoints "e" is invalid: subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
        "#]],
    );
}
