//! How objects go: at once, after a grace period, with their last finalizer; and namespaces.

use crate::{send, server};
use apiserver::ApiServer;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

async fn post(server: &ApiServer, path: &str, body: Value) -> Value {
    let made = send(server, &format!("POST {path}\n\n{body}")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    made.json()
}

async fn merge(server: &ApiServer, path: &str, patch: Value) -> crate::Answer {
    send(server, &format!("PATCH {path}\nContent-Type: application/merge-patch+json\n\n{patch}")).await
}

async fn pod(server: &ApiServer, name: &str) -> Value {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    send(server, &format!("POST {accounts}\n\n{}", json!({"metadata": {"name": "default"}}))).await;
    let spec = json!({"containers": [{"name": "a", "image": "a"}], "terminationGracePeriodSeconds": 20});
    post(server, PODS, json!({"metadata": {"name": name}, "spec": spec})).await
}

async fn bind(server: &ApiServer, name: &str) {
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}});
    post(server, &format!("{PODS}/{name}/binding"), binding).await;
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let server = server().await;
    post(&server, MAPS, json!({"metadata": {"name": "a", "finalizers": ["example.com/x"]}})).await;
    let going = send(&server, &format!("DELETE {MAPS}/a")).await;
    assert_eq!(going.code, 200);
    assert!(going.json()["metadata"]["deletionTimestamp"].is_string(), "{}", going.text);
    let freed = merge(&server, &format!("{MAPS}/a"), json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(freed.code, 200, "{}", freed.text);
    assert_eq!(send(&server, &format!("GET {MAPS}/a")).await.code, 404);
}

#[tokio::test]
async fn the_policy_becomes_a_finalizer() {
    let server = server().await;
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        post(&server, MAPS, json!({"metadata": {"name": "a"}})).await;
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
        let going = send(&server, &format!("DELETE {MAPS}/a\n\n{options}")).await.json();
        assert_eq!(going["metadata"]["finalizers"], json!([finalizer]));
        merge(&server, &format!("{MAPS}/a"), json!({"metadata": {"finalizers": []}})).await;
        assert_eq!(send(&server, &format!("GET {MAPS}/a")).await.code, 404);
    }
    assert_eq!(send(&server, &format!("DELETE {MAPS}/a?propagationPolicy=Whatever")).await.code, 400);
}

#[tokio::test]
async fn preconditions_and_dry_runs_spare_an_object() {
    let server = server().await;
    post(&server, MAPS, json!({"metadata": {"name": "a"}})).await;
    for preconditions in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        let options = json!({"preconditions": preconditions});
        assert_eq!(send(&server, &format!("DELETE {MAPS}/a\n\n{options}")).await.code, 409);
    }
    assert_eq!(send(&server, &format!("DELETE {MAPS}/a?dryRun=All")).await.code, 200);
    assert_eq!(send(&server, &format!("GET {MAPS}/a")).await.code, 200);
}

#[tokio::test]
async fn a_pod_that_runs_gets_its_grace_period() {
    let server = server().await;
    pod(&server, "p").await;
    bind(&server, "p").await;
    let going = send(&server, &format!("DELETE {PODS}/p")).await.json();
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 20);
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    let longer = send(&server, &format!("DELETE {PODS}/p?gracePeriodSeconds=100")).await.json();
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 20);
    let shorter = send(&server, &format!("DELETE {PODS}/p?gracePeriodSeconds=5")).await.json();
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    // What the kubelet does once the containers have ended.
    let gone = send(&server, &format!("DELETE {PODS}/p?gracePeriodSeconds=0")).await;
    assert_eq!((gone.code, &gone.json()["kind"]), (200, &json!("Pod")));
    assert_eq!(send(&server, &format!("GET {PODS}/p")).await.code, 404);
    pod(&server, "q").await;
    send(&server, &format!("DELETE {PODS}/q")).await;
    assert_eq!(send(&server, &format!("GET {PODS}/q")).await.code, 404, "it never ran");
    pod(&server, "r").await;
    post(&server, &format!("{PODS}/r/eviction"), json!({"metadata": {"name": "r"}})).await;
    assert_eq!(send(&server, &format!("GET {PODS}/r")).await.code, 404);
}

#[tokio::test]
async fn a_namespace_goes_when_it_is_finalized() {
    let server = server().await;
    let made = post(&server, "/api/v1/namespaces", json!({"metadata": {"name": "x"}})).await;
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "x");
    assert_eq!(made["status"]["phase"], "Active");
    let going = send(&server, "DELETE /api/v1/namespaces/x").await.json();
    assert_eq!(going["status"]["phase"], "Terminating");
    let refused = send(
        &server,
        &format!("POST /api/v1/namespaces/x/configmaps\n\n{}", json!({"metadata": {"name": "a"}})),
    )
    .await;
    assert_eq!(refused.code, 403);
    assert_eq!(refused.json()["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let mut empty = going.clone();
    empty["spec"]["finalizers"] = json!([]);
    let done = send(&server, &format!("PUT /api/v1/namespaces/x/finalize\n\n{empty}")).await;
    assert_eq!(done.code, 200, "{}", done.text);
    assert_eq!(send(&server, "GET /api/v1/namespaces/x").await.code, 404);
    assert_eq!(send(&server, "DELETE /api/v1/namespaces/default").await.code, 403);
    let nowhere = send(
        &server,
        &format!("POST /api/v1/namespaces/no/configmaps\n\n{}", json!({"metadata": {"name": "a"}})),
    )
    .await;
    assert_eq!((nowhere.code, &nowhere.json()["message"]), (404, &json!("namespaces \"no\" not found")));
}

#[tokio::test]
async fn a_collection_goes_by_its_selector() {
    let server = server().await;
    for (name, label) in [("a", "1"), ("b", "2"), ("c", "1")] {
        post(&server, MAPS, json!({"metadata": {"name": name, "labels": {"l": label}}})).await;
    }
    let gone = send(&server, &format!("DELETE {MAPS}?labelSelector=l%3D1")).await;
    assert_eq!((gone.code, gone.json()["items"].as_array().map(Vec::len)), (200, Some(2)));
    let left = send(&server, &format!("GET {MAPS}")).await.json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
}
