//! The cache over a scripted API server: lists are answered from a table, watches from a channel.

use std::time::Duration;

use futures::channel::mpsc;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use tower::service_fn;
use tower::util::BoxCloneService;

use super::*;
use crate::{Body, BoxError};

type Lines = mpsc::UnboundedReceiver<Result<http_body::Frame<bytes::Bytes>, BoxError>>;
type Feed = mpsc::UnboundedSender<Result<http_body::Frame<bytes::Bytes>, BoxError>>;

/// What the next list answers, and the watches to hand out, in order.
#[derive(Default)]
struct Script {
    list: Value,
    watches: std::collections::VecDeque<Lines>,
    lists: usize,
}

fn map(name: &str, version: u64, text: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "resourceVersion": version.to_string(),
            "managedFields": [{ "manager": "kubectl" }],
        },
        "data": { "text": text },
    })
}

fn list(version: u64, items: &[Value]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMapList",
        "metadata": { "resourceVersion": version.to_string() }, "items": items,
    })
}

fn serve(script: Arc<Mutex<Script>>) -> kube::Client {
    let service = service_fn(move |request: Request<Body>| {
        let mut script = script.lock().expect("no test panics while holding it");
        let body: Body = if request.uri().query().unwrap_or_default().contains("watch=") {
            match script.watches.pop_front() {
                Some(lines) => StreamBody::new(lines).boxed_unsync(),
                None => StreamBody::new(futures::stream::pending()).boxed_unsync(),
            }
        } else {
            script.lists += 1;
            Full::from(script.list.to_string()).map_err(|never| match never {}).boxed_unsync()
        };
        std::future::ready(Ok::<_, BoxError>(Response::new(body)))
    });
    crate::in_process(BoxCloneService::new(service))
}

fn send(feed: &Feed, kind: &str, object: Value) {
    let line = format!("{}\n", json!({ "type": kind, "object": object }));
    feed.unbounded_send(Ok(http_body::Frame::data(line.into()))).expect("the watch is read");
}

fn house(items: &[Value], watches: usize) -> (Cache, Arc<Mutex<Script>>, Vec<Feed>) {
    let (feeds, lines): (Vec<_>, Vec<_>) = (0..watches).map(|_| mpsc::unbounded()).unzip();
    let script = Script { list: list(10, items), watches: lines.into(), lists: 0 };
    let script = Arc::new(Mutex::new(script));
    let client = serve(script.clone());
    (Cache::start(&client, crate::resource::<ConfigMap>(), Selectors::default()), script, feeds)
}

async fn next(
    changes: &mut (impl futures::Stream<Item = crate::Change> + Unpin),
) -> (String, Option<String>, Option<String>) {
    let change = tokio::time::timeout(Duration::from_secs(60), changes.next())
        .await
        .expect("a change comes")
        .expect("the cache lives");
    let text =
        |object: Option<Arc<Value>>| object.map(|o| o["data"]["text"].as_str().unwrap_or("").to_owned());
    (change.key.to_string(), text(change.old), text(change.new))
}

fn told(key: &str, old: Option<&str>, new: Option<&str>) -> (String, Option<String>, Option<String>) {
    (key.into(), old.map(Into::into), new.map(Into::into))
}

#[tokio::test]
async fn it_follows_the_watch() {
    let (cache, _script, feeds) = house(&[map("a", 5, "1")], 1);
    let mut changes = cache.subscribe();
    cache.synced().await;
    assert_eq!(next(&mut changes).await, told("ns/a", None, Some("1")));
    send(&feeds[0], "ADDED", map("b", 11, "1"));
    send(&feeds[0], "MODIFIED", map("a", 12, "2"));
    assert_eq!(next(&mut changes).await, told("ns/b", None, Some("1")));
    assert_eq!(next(&mut changes).await, told("ns/a", Some("1"), Some("2")));
    send(&feeds[0], "DELETED", map("a", 13, "2"));
    assert_eq!(next(&mut changes).await, told("ns/a", Some("2"), None));
    assert_eq!(cache.keys(), [Key::new("ns", "b")]);
    let kept = cache.get(&Key::new("ns", "b")).expect("it is there");
    assert_eq!((&kept["kind"], &kept["metadata"]["managedFields"]), (&json!("ConfigMap"), &Value::Null));
}

#[tokio::test]
async fn a_slow_subscriber_sees_one_change_per_object() {
    let (cache, _script, feeds) = house(&[map("a", 5, "0")], 1);
    cache.synced().await;
    let (mut slow, mut quick) = (cache.subscribe(), cache.subscribe());
    assert_eq!(next(&mut slow).await, told("ns/a", None, Some("0")));
    assert_eq!(next(&mut quick).await, told("ns/a", None, Some("0")));
    for n in 1..=3 {
        send(&feeds[0], "MODIFIED", map("a", 10 + n, &n.to_string()));
        next(&mut quick).await;
    }
    send(&feeds[0], "ADDED", map("b", 20, ""));
    send(&feeds[0], "DELETED", map("b", 21, ""));
    send(&feeds[0], "ADDED", map("c", 22, ""));
    while next(&mut quick).await.0 != "ns/c" {}
    assert_eq!(next(&mut slow).await, told("ns/a", Some("0"), Some("3")));
    assert_eq!(next(&mut slow).await, told("ns/b", Some(""), None), "what came and went is told as gone");
    assert_eq!(next(&mut slow).await, told("ns/c", None, Some("")));
    assert_eq!(cache.revision(), 22);
}

#[tokio::test(start_paused = true)]
async fn after_410_it_lists_again_and_tells_the_differences() {
    let (cache, script, feeds) = house(&[map("a", 5, "1"), map("b", 6, "1")], 2);
    let mut changes = cache.subscribe();
    next(&mut changes).await;
    next(&mut changes).await;
    script.lock().expect("free").list = list(90, &[map("b", 6, "1"), map("c", 80, "1")]);
    send(
        &feeds[0],
        "ERROR",
        json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old" }),
    );
    assert_eq!(next(&mut changes).await, told("ns/a", Some("1"), None));
    assert_eq!(next(&mut changes).await, told("ns/c", None, Some("1")), "b did not change and is not told");
    assert_eq!(script.lock().expect("free").lists, 2);
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_resumed_without_a_list() {
    let (cache, script, mut feeds) = house(&[map("a", 5, "1")], 2);
    let mut changes = cache.subscribe();
    next(&mut changes).await;
    drop(feeds.remove(0));
    send(&feeds[0], "MODIFIED", map("a", 12, "2"));
    assert_eq!(next(&mut changes).await, told("ns/a", Some("1"), Some("2")));
    assert_eq!(script.lock().expect("free").lists, 1);
}

#[tokio::test]
async fn indexes_follow() {
    let (cache, _script, feeds) = house(&[map("a", 5, "x"), map("b", 6, "y")], 1);
    cache.synced().await;
    cache.add_index("text", |object| vec![object["data"]["text"].as_str().unwrap_or("").to_owned()]);
    let names = |word: &str| -> Vec<String> {
        cache.by_index("text", word).iter().map(|object| Key::of(object).name).collect()
    };
    assert_eq!(names("x"), ["a"]);
    let mut changes = cache.subscribe();
    next(&mut changes).await;
    next(&mut changes).await;
    send(&feeds[0], "MODIFIED", map("b", 12, "x"));
    next(&mut changes).await;
    assert_eq!((names("x"), names("y")), (vec!["a".to_owned(), "b".to_owned()], vec![]));
}

#[tokio::test]
async fn caches_are_shared_and_end_with_their_last_user() {
    let (feed, lines) = mpsc::unbounded();
    let script = Script { list: list(1, &[]), watches: [lines].into(), lists: 0 };
    let script = Arc::new(Mutex::new(script));
    let caches = Caches::new(serve(script.clone()));
    let (one, two) = (caches.of::<ConfigMap>(), caches.of::<ConfigMap>());
    one.synced().await;
    two.synced().await;
    assert_eq!(script.lock().expect("free").lists, 1);
    let mut changes = one.subscribe();
    drop((one, two));
    assert!(changes.next().await.is_none(), "a subscription ends with the cache");
    tokio::time::timeout(Duration::from_secs(60), async {
        while !feed.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the watch is given up");
}

fn follow(items: &[Value], watches: usize) -> (Follow, Arc<Mutex<Script>>, Vec<Feed>) {
    let (cache, script, feeds) = house(items, watches);
    // The same house; the cache has not asked for anything yet.
    drop(cache);
    let resource = crate::resource::<ConfigMap>();
    (Follow::start(&serve(script.clone()), resource, Selectors::default()), script, feeds)
}

#[tokio::test]
async fn following_tells_what_changed_and_keeps_nothing() {
    let (mut changes, _script, feeds) = follow(&[map("a", 5, "1"), map("b", 6, "1")], 1);
    let mut listed = Vec::new();
    while let Some(change) = changes.listed().await {
        listed.push((
            change.key.to_string(),
            change.old,
            change.new.map(|object| Arc::strong_count(&object)),
        ));
    }
    assert_eq!(listed, [("ns/a".to_owned(), None, Some(1)), ("ns/b".to_owned(), None, Some(1))]);
    send(&feeds[0], "MODIFIED", map("a", 12, "2"));
    assert_eq!(next(&mut changes).await, told("ns/a", None, Some("2")));
    send(&feeds[0], "DELETED", map("a", 13, "2"));
    assert_eq!(next(&mut changes).await, told("ns/a", Some("2"), None));
}

#[tokio::test(start_paused = true)]
async fn following_survives_410_and_tells_the_differences() {
    let items = [map("a", 5, "1"), map("b", 6, "1"), map("c", 7, "1")];
    let (mut changes, script, feeds) = follow(&items, 2);
    while changes.listed().await.is_some() {}
    let mut another = map("c", 81, "2");
    another["metadata"]["uid"] = "another".into();
    script.lock().expect("free").list = list(90, &[map("b", 6, "1"), another, map("d", 80, "1")]);
    send(
        &feeds[0],
        "ERROR",
        json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old" }),
    );
    let told_of = changes.next().await.expect("it lives");
    let uid = |object: &Option<Arc<Value>>| object.as_ref().map(|object| object["metadata"]["uid"].clone());
    assert_eq!((uid(&told_of.old), uid(&told_of.new)), (Some("c".into()), Some("another".into())));
    assert_eq!(next(&mut changes).await, told("ns/d", None, Some("1")), "b did not change and is not told");
    let gone = changes.next().await.expect("it lives");
    assert_eq!(
        (Key::of(gone.object()), uid(&gone.old), gone.new),
        (Key::new("ns", "a"), Some("a".into()), None)
    );
}

#[tokio::test]
async fn a_cache_that_runs_is_followed_too() {
    let (feed, lines) = mpsc::unbounded();
    let script = Script { list: list(1, &[map("a", 1, "1")]), watches: [lines].into(), lists: 0 };
    let script = Arc::new(Mutex::new(script));
    let caches = Caches::new(serve(script.clone()));
    let cache = caches.of::<ConfigMap>();
    let mut changes = caches.follow_metadata(crate::resource::<ConfigMap>());
    drop(cache);
    assert_eq!(next(&mut changes).await, told("ns/a", None, Some("1")));
    assert!(changes.listed().await.is_none());
    send(&feed, "MODIFIED", map("a", 2, "2"));
    assert_eq!(next(&mut changes).await, told("ns/a", Some("1"), Some("2")));
    assert_eq!(script.lock().expect("free").lists, 1);
    drop(changes);
    tokio::time::timeout(Duration::from_secs(60), async {
        while !feed.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the watch is given up");
}
