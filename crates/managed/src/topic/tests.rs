//! Topics over a store in memory: what is kept, what wants which message, and what goes together.

use std::time::Duration;

use super::*;
use crate::{Attribute, AttributeValue, Wall};

fn subscription(id: &str, filter: Option<&str>) -> Subscription {
    let (protocol, endpoint) = ("http".to_owned(), format!("http://127.0.0.1/{id}"));
    Subscription {
        id: id.to_owned(),
        protocol,
        endpoint,
        filter: filter.map(str::to_owned),
        ..Subscription::default()
    }
}

fn attribute(data_type: &str, text: &str) -> Attribute {
    Attribute { data_type: data_type.to_owned(), value: AttributeValue::Text(text.to_owned()) }
}

#[tokio::test]
async fn what_is_made_is_there_when_the_store_is_opened_again() {
    let store = store::memory();
    let topics = Topics::open(store.clone(), Arc::new(Wall)).await.expect("opened");
    let settings = TopicSettings { display_name: "d".to_owned(), ..TopicSettings::default() };
    let any = |_: &TopicSettings| None;
    for name in ["a", "b"] {
        topics.create(name, settings.clone(), &any).await.expect("made");
        topics.subscribe(name, subscription("one", Some(r#"{"k": ["v"]}"#))).await.expect("subscribed");
        topics.queue(name, "one").send("n".into(), "m".into(), Duration::ZERO).await.expect("sent");
    }
    let differs = |_: &TopicSettings| Some("DisplayName");
    assert!(matches!(topics.create("a", settings, &differs).await, Err(TopicError::Exists("DisplayName"))));
    topics.delete("b").await.expect("deleted");
    assert!(matches!(topics.subscribe("b", subscription("x", None)).await, Err(TopicError::Gone)));
    let again = topics.subscribe("a", Subscription { raw: true, ..subscription("one", None) }).await;
    assert!(matches!(again, Err(TopicError::Exists(_))));

    let topics = Topics::open(store, Arc::new(Wall)).await.expect("opened");
    assert_eq!(topics.names("", 9), ["a"]);
    let filled: Vec<String> = topics.filled().iter().map(|queue| queue.name().to_owned()).collect();
    assert_eq!(filled, ["a/one"]);
    let (_, one) = topics.subscriber("a/one").expect("it is there");
    let matter = |value: &str| {
        one.wants(&Matter::of(&BTreeMap::from([("k".to_owned(), attribute("String", value))]), ""))
    };
    assert!(matter("v") && !matter("w"));
    topics.unsubscribe("a", "one").await.expect("ended");
    assert!(topics.filled().is_empty() && topics.subscriber("a/one").is_none());
    assert_eq!(topics.get("a").map(|topic| topic.ended), Some(1));
}

#[tokio::test]
async fn who_does_not_confirm_is_forgotten() {
    let topics = Topics::in_memory(Arc::new(Wall)).await;
    topics.create("t", TopicSettings::default(), &|_| None).await.expect("made");
    let pending = |id: &str, created_ms| Subscription {
        token: Some("x".to_owned()),
        created_ms,
        ..subscription(id, None)
    };
    topics.subscribe("t", pending("old", 1)).await.expect("subscribed");
    topics.subscribe("t", pending("new", topics.now_ms())).await.expect("subscribed");
    topics.subscribe("t", subscription("other", None)).await.expect("subscribed");
    let ids: Vec<String> =
        topics.subscriptions(Some("t"), "", 9).into_iter().map(|(_, one)| one.id.clone()).collect();
    assert_eq!(ids, ["new", "other"]);
    assert_eq!(topics.subscriptions(None, "t/new", 9).len(), 1);
}

#[test]
fn patterns_see_attributes_by_their_types() {
    let wants = |filter: &str, one: Attribute| {
        let mut subscription = subscription("s", Some(filter));
        subscription.compile();
        subscription.wants(&Matter::of(&BTreeMap::from([("a".to_owned(), one)]), r#"{"a": "body"}"#))
    };
    for (filter, data_type, yes, no) in [
        (r#"["x", "y"]"#, "String", "y", "z"),
        (r#"[5]"#, "Number", "5.0", "6"),
        (r#"["5"]"#, "String", "5", "6"),
        (r#"[{"prefix": "x"}]"#, "String", "xy", "yx"),
        (r#"[{"suffix": "x"}]"#, "String", "yx", "xy"),
        (r#"[{"equals-ignore-case": "Ab"}]"#, "String", "aB", "b"),
        (r#"[{"anything-but": ["x", "y"]}]"#, "String", "z", "x"),
        (r#"[{"anything-but": {"prefix": "x"}}]"#, "String", "yx", "xy"),
        (r#"[{"anything-but": 5}]"#, "Number", "6", "5"),
        (r#"[{"numeric": [">", 0, "<=", 5]}]"#, "Number.int", "5", "0"),
        (r#"[{"numeric": ["=", 5]}]"#, "Number", "5", "5.5"),
        (r#"["x"]"#, "String.Array", r#"["w", "x"]"#, r#"["w"]"#),
        (r#"[{"anything-but": "x"}]"#, "String.Array", r#"["x", "y"]"#, r#"["x"]"#),
        (r#"[null]"#, "String.Array", "[null]", "[true]"),
    ] {
        let filter = format!(r#"{{"a": {filter}}}"#);
        assert!(wants(&filter, attribute(data_type, yes)), "{filter} {yes}");
        assert!(!wants(&filter, attribute(data_type, no)), "{filter} {no}");
    }
    assert!(!wants(r#"{"a": [5]}"#, attribute("String", "5")), "a text is no number");
    assert!(!wants(r#"{"a": ["x"]}"#, attribute("String.Array", "x")), "what is no list matches nothing");
    let bytes =
        Attribute { data_type: "Binary".to_owned(), value: AttributeValue::Binary("eA==".to_owned()) };
    assert!(wants(r#"{"a": [{"exists": false}]}"#, bytes.clone()) && !wants(r#"{"a": ["x"]}"#, bytes));
    assert!(wants(r#"{"a": [{"exists": true}]}"#, attribute("String", "x")));
    assert!(wants(r#"{"$or": [{"a": ["x"]}, {"b": ["x"]}]}"#, attribute("String", "x")));
}

#[test]
fn patterns_may_be_about_bodies() {
    let mut one = Subscription {
        filters_body: true,
        ..subscription("s", Some(r#"{"a": {"b": [{"numeric": [">", 1]}]}}"#))
    };
    one.compile();
    let wants = |body: &str| one.wants(&Matter::of(&BTreeMap::new(), body));
    assert!(wants(r#"{"a": {"b": 2}}"#) && wants(r#"{"a": [{"b": 0}, {"b": [3]}]}"#));
    for body in [r#"{"a": {"b": 1}}"#, r#"{"a": 2}"#, "text", "", "[1]"] {
        assert!(!wants(body), "{body}");
    }
}
