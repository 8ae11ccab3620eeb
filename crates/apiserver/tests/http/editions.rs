//! A kind in another version than the one in which it is stored: autoscaling/v1 beside v2.

use crate::{send, server, watch};
use serde_json::{Value, json};

const V1: &str = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
const V2: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

/// What `kubectl autoscale` sends until 1.32.
async fn make(server: &apiserver::ApiServer) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let spec = json!({"scaleTargetRef": target, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60});
    let body = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": spec});
    let made = send(server, &format!("POST {V1}\n\n{body}")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    made.json()
}

async fn patch(server: &apiserver::ApiServer, path: &str, media: &str, patch: &Value) -> crate::Answer {
    send(server, &format!("PATCH {path}/web?fieldManager=m\nContent-Type: application/{media}\n\n{patch}"))
        .await
}

fn percent(object: &Value) -> &Value {
    &object["spec"]["targetCPUUtilizationPercentage"]
}

#[tokio::test]
async fn both_versions_are_one_object() {
    let server = server().await;
    let made = make(&server).await;
    assert_eq!((&made["apiVersion"], percent(&made)), (&json!("autoscaling/v1"), &json!(60)));
    let stored = send(&server, &format!("GET {V2}/web")).await.json();
    assert_eq!(stored["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 60);
    let list = send(&server, &format!("GET {V1}")).await.json();
    assert_eq!(
        (&list["apiVersion"], list["items"][0]["spec"].get("metrics")),
        (&json!("autoscaling/v1"), None)
    );
    let mut events = watch(&server, &format!("GET {V1}?watch=1")).await;
    assert_eq!(percent(&events.next().await["object"]), 60);
    let merge = json!({"spec": {"targetCPUUtilizationPercentage": 70}});
    assert_eq!(patch(&server, V1, "merge-patch+json", &merge).await.code, 200);
    let event = events.next().await;
    assert_eq!((&event["type"], percent(&event["object"])), (&json!("MODIFIED"), &json!(70)));
    let gone = send(&server, &format!("DELETE {V1}/web")).await;
    assert_eq!((gone.code, send(&server, &format!("GET {V2}/web")).await.code), (200, 404));
}

#[tokio::test]
async fn what_the_other_version_says_is_not_lost() {
    let server = server().await;
    make(&server).await;
    let behavior = json!({"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}});
    assert_eq!(patch(&server, V2, "merge-patch+json", &behavior).await.code, 200);
    for (media, body) in [
        ("merge-patch+json", json!({"spec": {"maxReplicas": 6}})),
        ("strategic-merge-patch+json", json!({"spec": {"maxReplicas": 7}})),
        ("json-patch+json", json!([{"op": "replace", "path": "/spec/maxReplicas", "value": 8}])),
    ] {
        let answer = patch(&server, V1, media, &body).await;
        assert_eq!(answer.code, 200, "{}", answer.text);
    }
    let mut seen = send(&server, &format!("GET {V1}/web")).await.json();
    seen["spec"]["minReplicas"] = 2.into();
    let put = send(&server, &format!("PUT {V1}/web\n\n{seen}")).await;
    assert_eq!(put.code, 200, "{}", put.text);
    let stored = send(&server, &format!("GET {V2}/web")).await.json();
    assert_eq!((&stored["spec"]["minReplicas"], &stored["spec"]["maxReplicas"]), (&json!(2), &json!(8)));
    assert_eq!(stored["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 5);
    assert_eq!(send(&server, &format!("PUT {V1}/web\n\n{seen}")).await.code, 409, "it was changed meanwhile");
    let config = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"targetCPUUtilizationPercentage": 40}});
    let applied = send(
        &server,
        &format!(
            "PATCH {V1}/web?fieldManager=other&force=true\nContent-Type: \
        application/apply-patch+yaml\n\n{config}"
        ),
    )
    .await;
    assert_eq!((applied.code, percent(&applied.json())), (200, &json!(40)), "{}", applied.text);
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_the_version_that_was_used() {
    let server = server().await;
    make(&server).await;
    let strict = json!({"spec": {"targetCPUUtilization": 1}});
    let path = format!("{V1}/web?fieldValidation=Strict");
    let refused =
        send(&server, &format!("PATCH {path}\nContent-Type: application/merge-patch+json\n\n{strict}")).await;
    assert_eq!(refused.code, 400);
    assert!(refused.text.contains("unknown field \\\"spec.targetCPUUtilization\\\""), "{}", refused.text);
    let negative = json!({"spec": {"maxReplicas": -1}});
    let refused = patch(&server, V1, "merge-patch+json", &negative).await;
    assert_eq!(refused.code, 422);
    assert_eq!(patch(&server, V1, "merge-patch+json", &json!([])).await.code, 400);
    assert_eq!(send(&server, &format!("PUT {V1}/web/status\n\n{{}}")).await.code, 405);
    assert_eq!(send(&server, &format!("GET {V1}/none")).await.code, 404);
    let body =
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"}});
    assert_eq!(send(&server, &format!("POST {V1}\n\n{body}")).await.code, 400);
}

#[tokio::test]
async fn discovery_names_both_and_prefers_the_stored_one() {
    let server = server().await;
    let group = send(&server, "GET /apis/autoscaling").await.json();
    assert_eq!(group["preferredVersion"]["version"], "v2");
    let versions: Vec<&Value> =
        group["versions"].as_array().into_iter().flatten().map(|version| &version["version"]).collect();
    assert_eq!(versions, ["v2", "v1"]);
    let aggregated = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let all = send(&server, &format!("GET /apis\n{aggregated}")).await.json();
    let mut groups = all["items"].as_array().into_iter().flatten();
    let found = groups.find(|group| group["metadata"]["name"] == "autoscaling").expect("the group");
    assert_eq!(found["versions"][1]["resources"][0]["responseKind"]["version"], "v1");
    let resources = send(&server, "GET /apis/autoscaling/v1").await.json();
    assert_eq!(resources["resources"][0]["name"], "horizontalpodautoscalers");
    assert_eq!(send(&server, "GET /openapi/v3/apis/autoscaling/v1").await.code, 200);
}
