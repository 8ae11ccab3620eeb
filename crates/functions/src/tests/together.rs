//! Runtimes that ask for the next event together with their answer to the last one.

use super::{LONG, PATIENCE, Room};
use serde_json::json;
use std::time::{Duration, Instant};

const TOGETHER: &str = concat!(include_str!("http.sh"), include_str!("together.sh"));
const ACCEPTED: &str = r#"told: {"status":"OK"}"#;

async fn until_logged(room: &Room, line: &str, times: usize) {
    let started = Instant::now();
    while room.log("hello").await.matches(line).count() < times {
        assert!(started.elapsed() < PATIENCE, "{}", room.log("hello").await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_reaches_its_caller_and_each_word_the_runtime() {
    let room = Room::open(LONG).await;
    room.deploy_program("hello", TOGETHER, json!({})).await;
    for call in 0..20 {
        assert_eq!(room.call("hello", &call.to_string()).await, json!(call));
        room.until_idle().await;
    }
    until_logged(&room, ACCEPTED, 19).await;
    assert_eq!(room.functions.instances(), 1);
    assert_eq!(room.call("hello", "\"again\"").await, json!("again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_answer_is_told_at_once_and_the_next_event_comes() {
    let room = Room::open(LONG).await;
    room.deploy_program("hello", TOGETHER, json!({})).await;
    let refused = room.call("hello", "\"large\"").await;
    assert_eq!(refused["errorType"], "Function.ResponseSizeTooLarge");
    until_logged(&room, "told: {\"errorMessage\":\"Exceeded maximum all", 1).await;
    // The connection has gone over to who knows all of HTTP, where the wish for the next event waits already.
    assert_eq!(room.call("hello", "1").await, json!(1));
    assert_eq!(room.functions.instances(), 1);
}
