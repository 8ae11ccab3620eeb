//! Events as callers see them: accepted, run, run again, and what becomes of them at the end.

use crate::events::{DeliveryError, Destination, Parcel};
use crate::tests::{LONG, PATIENCE, Room, invocation};
use crate::{Invocation, InvocationKind, InvokeError};
use bytes::Bytes;
use client::{Deletion, Key};
use futures::future::BoxFuture;
use managed::Clock;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The machine's clock, set forward as a test likes.
#[derive(Default)]
pub(crate) struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now_ms(&self) -> u64 {
        managed::Wall.now_ms() + self.0.load(Ordering::Relaxed)
    }
}

impl Ahead {
    fn by(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis() as u64, Ordering::Relaxed);
    }
}

/// A queue service that remembers what it was sent; `arn:aws:sqs:::gone` does not exist.
#[derive(Default)]
pub(crate) struct Sqs(Mutex<Vec<Parcel>>);

impl Destination for Sqs {
    fn takes(&self, arn: &str) -> bool {
        arn.starts_with("arn:aws:sqs:")
    }

    fn deliver(&self, arn: String, parcel: Parcel) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move {
            if arn.ends_with(":gone") {
                return Err(DeliveryError::Refused("no such queue".to_owned()));
            }
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(parcel);
            Ok(())
        })
    }
}

impl Sqs {
    async fn parcels(&self, count: usize) -> Vec<Parcel> {
        let enough = || {
            let parcels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (parcels.len() >= count).then(|| parcels.clone())
        };
        until("parcels", enough).await
    }

    async fn record(&self) -> Value {
        serde_json::from_slice(&self.parcels(1).await[0].body).expect("JSON")
    }
}

async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "no {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn event(name: &str, payload: &str) -> Invocation {
    Invocation { kind: InvocationKind::Event, ..invocation(name, payload) }
}

async fn until_empty(room: &Room) {
    until("empty queue", || room.functions.backlogs().is_empty().then_some(())).await;
}

async fn metric(room: &Room, name: &str, function: &str) -> f64 {
    let metric = meter::Metric {
        namespace: meter::LAMBDA_NAMESPACE.to_owned(),
        name: name.to_owned(),
        dimensions: [("FunctionName".to_owned(), function.to_owned())].into(),
    };
    room.functions.meter().points(&metric).0.iter().map(|(_, stat)| stat.sum).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_run_and_its_record_goes_where_it_should() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({"eventInvoke": {"onSuccess": "arn:aws:sqs:::done"}})).await;
    let accepted = room.functions.invoke(event("hello", r#"{"a":1}"#)).await.expect("accepted");
    assert!(accepted.payload.is_empty());
    let record = room.sqs.record().await;
    assert_eq!(record["requestContext"]["requestId"], json!(accepted.request_id));
    assert_eq!(record["requestContext"]["condition"], "Success");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(record["requestPayload"], json!({"a": 1}));
    assert_eq!(record["responseContext"], json!({"statusCode": 200, "executedVersion": "$LATEST"}));
    assert_eq!(record["responsePayload"]["event"], json!({"a": 1}));
    until_empty(&room).await;
    assert_eq!(metric(&room, "AsyncEventsReceived", "hello").await, 1.0);
    assert_eq!(metric(&room, "AsyncEventsDropped", "hello").await, 0.0);
    assert!(room.log("hello").await.contains(&*accepted.request_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_run_three_times_and_then_a_dead_letter() {
    let room = Room::open(LONG).await;
    let settings =
        json!({"eventInvoke": {"onFailure": "arn:aws:sqs:::failed"}, "deadLetterArn": "arn:aws:sqs:::dead"});
    room.deploy("hello", settings).await;
    let accepted = room.functions.invoke(event("hello", r#""throw""#)).await.expect("accepted");
    let parcels = room.sqs.parcels(2).await;
    assert_eq!(parcels[0].body, r#""throw""#, "a dead letter is the event");
    assert_eq!(parcels[0].attributes[0], ("RequestID", accepted.request_id.to_string()));
    assert_eq!(parcels[0].attributes[2], ("ErrorMessage", "thrown".to_owned()));
    let record: Value = serde_json::from_slice(&parcels[1].body).expect("JSON");
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record["responsePayload"]["errorType"], "Boom");
    until_empty(&room).await;
    let starts = format!("START RequestId: {}", accepted.request_id);
    assert_eq!(room.log("hello").await.matches(&starts).count(), 3, "the same id each time");
    assert_eq!(metric(&room, "AsyncEventsDropped", "hello").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_often_is_a_setting_and_lost_destinations_are_counted() {
    let room = Room::open(LONG).await;
    let gone = "arn:aws:sqs:::gone";
    let settings =
        json!({"eventInvoke": {"maximumRetryAttempts": 0, "onFailure": gone}, "deadLetterArn": gone});
    room.deploy("hello", settings).await;
    let accepted = room.functions.invoke(event("hello", r#""throw""#)).await.expect("accepted");
    until_empty(&room).await;
    assert_eq!(
        room.log("hello").await.matches(&format!("START RequestId: {}", accepted.request_id)).count(),
        1
    );
    assert_eq!(metric(&room, "DeadLetterErrors", "hello").await, 1.0);
    assert_eq!(metric(&room, "DestinationDeliveryFailures", "hello").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_can_be_the_destination_of_another() {
    let room = Room::open(LONG).await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:second";
    room.deploy("first", json!({"eventInvoke": {"onSuccess": arn}})).await;
    room.deploy("second", json!({"eventInvoke": {"onSuccess": "arn:aws:sqs:::done"}})).await;
    assert_eq!(room.functions.check_destination(arn, false), Ok(()));
    room.functions.invoke(event("first", "7")).await.expect("accepted");
    let record = room.sqs.record().await;
    assert_eq!(record["requestPayload"]["requestPayload"], 7);
    assert_eq!(
        record["requestPayload"]["requestContext"]["functionArn"],
        json!(arn.replace("second", "first:$LATEST"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_old_and_nothing_reserved_are_failures_without_a_run() {
    let room = Room::open(LONG).await;
    let to = json!("arn:aws:sqs:::failed");
    room.deploy("none", json!({"reservedConcurrency": 0, "eventInvoke": {"onFailure": to}})).await;
    room.functions.invoke(event("none", "{}")).await.expect("accepted");
    let record = room.sqs.record().await;
    assert_eq!(record["requestContext"]["condition"], "ZeroReservedConcurrency");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 0);
    // It fails once, and while it does a minute goes by.
    room.deploy("old", json!({"eventInvoke": {"onFailure": to, "maximumEventAgeInSeconds": 60}})).await;
    let dir = tempfile::tempdir().expect("a directory");
    let go = dir.path().join("go");
    let payload = format!("\"until {}\"", go.display());
    room.functions.invoke(event("old", &payload)).await.expect("accepted");
    let starts = "START RequestId";
    while !room.log("old").await.contains(starts) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    room.clock.by(Duration::from_secs(61));
    std::fs::write(go, "").expect("written");
    let record: Value = serde_json::from_slice(&room.sqs.parcels(2).await[1].body).expect("JSON");
    assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(room.log("old").await.matches(starts).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_event_waits_until_there_is_room() {
    let room = Room::open(LONG).await;
    room.deploy("one", json!({"reservedConcurrency": 1, "eventInvoke": {"onSuccess": "arn:aws:sqs:::done"}}))
        .await;
    let busy = tokio::spawn({
        let functions = room.functions.clone();
        async move { functions.invoke(invocation("one", r#""slow""#)).await }
    });
    until("a busy instance", || (room.functions.instances() == 1).then_some(())).await;
    for n in 0..5 {
        room.functions.invoke(event("one", &n.to_string())).await.expect("accepted");
    }
    busy.await.expect("no panic").expect("an answer");
    let parcels = room.sqs.parcels(5).await;
    let mut seen: Vec<i64> = parcels
        .iter()
        .map(|parcel| {
            serde_json::from_slice::<Value>(&parcel.body).expect("JSON")["requestPayload"]
                .as_i64()
                .expect("n")
        })
        .collect();
    seen.sort();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(metric(&room, "AsyncEventsDropped", "one").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_deleted_function_are_dropped_and_counted() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({"reservedConcurrency": 1, "timeoutSeconds": 3})).await;
    for _ in 0..3 {
        room.functions.invoke(event("hello", r#""hang""#)).await.expect("accepted");
    }
    assert_eq!(room.functions.backlogs()[0].events, 3);
    let key = Key::new("default", "hello");
    room.objects.delete(&key, &Deletion::default()).await.expect("deleted");
    room.gone(&key).await;
    until_empty(&room).await;
    assert_eq!(metric(&room, "AsyncEventsDropped", "hello").await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_accepted_is_refused_at_once() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    let invoke = |event| room.functions.invoke(event);
    assert!(matches!(invoke(event("other", "{}")).await, Err(InvokeError::NotFound(_))));
    assert!(matches!(invoke(event("hello", "{")).await, Err(InvokeError::NotJson(_))));
    let large = Bytes::from(format!("\"{}\"", "x".repeat(super::EVENT_BYTES_MAX - 1)));
    let refused = invoke(Invocation { payload: large.clone(), ..event("hello", "") }).await;
    assert!(matches!(refused, Err(InvokeError::EventTooLarge { size }) if size == large.len()));
    let version = Invocation { qualifier: Some("7".to_owned()), ..event("hello", "{}") };
    assert!(matches!(invoke(version).await, Err(InvokeError::NotFound(_))));
    let check = |arn: &str, dead_letter| room.functions.check_destination(arn, dead_letter).err();
    assert_eq!(check("arn:aws:sqs:us-east-1:000000000000:q", true), None);
    let topic = "arn:aws:sns:us-east-1:000000000000:t";
    assert!(check(topic, true).is_some_and(|why| why.contains("no topic of this account")));
    for arn in ["arn:aws:events:x:0:b", "arn:aws:s3:::b"] {
        assert!(check(arn, false).is_some_and(|why| why.contains("not supported by dory yet")), "{arn}");
    }
    let function = "arn:aws:lambda:us-east-1:000000000000:function:hello";
    assert!(check(function, true).is_some_and(|why| why.contains("must be an SQS queue or an SNS topic")));
    assert!(check("arn:aws:lambda:eu-west-1:000000000000:function:hello", false).is_some());
    assert!(check("nonsense", false).is_some());
}
