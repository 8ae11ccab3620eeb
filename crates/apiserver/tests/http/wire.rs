//! Forms of requests and answers: media types, YAML, warnings, sizes, discovery, and what happens when something breaks.

use crate::{request, send, send_as, server};
use apiserver::Identity;
use bytes::Bytes;
use expect_test::expect;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn bodies_come_in_three_forms() {
    let server = server().await;
    let yaml = send(
        &server,
        &format!(
            "POST {MAPS}\nContent-Type: application/yaml\n\nmetadata:\n  name: from-yaml\ndata: {{a: b}}"
        ),
    )
    .await;
    assert_eq!((yaml.code, &yaml.json()["data"]["a"]), (201, &json!("b")), "{}", yaml.text);
    let xml = send(&server, &format!("POST {MAPS}\nContent-Type: application/xml\n\n<a/>")).await;
    assert_eq!((xml.code, &xml.json()["reason"]), (415, &json!("UnsupportedMediaType")));
    let broken = send(&server, &format!("POST {MAPS}\n\n{{\"metadata\": ")).await;
    assert_eq!((broken.code, &broken.json()["reason"]), (400, &json!("BadRequest")));
    // What `kubectl create configmap p` sends: magic, TypeMeta, the object.
    let raw = b"\x0a\x03\x0a\x01p";
    let mut body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12".to_vec();
    body.push(u8::try_from(raw.len()).expect("short"));
    body.extend_from_slice(raw);
    let mut protobuf = request(&format!("POST {MAPS}\nContent-Type: application/vnd.kubernetes.protobuf"));
    protobuf.extensions_mut().insert(Identity::master("admin"));
    *protobuf.body_mut() = apiserver::full(body);
    assert_eq!(server.handle(protobuf).await.status(), 201);
    assert_eq!(send(&server, &format!("GET {MAPS}/p")).await.code, 200);
}

#[tokio::test]
async fn answers_take_the_form_asked_for() {
    let server = server().await;
    send(&server, &format!("POST {MAPS}\n\n{}", json!({"metadata": {"name": "a"}, "data": {"k": "v"}})))
        .await;
    let get = async |accept: &str| send(&server, &format!("GET {MAPS}/a\nAccept: {accept}")).await;
    let table = get("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await.json();
    assert_eq!((&table["kind"], &table["rows"][0]["cells"][0]), (&json!("Table"), &json!("a")));
    let metadata = get("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").await.json();
    assert_eq!((&metadata["kind"], metadata.get("data")), (&json!("PartialObjectMetadata"), None));
    let yaml = get("application/yaml").await;
    assert!(yaml.text.contains("k: v"), "{}", yaml.text);
    assert_eq!(get("application/vnd.kubernetes.protobuf,application/json").await.code, 200);
    let only = get("application/vnd.kubernetes.protobuf").await;
    assert_eq!((only.code, &only.json()["reason"]), (406, &json!("NotAcceptable")));
    let pretty = send(&server, &format!("GET {MAPS}/a?pretty=true")).await;
    assert!(pretty.text.contains("\n  \"kind\": \"ConfigMap\""), "{}", pretty.text);
}

#[tokio::test]
async fn unknown_fields_warn_or_refuse() {
    let server = server().await;
    let body = json!({"metadata": {"name": "a"}, "dataa": {}});
    let warned = send(&server, &format!("POST {MAPS}\n\n{body}")).await;
    assert_eq!((warned.code, warned.json().get("dataa")), (201, None));
    let warning = warned.headers.get("warning").and_then(|value| value.to_str().ok()).unwrap_or_default();
    expect![[r#"299 - "unknown field \"dataa\"""#]].assert_eq(warning);
    let strict = send(&server, &format!("POST {MAPS}?fieldValidation=Strict\n\n{body}")).await;
    assert_eq!(strict.code, 400);
    let ignored = send(
        &server,
        &format!(
            "POST {MAPS}?fieldValidation=Ignore&dryRun=All\n\n{}",
            json!({"metadata": {"name": "b"}, "dataa": {}})
        ),
    )
    .await;
    assert_eq!((ignored.code, ignored.headers.get("warning")), (201, None));
    assert_eq!(send(&server, &format!("GET {MAPS}/b")).await.code, 404, "it was a dry run");
}

#[tokio::test]
async fn what_is_too_big_is_refused() {
    let server = server().await;
    let body =
        |bytes: usize| json!({"metadata": {"name": "a"}, "data": {"k": "x".repeat(bytes)}}).to_string();
    let request = send(&server, &format!("POST {MAPS}\n\n{}", body(4 << 20))).await;
    assert_eq!((request.code, &request.json()["reason"]), (413, &json!("RequestEntityTooLarge")));
    let secret = |bytes: usize| {
        json!({"metadata": {"name": "a", "annotations": {"k": "x"}},
        "spec": {"ports": [{"port": 80}], "externalName": "x".repeat(bytes)}})
        .to_string()
    };
    let stored =
        send(&server, &format!("POST /api/v1/namespaces/default/services\n\n{}", secret(2 << 20))).await;
    assert!(matches!(stored.code, 413 | 422), "{}", stored.code);
}

#[tokio::test]
async fn names_and_places_must_agree() {
    let server = server().await;
    let post = async |body: Value| send(&server, &format!("POST {MAPS}\n\n{body}")).await;
    assert_eq!(post(json!({"metadata": {"name": "a", "namespace": "other"}})).await.code, 400);
    assert_eq!(post(json!({"kind": "Secret", "metadata": {"name": "a"}})).await.code, 400);
    assert_eq!(post(json!({"metadata": {"name": "Not_A_Name"}})).await.code, 422);
    assert_eq!(post(json!({"metadata": {"name": "a", "resourceVersion": "1"}})).await.code, 400);
    let generated = post(json!({"metadata": {"generateName": "g-"}})).await.json();
    assert!(
        generated["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("g-") && name.len() == 7)
    );
    let put = send(&server, &format!("PUT {MAPS}/b\n\n{}", json!({"metadata": {"name": "a"}}))).await;
    assert_eq!(put.code, 400);
    let missing = send(&server, &format!("PUT {MAPS}/b\n\n{}", json!({"metadata": {"name": "b"}}))).await;
    assert_eq!(missing.code, 404);
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let made = send(&server, &format!("PUT {leases}/b\n\n{}", json!({"metadata": {"name": "b"}}))).await;
    assert_eq!(made.code, 201, "{}", made.text);
    for (path, code) in [
        ("GET /api/v1/nothing", 404),
        ("GET /apis/none/v1", 404),
        ("POST /api/v1/configmaps", 405),
        ("GET /apis/apps/v1/namespaces/default/deployments/x/nope", 404),
        ("POST /version", 405),
        ("PUT /api/v1/namespaces/default/pods", 405),
        ("GET /api/v1/services/default%2Fkubernetes", 404),
        ("GET /api/v1/namespaces/default/services/kubernetes", 200),
    ] {
        assert_eq!(send(&server, path).await.code, code, "{path}");
    }
}

#[tokio::test]
async fn discovery_tells_of_every_kind() {
    let server = server().await;
    let core = send(&server, "GET /api/v1").await.json();
    let names: Vec<&str> =
        core["resources"].as_array().into_iter().flatten().filter_map(|own| own["name"].as_str()).collect();
    assert!(["pods", "pods/exec", "namespaces/finalize", "secrets"].iter().all(|name| names.contains(name)));
    let groups = send(&server, "GET /apis").await.json();
    let groups: Vec<&str> =
        groups["groups"].as_array().into_iter().flatten().filter_map(|own| own["name"].as_str()).collect();
    assert!(["apps", "dory.dev", "authorization.k8s.io"].iter().all(|name| groups.contains(name)));
    let accept =
        "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let all = send(&server, &format!("GET /apis\n{accept}")).await;
    assert!(all.headers["content-type"].to_str().is_ok_and(|value| value.contains("APIGroupDiscoveryList")));
    assert_eq!(all.json()["items"].as_array().map(Vec::len), Some(groups.len()));
    let index = send(&server, "GET /openapi/v3").await.json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("a document").to_owned();
    let document = send(&server, &format!("GET {url}")).await;
    let tag = document.headers["etag"].to_str().expect("text").to_owned();
    assert!(document.headers.contains_key("cache-control"));
    assert_eq!(send(&server, &format!("GET {url}\nIf-None-Match: {tag}")).await.code, 304);
}

#[tokio::test]
async fn a_bug_in_one_request_is_the_end_of_that_request_only() {
    let server = server().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    send(&server, &format!("POST {accounts}\n\n{}", json!({"metadata": {"name": "default"}}))).await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "buggy", "containers": [{"name": "a", "image": "a"}]}});
    send(&server, &format!("POST {pods}\n\n{pod}")).await;
    let broken = send(&server, &format!("GET {pods}/p/log")).await;
    assert_eq!((broken.code, &broken.json()["reason"]), (500, &json!("InternalError")));
    let metrics = send(&server, "GET /metrics").await;
    assert!(metrics.text.contains("apiserver_request_panics_total 1"), "{}", metrics.text);
    let counted = r#"verb="get",resource="pods",subresource="log",code="500"} 1"#;
    assert!(metrics.text.contains(counted), "{}", metrics.text);
    assert_eq!(send_as(&server, Identity::anonymous(), "GET /livez").await.code, 200);
}

#[tokio::test]
async fn bodies_may_break_off() {
    use http_body_util::{BodyExt, StreamBody};
    let server = server().await;
    let broken = futures::stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"{"))),
        Err(apiserver::BoxError::from("the line went dead")),
    ]);
    let mut request = request(&format!("POST {MAPS}"));
    request.extensions_mut().insert(Identity::master("admin"));
    *request.body_mut() = StreamBody::new(broken).boxed_unsync();
    assert_eq!(server.handle(request).await.status(), 400);
}

/// A body that says how long it is, or does not, and never comes.
struct Never(Option<u64>);

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = apiserver::BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, apiserver::BoxError>>> {
        std::task::Poll::Pending
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.map_or_else(http_body::SizeHint::new, http_body::SizeHint::with_exact)
    }
}

/// A request that is in flight until it is dropped.
fn stuck(length: Option<u64>) -> http::Request<apiserver::Body> {
    use http_body_util::BodyExt;
    let mut request = request(&format!("POST {MAPS}"));
    request.extensions_mut().insert(Identity::master("admin"));
    *request.body_mut() = Never(length).boxed_unsync();
    request
}

#[tokio::test]
async fn bodies_in_flight_are_bounded_by_their_bytes() {
    use futures::FutureExt;
    let server = server().await;
    // 64 MiB: twenty-one of the largest, 3 MiB each; one of unknown length may be one of these.
    for (length, count) in [(Some(3 << 20), 21), (Some(90 << 20), 21), (None, 21), (Some(1 << 20), 64)] {
        let mut open: Vec<_> = (0..count).map(|_| Box::pin(server.handle(stuck(length)))).collect();
        assert!(open.iter_mut().all(|request| request.now_or_never().is_none()));
        let refused = server.handle(stuck(Some(2 << 20))).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (429, &"1".parse().expect("text"))
        );
        assert_eq!(send(&server, &format!("GET {MAPS}")).await.code, 200, "without a body there is room");
        drop(open);
        assert!(server.handle(stuck(Some(2 << 20))).now_or_never().is_none());
    }
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_back() {
    use futures::FutureExt;
    use tower::ServiceExt;
    let server = server().await;
    let mut open: Vec<_> = (0..600).map(|_| Box::pin(server.handle(stuck(Some(10))))).collect();
    assert!(open.iter_mut().all(|request| request.now_or_never().is_none()));
    let refused = send(&server, &format!("GET {MAPS}")).await;
    assert_eq!((refused.code, &refused.json()["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(refused.headers["retry-after"], "1");
    let watched = crate::watch(&server, &format!("GET {MAPS}?watch=1")).await;
    let inside = server.service(Identity::master("node")).oneshot(request(&format!("GET {MAPS}"))).await;
    assert_eq!(inside.expect("an answer").status(), 200);
    drop((watched, open));
    assert_eq!(send(&server, &format!("GET {MAPS}")).await.code, 200);
}
