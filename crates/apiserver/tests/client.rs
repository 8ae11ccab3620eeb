//! The real Rust client over the in-process transport: typed objects, patches, watches and a reflector.

use apiserver::{ApiServer, BoxError, Config, Identity};
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::{WatchStreamExt, reflector, watcher},
};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use std::time::Duration;
use tower::ServiceExt;

async fn client() -> Client {
    let random = ring::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let config = Config::new(store::memory(), key.as_ref().to_vec(), "CA".to_owned());
    let server = ApiServer::start(config).await.expect("the server starts");
    let service = server.service(Identity::master("test"));
    let service = service.map_request(|request: http::Request<kube::client::Body>| {
        request.map(|body| body.map_err(BoxError::from).boxed_unsync())
    });
    Client::new(service, "default")
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"key": value}})).expect("a ConfigMap")
}

fn value(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get("key")).map_or("", String::as_str)
}

#[tokio::test]
async fn typed_objects() {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await);
    let made = maps.create(&PostParams::default(), &map("a", "1")).await.expect("created");
    let mut next = made.clone();
    next.data = map("a", "2").data;
    maps.replace("a", &PostParams::default(), &next).await.expect("replaced");
    let conflict = maps.replace("a", &PostParams::default(), &made).await.expect_err("an old version");
    assert!(matches!(conflict, kube::Error::Api(status) if status.code == 409 && status.is_conflict()));
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"other": "3"}});
    let applied = maps.patch("a", &PatchParams::apply("me"), &Patch::Apply(applied)).await.expect("applied");
    assert_eq!(value(&applied), "2");
    assert!(
        applied
            .metadata
            .managed_fields
            .is_some_and(|fields| fields.iter().any(|own| own.manager.as_deref() == Some("me")))
    );
    let pages = ListParams::default().limit(1);
    maps.create(&PostParams::default(), &map("b", "1")).await.expect("created");
    let page = maps.list(&pages).await.expect("a page");
    assert_eq!((page.items.len(), page.metadata.remaining_item_count), (1, Some(1)));
    maps.delete("a", &DeleteParams::default())
        .await
        .expect("deleted")
        .map_right(|status| assert!(status.is_success()));
    assert!(maps.get_opt("a").await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_watch_tells_in_order() {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await);
    let start = maps.list(&ListParams::default()).await.expect("a list").metadata.resource_version;
    let stream = maps.watch(&WatchParams::default(), &start.expect("a revision")).await.expect("a watch");
    let mut stream = std::pin::pin!(stream);
    for index in 0..300 {
        maps.create(&PostParams::default(), &map(&format!("m{index}"), "x")).await.expect("created");
    }
    for index in 0..300 {
        let event = stream.try_next().await.expect("no error").expect("an event");
        let WatchEvent::Added(own) = event else { panic!("{event:?}") };
        assert_eq!(own.metadata.name, Some(format!("m{index}")));
    }
}

#[tokio::test]
async fn reflectors_keep_up() {
    let client = client().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        maps.create(&PostParams::default(), &map("before", "x")).await.expect("created");
        let (reader, writer) = reflector::store();
        let stream = reflector(writer, watcher(maps.clone(), config)).applied_objects();
        let follow = tokio::spawn(stream.for_each(|event| async move { drop(event.expect("no error")) }));
        reader.wait_until_ready().await.expect("ready");
        let key = |name: &str| reflector::ObjectRef::new(name).within("default");
        assert!(reader.get(&key("before")).is_some());
        maps.create(&PostParams::default(), &map("after", "y")).await.expect("created");
        maps.delete("before", &DeleteParams::default()).await.expect("deleted");
        let caught_up = async {
            while reader.get(&key("after")).is_none() || reader.get(&key("before")).is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), caught_up).await.expect("the reflector catches up");
        maps.delete("after", &DeleteParams::default()).await.expect("deleted");
        follow.abort();
    }
    let namespaces: Api<Namespace> = Api::all(client);
    assert_eq!(namespaces.list_metadata(&ListParams::default()).await.expect("metadata").items.len(), 4);
}

#[tokio::test]
async fn eight_writers_lose_nothing() {
    let maps: Api<ConfigMap> = Api::default_namespaced(client().await);
    maps.create(&PostParams::default(), &map("counter", "")).await.expect("created");
    let add = |writer: usize| {
        let maps = maps.clone();
        async move {
            for round in 0..20 {
                let patch = json!({"data": {format!("{writer}-{round}"): "x"}});
                maps.patch("counter", &PatchParams::default(), &Patch::Merge(patch)).await.expect("patched");
            }
        }
    };
    for done in futures::future::join_all((0..8).map(|writer| tokio::spawn(add(writer)))).await {
        done.expect("every writer is served");
    }
    let data = maps.get("counter").await.expect("the map").data.expect("data");
    assert_eq!(data.len(), 161);
}
