//! What functions, queues and topics are told of what happens in buckets: the record of an event, and its delivery. Events are durable
//! with what they tell of, so that each is delivered at least once; what can never be delivered is dropped, and said so.

use super::ask::Ask;
use crate::S3;
use crate::xml;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use managed::BucketEvent;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use wire::{Source, Undelivered};

/// So many are delivered at the same time.
const AT_ONCE: usize = 16;

/// How long what could not be delivered waits; twice as long each time, up to the second.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/').remove(b' ');

/// The name that S3 has where it tells others something.
const SERVICE: &str = "s3.amazonaws.com";

/// Delivers what happens, from now on. Never returns.
pub async fn deliver(s3: &S3) {
    let buckets = s3.config.buckets.clone();
    let (mut after, mut wait, mut left) = (None, WAIT_MIN, false);
    loop {
        let events = match buckets.next_events(after.clone()).await {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(%error, "events of buckets cannot be read");
                tokio::time::sleep(WAIT_MAX).await;
                continue;
            }
        };
        let Some((last, _)) = events.last() else {
            // All were looked at. Those that are left are tried again.
            after = None;
            if std::mem::take(&mut left) {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAIT_MAX);
            } else {
                wait = WAIT_MIN;
            }
            continue;
        };
        after = Some(last.clone());
        let work: Vec<_> = events.iter().map(|(key, event)| finish(s3, key, event)).collect();
        let done: Vec<Option<Arc<str>>> = stream::iter(work).buffered(AT_ONCE).collect().await;
        left |= done.iter().any(Option::is_none);
        let done: Vec<Arc<str>> = done.into_iter().flatten().collect();
        if let Err(error) = buckets.delivered(&done).await {
            tracing::error!(%error, "events of buckets may be delivered again");
            tokio::time::sleep(WAIT_MIN).await;
        }
    }
}

/// The key of an event that is at its end.
fn finish<'a>(s3: &'a S3, key: &'a Arc<str>, event: &'a BucketEvent) -> BoxFuture<'a, Option<Arc<str>>> {
    Box::pin(async move { ended(&event.target, one(s3, event).await).then(|| key.clone()) })
}

/// Whether an event is at its end.
fn ended(target: &str, result: Result<(), Undelivered>) -> bool {
    match result {
        Ok(()) => true,
        Err(Undelivered::Never(why)) => {
            tracing::warn!(target, why, "an event of a bucket was not delivered");
            true
        }
        Err(Undelivered::Later(why)) => {
            tracing::debug!(target, why, "an event of a bucket is not delivered yet");
            false
        }
    }
}

async fn one(s3: &S3, event: &BucketEvent) -> Result<(), Undelivered> {
    let record = json!({ "Records": [record(s3, event)] }).to_string();
    send(s3, &event.target, &event.bucket, record).await
}

async fn send(s3: &S3, target: &str, bucket: &str, body: String) -> Result<(), Undelivered> {
    let arn = format!("arn:aws:s3:::{bucket}");
    s3.config.targets.send(target, Source { service: SERVICE, arn: &arn, trace: None }, body).await
}

/// Whether events of a bucket could be delivered to a target now; says why not.
pub(super) async fn check(ask: &Ask<'_>, target: &str) -> Result<(), String> {
    let arn = format!("arn:aws:s3:::{}", ask.name);
    ask.s3.config.targets.check(target, Source { service: SERVICE, arn: &arn, trace: None }).await
}

/// Tells a queue or a topic that it will be told.
pub(super) async fn test(ask: &Ask<'_>, target: &str) {
    let event = json!({
        "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": time(ask.buckets().now_ms()), "Bucket": ask.name,
        "RequestId": ask.request_id, "HostId": ask.request_id,
    });
    ended(target, send(ask.s3, target, &ask.name, event.to_string()).await);
}

fn time(ms: u64) -> String {
    xml::at(ms).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The record of an event ("Event message structure", S3 user guide).
fn record(s3: &S3, event: &BucketEvent) -> Value {
    let mut object = json!({
        "key": utf8_percent_encode(&event.key, KEY).to_string().replace(' ', "+"),
        "sequencer": event.sequencer,
    });
    if !event.name.ends_with(":Delete") {
        object["eTag"] = json!(event.etag);
        if event.name.starts_with("ObjectCreated") {
            object["size"] = json!(event.size);
        }
    }
    if let Some(id) = &event.version_id {
        object["versionId"] = json!(id);
    }
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": s3.config.region,
        "eventTime": time(event.time_ms),
        "eventName": event.name,
        "userIdentity": { "principalId": event.cause.principal },
        "requestParameters": { "sourceIPAddress": event.cause.address },
        "responseElements": { "x-amz-request-id": event.cause.request_id, "x-amz-id-2": event.cause.request_id },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.notification,
            "bucket": {
                "name": event.bucket,
                "ownerIdentity": { "principalId": s3.config.account_id },
                "arn": format!("arn:aws:s3:::{}", event.bucket),
            },
            "object": object,
        },
    })
}
