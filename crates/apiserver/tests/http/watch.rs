//! watch: where it begins, what it tells, how it ends; and lists in pages.

use crate::{Events, send, server, watch};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn make(server: &apiserver::ApiServer, name: &str, labels: Value) -> Value {
    let body = json!({"metadata": {"name": name, "labels": labels}});
    let made = send(server, &format!("POST {MAPS}\n\n{body}")).await;
    assert_eq!(made.code, 201, "{}", made.text);
    made.json()
}

async fn label(server: &apiserver::ApiServer, name: &str, value: &str) {
    let patch = json!({"metadata": {"labels": {"a": value}}});
    let text = format!("PATCH {MAPS}/{name}\nContent-Type: application/merge-patch+json\n\n{patch}");
    assert_eq!(send(server, &text).await.code, 200);
}

fn name(event: &Value) -> String {
    format!(
        "{} {}",
        event["type"].as_str().unwrap_or("?"),
        event["object"]["metadata"]["name"].as_str().unwrap_or("-")
    )
}

async fn next(events: &mut Events) -> String {
    name(&events.next().await)
}

#[tokio::test]
async fn it_begins_with_what_is_there_and_goes_on() {
    let server = server().await;
    let made = make(&server, "one", json!({})).await;
    let mut events = watch(&server, &format!("GET {MAPS}?watch=1")).await;
    assert_eq!(next(&mut events).await, "ADDED one");
    make(&server, "two", json!({})).await;
    assert_eq!(next(&mut events).await, "ADDED two");
    send(&server, &format!("DELETE {MAPS}/one")).await;
    let gone = events.next().await;
    assert_eq!(name(&gone), "DELETED one");
    assert_ne!(gone["object"]["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);

    let from = made["metadata"]["resourceVersion"].as_str().expect("a revision");
    let mut again = watch(&server, &format!("GET {MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!(next(&mut again).await, "ADDED two");
    assert_eq!(next(&mut again).await, "DELETED one");
}

#[tokio::test]
async fn a_selector_makes_objects_come_and_go() {
    let server = server().await;
    make(&server, "x", json!({"a": "1"})).await;
    let path = format!("GET {MAPS}?watch=1&labelSelector=a%3D1&resourceVersion=0");
    let mut events = watch(&server, &path).await;
    assert_eq!(next(&mut events).await, "ADDED x");
    label(&server, "x", "2").await;
    let left = events.next().await;
    assert_eq!(
        (name(&left), &left["object"]["metadata"]["labels"]["a"]),
        ("DELETED x".to_owned(), &json!("1"))
    );
    label(&server, "x", "3").await;
    label(&server, "x", "1").await;
    assert_eq!(next(&mut events).await, "ADDED x");
}

#[tokio::test]
async fn a_streamed_list_says_where_it_ends() {
    let server = server().await;
    make(&server, "x", json!({})).await;
    let path = format!(
        "GET {MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut events = watch(&server, &path).await;
    assert_eq!(next(&mut events).await, "ADDED x");
    let end = events.next().await;
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let refused = send(&server, &format!("GET {MAPS}?watch=1&sendInitialEvents=true")).await;
    assert_eq!(refused.code, 400);
}

#[tokio::test]
async fn it_ends_after_its_time() {
    let server = server().await;
    let answer = send(&server, &format!("GET {MAPS}?watch=1&timeoutSeconds=1")).await;
    assert_eq!((answer.code, answer.text.as_str()), (200, ""));
    let marked =
        send(&server, &format!("GET {MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")).await;
    assert_eq!(marked.json()["type"], "BOOKMARK", "{}", marked.text);
}

#[tokio::test]
async fn a_future_revision_is_refused() {
    let server = server().await;
    let answer =
        send(&server, &format!("GET {MAPS}?resourceVersion=1000000&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!(answer.code, 504);
    assert_eq!(answer.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[tokio::test]
async fn rows_are_watched_as_tables() {
    let server = server().await;
    make(&server, "x", json!({})).await;
    let path = format!("GET {MAPS}?watch=1\nAccept: application/json;as=Table;v=v1;g=meta.k8s.io");
    let mut events = watch(&server, &path).await;
    let first = events.next().await;
    assert_eq!(
        (&first["object"]["kind"], &first["object"]["rows"][0]["cells"][0]),
        (&json!("Table"), &json!("x"))
    );
    assert!(first["object"]["columnDefinitions"].as_array().is_some_and(|list| !list.is_empty()));
    make(&server, "y", json!({})).await;
    let second = events.next().await;
    assert!(second["object"]["columnDefinitions"].as_array().is_none_or(Vec::is_empty));
}

#[tokio::test]
async fn pages_show_one_moment() {
    let server = server().await;
    for name in ["a", "b", "c", "d", "e"] {
        make(&server, name, json!({})).await;
    }
    let first = send(&server, &format!("GET {MAPS}?limit=2")).await.json();
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    send(&server, &format!("DELETE {MAPS}/c")).await;
    make(&server, "cc", json!({})).await;
    label(&server, "d", "new").await;
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let second = send(&server, &format!("GET {MAPS}?limit=10&continue={token}")).await.json();
    let names: Vec<&Value> =
        second["items"].as_array().into_iter().flatten().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["c", "d", "e"]);
    assert_eq!(second["items"][1]["metadata"]["labels"]["a"], Value::Null);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(send(&server, &format!("GET {MAPS}?continue=nonsense")).await.code, 400);
}

#[tokio::test]
async fn what_is_too_old_is_gone() {
    let server = server().await;
    let first = make(&server, "a", json!({})).await;
    make(&server, "b", json!({})).await;
    let page = send(&server, &format!("GET {MAPS}?limit=1")).await.json();
    // The ring remembers 8 MiB of changes, but at least 128 changes.
    for round in 0..140 {
        let patch = json!({"data": {"k": format!("{round}{}", "x".repeat(100_000))}});
        let text = format!("PATCH {MAPS}/a\nContent-Type: application/merge-patch+json\n\n{patch}");
        assert_eq!(send(&server, &text).await.code, 200);
    }
    let token = page["metadata"]["continue"].as_str().expect("a token");
    let expired = send(&server, &format!("GET {MAPS}?limit=1&continue={token}")).await;
    assert_eq!((expired.code, &expired.json()["reason"]), (410, &json!("Expired")));
    let expired = expired.json();
    let token = expired["metadata"]["continue"].as_str().expect("a way on");
    let rest = send(&server, &format!("GET {MAPS}?limit=1&continue={token}")).await.json();
    assert_eq!(rest["items"][0]["metadata"]["name"], "b");
    let from = first["metadata"]["resourceVersion"].as_str().expect("a revision");
    let mut events = watch(&server, &format!("GET {MAPS}?watch=1&resourceVersion={from}")).await;
    let error = events.next().await;
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
}

#[tokio::test]
async fn who_does_not_read_holds_one_piece() {
    const MIB: usize = 1 << 20;
    const MAPS_BYTES: usize = 12 * 400_000;
    let server = server().await;
    let from = make(&server, "first", json!({})).await;
    let from = from["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned();
    for number in 0..12 {
        let body = json!({"metadata": {"name": format!("m{number}")}, "data": {"k": "x".repeat(400_000)}});
        assert_eq!(send(&server, &format!("POST {MAPS}\n\n{body}")).await.code, 201);
    }
    for query in [String::new(), format!("&resourceVersion={from}")] {
        let pieces = watch(&server, &format!("GET {MAPS}?watch=1{query}")).await.pieces(MAPS_BYTES).await;
        assert!(pieces.iter().all(|length| *length < MIB + 500_000), "{pieces:?}");
        assert!(pieces.iter().sum::<usize>() > MAPS_BYTES && pieces.len() < 9, "{pieces:?}");
    }
    // A list comes in pieces, too, and is the same as in one.
    let mut listed = crate::request(&format!("GET {MAPS}"));
    listed.extensions_mut().insert(crate::admin());
    let (_, body) = server.handle(listed).await.into_parts();
    let pieces = Events::of(body).pieces(usize::MAX).await;
    assert!(pieces.iter().all(|length| *length < MIB + 500_000) && pieces.len() > 4, "{pieces:?}");
    let list = send(&server, &format!("GET {MAPS}")).await.json();
    assert_eq!((&list["kind"], list["items"].as_array().map(Vec::len)), (&json!("ConfigMapList"), Some(13)));
    let pretty = send(&server, &format!("GET {MAPS}?pretty=true")).await;
    assert_eq!(pretty.json(), list);
}
