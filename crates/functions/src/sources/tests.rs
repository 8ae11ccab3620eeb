//! Event sources as their owners see them: a queue is worked off, and what fails comes back.

use crate::tests::{LONG, PATIENCE, Room};
use managed::{Declared, Letter, QUEUE_DEFAULTS, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:orders";

async fn queue(room: &Room, settings: Settings) -> Arc<Declared> {
    room.functions.broker().create("orders", settings, |_| None).await.expect("a queue")
}

async fn send(queue: &Arc<Declared>, body: &'static str) {
    queue.send(Letter { body: body.into(), ..Letter::default() }).await.expect("accepted");
}

fn mapping(more: Value) -> Value {
    let mut spec = json!({"functionName": "hello", "eventSourceArn": ARN});
    spec.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
    spec
}

async fn until_empty(queue: &Arc<Declared>) {
    let empty = async {
        while queue.counts().await != managed::Counts::default() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, empty).await.expect("an empty queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_worked_off_by_its_function() {
    let room = Room::open(LONG).await;
    let queue = queue(&room, QUEUE_DEFAULTS).await;
    room.map("m", mapping(json!({"enabled": false, "batchSize": 2}))).await;
    for body in ["a", "b", "c"] {
        send(&queue, body).await;
    }
    // Neither a disabled mapping nor one without a function takes anything.
    room.map("m", mapping(json!({"batchSize": 2}))).await;
    assert_eq!(queue.counts().await.visible, 3);
    room.deploy("hello", json!({})).await;
    until_empty(&queue).await;
    assert_eq!(room.log("hello").await.matches("START RequestId").count(), 2, "in batches of two");
    send(&queue, "d").await;
    until_empty(&queue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_delete_what_is_not_wanted() {
    let room = Room::open(LONG).await;
    let queue = queue(&room, QUEUE_DEFAULTS).await;
    room.deploy("hello", json!({})).await;
    for body in [r#"{"n": 1}"#, r#"{"n": 2}"#, "n"] {
        send(&queue, body).await;
    }
    room.map("m", mapping(json!({"batchSize": 1, "filters": [r#"{"body": {"n": [2]}}"#]}))).await;
    until_empty(&queue).await;
    assert_eq!(room.log("hello").await.matches("START RequestId").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_may_come_after_its_mapping_and_come_again() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    room.map("m", mapping(json!({}))).await;
    for _ in 0..2 {
        let queue = queue(&room, QUEUE_DEFAULTS).await;
        send(&queue, "a").await;
        until_empty(&queue).await;
        room.functions.broker().delete("orders").await.expect("deleted");
    }
}
