//! create, get, list, update, patch and delete of plain objects.

use crate::{send, server};
use serde_json::json;

#[tokio::test]
async fn an_object_lives() {
    let server = server().await;
    let base = "/api/v1/namespaces/default/configmaps";
    let made =
        send(&server, &format!("POST {base}\n\n{}", json!({"metadata": {"name": "a"}, "data": {"k": "v"}})))
            .await;
    assert_eq!(made.code, 201, "{}", made.text);
    let made = made.json();
    assert_eq!(made["kind"], "ConfigMap");
    assert_eq!(made["metadata"]["namespace"], "default");
    let revision = made["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned();
    let got = send(&server, &format!("GET {base}/a")).await;
    assert_eq!((got.code, got.json()), (200, made.clone()));
    let again = send(&server, &format!("POST {base}\n\n{}", json!({"metadata": {"name": "a"}}))).await;
    assert_eq!(again.code, 409);
    assert_eq!(again.json()["message"], "configmaps \"a\" already exists");

    let mut next = made.clone();
    next["data"]["k"] = "w".into();
    let put = send(&server, &format!("PUT {base}/a\n\n{next}")).await;
    assert_eq!(put.code, 200, "{}", put.text);
    assert_ne!(put.json()["metadata"]["resourceVersion"], revision.as_str());
    next["data"]["k"] = "x".into();
    let late = send(&server, &format!("PUT {base}/a\n\n{next}")).await;
    assert_eq!((late.code, &late.json()["reason"]), (409, &json!("Conflict")));

    let patch = format!(
        "PATCH {base}/a\nContent-Type: application/merge-patch+json\n\n{}",
        json!({"data": {"k": null, "l": "m"}})
    );
    let patched = send(&server, &patch).await;
    assert_eq!(patched.code, 200, "{}", patched.text);
    assert_eq!(patched.json()["data"], json!({"l": "m"}));
    let unchanged = send(&server, &patch).await.json();
    assert_eq!(unchanged["metadata"]["resourceVersion"], patched.json()["metadata"]["resourceVersion"]);

    let gone = send(&server, &format!("DELETE {base}/a")).await;
    assert_eq!((gone.code, &gone.json()["status"]), (200, &json!("Success")));
    assert_eq!(send(&server, &format!("GET {base}/a")).await.code, 404);
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let store = store::memory();
    let config = crate::config(store.clone());
    let config = apiserver::Config { advertise: Some(([10, 0, 0, 1], 6443).into()), ..config };
    let first = apiserver::ApiServer::start(config.clone()).await.expect("the server starts");
    let path = "/api/v1/namespaces/default/configmaps";
    let made = send(&first, &format!("POST {path}\n\n{}", json!({"metadata": {"name": "a"}}))).await.json();
    let revision = store.revision();
    drop(first);
    let second = apiserver::ApiServer::start(config).await.expect("the server starts again");
    assert_eq!(store.revision(), revision);
    assert_eq!(send(&second, &format!("GET {path}/a")).await.json(), made);
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    assert_eq!(
        send(&second, &format!("GET {slices}")).await.json()["endpoints"][0]["addresses"][0],
        "10.0.0.1"
    );
    let early = send(&second, &format!("GET {path}?resourceVersion=1&resourceVersionMatch=Exact")).await;
    assert_eq!(early.code, 410);
}

#[tokio::test]
async fn a_list_shows_the_revision_asked_for() {
    let server = server().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let post = async |name: &str| {
        let made = send(&server, &format!("POST {path}\n\n{}", json!({"metadata": {"name": name}}))).await;
        made.json()["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned()
    };
    let (first, _) = (post("a").await, post("b").await);
    let list = async |query: &str| {
        let list = send(&server, &format!("GET {path}?{query}")).await.json();
        list["items"].as_array().map(Vec::len)
    };
    assert_eq!(list(&format!("resourceVersion={first}&resourceVersionMatch=Exact")).await, Some(1));
    assert_eq!(list(&format!("resourceVersion={first}&resourceVersionMatch=NotOlderThan")).await, Some(2));
    assert_eq!(list(&format!("resourceVersion={first}")).await, Some(2));
    assert_eq!(list("resourceVersion=0").await, Some(2));
    assert_eq!(list("resourceVersionMatch=Exact").await, None, "a match needs a revision");
    assert_eq!(list("resourceVersion=x").await, None);
}

#[tokio::test]
async fn preconditions_of_an_update() {
    let server = server().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let made = send(&server, &format!("POST {path}\n\n{}", json!({"metadata": {"name": "a"}}))).await.json();
    let put = async |metadata: serde_json::Value| {
        send(&server, &format!("PUT {path}/a\n\n{}", json!({"metadata": metadata}))).await.code
    };
    let revision = made["metadata"]["resourceVersion"].clone();
    assert_eq!(put(json!({"name": "a", "uid": "other", "resourceVersion": revision})).await, 409);
    assert_eq!(put(json!({"name": "a", "resourceVersion": "1"})).await, 409);
    assert_eq!(put(json!({"name": "a", "uid": made["metadata"]["uid"]})).await, 422, "leases need a version");
    assert_eq!(put(json!({"name": "a", "resourceVersion": revision})).await, 200);
}
