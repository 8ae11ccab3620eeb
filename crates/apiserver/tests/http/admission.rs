//! What the cluster gives to objects: tokens and tolerations to pods, addresses and ports to Services; and scale,
//! binding, and the way to a node.

use crate::{send, server};
use apiserver::ApiServer;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";

async fn post(server: &ApiServer, path: &str, body: Value) -> crate::Answer {
    send(server, &format!("POST {path}\n\n{body}")).await
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "a"}]}})
}

async fn account(server: &ApiServer) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(post(server, accounts, json!({"metadata": {"name": "default"}})).await.code, 201);
}

fn service(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["ports"] = json!([{"port": 80}]);
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_pod_gets_its_token() {
    let server = server().await;
    let missing = post(&server, PODS, pod("p")).await;
    assert_eq!(missing.code, 403);
    assert!(missing.text.contains("error looking up service account default/default"), "{}", missing.text);
    account(&server).await;
    let made = post(&server, PODS, pod("p")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let spec = &made.json()["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    let volume = &spec["volumes"][0];
    assert!(volume["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-")));
    assert_eq!(volume["projected"]["sources"].as_array().map(Vec::len), Some(3));
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], volume["name"]);
    assert_eq!(spec["tolerations"].as_array().map(Vec::len), Some(2));
    assert_eq!((&spec["priority"], spec.get("initContainers")), (&json!(0), None));
    let mut without = pod("q");
    without["spec"]["automountServiceAccountToken"] = false.into();
    assert!(post(&server, PODS, without).await.json()["spec"].get("volumes").is_none());
}

#[tokio::test]
async fn a_pod_waits_for_the_account_of_a_new_namespace() {
    let server = server().await;
    let (made, ()) = tokio::join!(post(&server, PODS, pod("p")), account(&server));
    assert_eq!(made.code, 201, "{}", made.text);
}

#[tokio::test]
async fn services_get_addresses_and_ports() {
    let server = server().await;
    let own = send(&server, &format!("GET {SERVICES}/kubernetes")).await.json();
    assert_eq!(own["spec"]["clusterIP"], "10.43.0.1");
    let made = post(&server, SERVICES, service("a", json!({"type": "NodePort"}))).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let made = made.json();
    let address = made["spec"]["clusterIP"].as_str().expect("an address");
    assert!(address.starts_with("10.43."));
    assert_eq!(made["spec"]["clusterIPs"], json!([address]));
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().expect("a port");
    assert!((30000..=32767).contains(&port));
    let same = post(&server, SERVICES, service("b", json!({"clusterIP": address}))).await;
    assert_eq!(same.code, 422, "{}", same.text);
    assert!(same.text.contains("provided IP is already allocated"), "{}", same.text);
    let outside = post(&server, SERVICES, service("b", json!({"clusterIP": "192.168.0.1"}))).await;
    assert_eq!(outside.code, 422);
    let mut fixed = service("b", json!({"type": "NodePort"}));
    fixed["spec"]["ports"][0]["nodePort"] = port.into();
    assert!(post(&server, SERVICES, fixed.clone()).await.text.contains("provided port is already allocated"));
    fixed["spec"]["ports"][0]["nodePort"] = 80.into();
    assert!(post(&server, SERVICES, fixed).await.text.contains("The range of valid ports is 30000-32767"));
    let dns = post(&server, SERVICES, service("dns", json!({"clusterIP": "10.43.0.10"}))).await;
    assert_eq!(dns.code, 201, "{}", dns.text);
    let headless = post(&server, SERVICES, service("h", json!({"clusterIP": "None"}))).await.json();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
}

#[tokio::test]
async fn an_update_keeps_the_address() {
    let server = server().await;
    let made = post(&server, SERVICES, service("a", json!({"selector": {"a": "b"}}))).await.json();
    let mut next = service("a", json!({"selector": {"a": "c"}}));
    next["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    let put = send(&server, &format!("PUT {SERVICES}/a\n\n{next}")).await;
    assert_eq!(put.code, 200, "{}", put.text);
    assert_eq!(put.json()["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    let patch = json!({"spec": {"clusterIP": "10.43.5.5", "clusterIPs": ["10.43.5.5"]}});
    let text = format!("PATCH {SERVICES}/a\nContent-Type: application/merge-patch+json\n\n{patch}");
    assert_eq!(send(&server, &text).await.code, 422);
}

#[tokio::test]
async fn many_services_at_once_get_different_addresses() {
    let server = server().await;
    let names: Vec<String> = (0..50).map(|index| format!("s{index}")).collect();
    let posts = names.iter().map(|name| post(&server, SERVICES, service(name, json!({"type": "NodePort"}))));
    let made = futures::future::join_all(posts).await;
    let unique = |path: &str| {
        let values = made.iter().map(|own| own.json().pointer(path).map(Value::to_string));
        values.collect::<std::collections::HashSet<_>>().len()
    };
    assert_eq!((unique("/spec/clusterIP"), unique("/spec/ports/0/nodePort")), (50, 50));
}

#[tokio::test]
async fn scale_is_a_view() {
    let server = server().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let labels = json!({"a": "b"});
    let body = json!({"metadata": {"name": "d"}, "spec": {"replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}});
    let made = post(&server, deployments, body).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let scale = send(&server, &format!("GET {deployments}/d/scale")).await.json();
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(2)));
    let merge = "Content-Type: application/merge-patch+json";
    let five = json!({"spec": {"replicas": 5}});
    let scaled = send(&server, &format!("PATCH {deployments}/d/scale\n{merge}\n\n{five}")).await;
    assert_eq!((scaled.code, &scaled.json()["spec"]["replicas"]), (200, &json!(5)), "{}", scaled.text);
    let deployment = send(&server, &format!("GET {deployments}/d")).await.json();
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );
    let bad = json!({"spec": {"replicas": -1}});
    assert_eq!(send(&server, &format!("PATCH {deployments}/d/scale\n{merge}\n\n{bad}")).await.code, 422);
}

#[tokio::test]
async fn a_pod_is_bound_once_and_reached_through_its_node() {
    let server = server().await;
    account(&server).await;
    post(&server, PODS, pod("p")).await;
    let early = send(&server, &format!("GET {PODS}/p/log")).await;
    assert_eq!(early.code, 400);
    assert!(early.text.contains("pod p does not have a host assigned"));
    let binding = json!({"target": {"kind": "Node", "name": "n1"}});
    assert_eq!(post(&server, &format!("{PODS}/p/binding"), binding.clone()).await.code, 201);
    assert_eq!(post(&server, &format!("{PODS}/p/binding"), binding).await.code, 409);
    let bound = send(&server, &format!("GET {PODS}/p")).await.json();
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let nodes: Value = send(&server, &format!("GET {PODS}?fieldSelector=spec.nodeName%3Dn1")).await.json();
    assert_eq!(nodes["items"].as_array().map(Vec::len), Some(1));
    let log = send(&server, &format!("GET {PODS}/p/log?container=a&tailLines=5")).await;
    assert_eq!((log.code, log.text.as_str()), (200, "n1 /containerLogs/default/p/a?container=a&tailLines=5"));
    let other = send(&server, &format!("GET {PODS}/p/log?container=z")).await;
    assert_eq!((other.code, &other.json()["message"]), (400, &json!("container z is not valid for pod p")));
    let exec = send(&server, &format!("POST {PODS}/p/exec?command=ls")).await;
    assert_eq!(exec.text, "n1 /exec/default/p/a?command=ls");
    let forward = send(&server, &format!("POST {PODS}/p/portforward")).await;
    assert_eq!(forward.text, "n1 /portForward/default/p");
}
