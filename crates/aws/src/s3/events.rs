//! What functions and queues are told of what happens in buckets: the record of an event, and its delivery. Events are durable
//! with what they tell of, so that each is delivered at least once; what can never be delivered is dropped, and said so.

use super::ask::Ask;
use crate::door::{Door, NAMESPACE};
use crate::lambda;
use crate::s3::xml;
use functions::{Invocation, InvocationKind, InvokeError};
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use managed::{BucketEvent, Letter, LetterError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use policy::{Decision, Kind, Policy, Question};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// So many are delivered at the same time.
const AT_ONCE: usize = 16;

/// How long what could not be delivered waits; twice as long each time, up to the second.
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/').remove(b' ');

/// Why something was not delivered.
enum Undelivered {
    Never(String),
    Later(String),
}

/// Delivers what happens, from now on. Never returns.
pub(crate) async fn deliver(door: Arc<Door>) {
    let buckets = door.config.buckets.clone();
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
        let work: Vec<_> = events.iter().map(|(key, event)| finish(&door, key, event)).collect();
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
fn finish<'a>(
    door: &'a Arc<Door>,
    key: &'a Arc<str>,
    event: &'a BucketEvent,
) -> BoxFuture<'a, Option<Arc<str>>> {
    Box::pin(async move { ended(&event.target, one(door, event).await).then(|| key.clone()) })
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

async fn one(door: &Arc<Door>, event: &BucketEvent) -> Result<(), Undelivered> {
    let record = json!({ "Records": [record(door, event)] }).to_string();
    send(door, &event.target, &event.bucket, record).await
}

async fn send(door: &Door, target: &str, bucket: &str, body: String) -> Result<(), Undelivered> {
    let functions = &door.config.functions;
    if let Some(name) = functions.queue_name(target) {
        let queue = functions.broker().get(name);
        let queue = queue.ok_or_else(|| Undelivered::Never("there is no such queue".to_owned()))?;
        let letter = Letter { body: body.into(), sender: "s3.amazonaws.com".to_owned(), ..Letter::default() };
        return match queue.send(letter).await {
            Ok(_) => Ok(()),
            Err(error @ (LetterError::Full(_) | LetterError::Store(_))) => {
                Err(Undelivered::Later(error.to_string()))
            }
            Err(error) => Err(Undelivered::Never(error.to_string())),
        };
    }
    may_invoke(door, target, bucket).await?;
    let name = door.name(target, None).map_err(|fault| Undelivered::Never(fault.message))?;
    let invocation = Invocation {
        request_id: functions::new_request_id(),
        namespace: NAMESPACE.to_owned(),
        name: name.name,
        qualifier: name.qualifier,
        kind: InvocationKind::Event,
        payload: body.into(),
        client_context: None,
        trace_id: None,
        log_tail: false,
    };
    match functions.invoke(invocation).await {
        Ok(_) => Ok(()),
        Err(error @ (InvokeError::QueueFull(_) | InvokeError::NotQueued(_))) => {
            Err(Undelivered::Later(error.to_string()))
        }
        Err(error) => Err(Undelivered::Never(error.to_string())),
    }
}

/// Whether a function is there and lets S3 invoke it for this bucket.
async fn may_invoke(door: &Door, arn: &str, bucket: &str) -> Result<(), Undelivered> {
    let name = door.name(arn, None).map_err(|fault| Undelivered::Never(fault.message))?;
    let object = door.find(&name).await.map_err(|fault| match fault.status {
        500.. => Undelivered::Later(fault.message),
        _ => Undelivered::Never(fault.message),
    })?;
    let source = format!("arn:aws:s3:::{bucket}");
    let context =
        [("aws:SourceArn", source.as_str()), ("aws:SourceAccount", door.config.account_id.as_str())];
    let question = Question {
        principals: &[("Service", "s3.amazonaws.com")],
        action: "lambda:InvokeFunction",
        resource: arn,
        context: &context,
    };
    let policy = lambda::policy_text(&object).and_then(|text| Policy::read(text, Kind::Resource).ok());
    match policy.map(|policy| policy.decide(&question)) {
        Some(Decision::Allowed) => Ok(()),
        _ => Err(Undelivered::Never(
            "the function does not allow s3.amazonaws.com to invoke it: call AddPermission".to_owned(),
        )),
    }
}

/// Whether events of a bucket could be delivered to a target now; says why not.
pub(super) async fn check(ask: &Ask<'_>, target: &str) -> Result<(), String> {
    let functions = &ask.door.config.functions;
    if let Some(name) = functions.queue_name(target) {
        return match functions.broker().get(name) {
            None => Err("The destination queue does not exist".to_owned()),
            Some(queue) if queue.settings().fifo => Err("Destination SQS queue can not be FIFO".to_owned()),
            Some(_) => Ok(()),
        };
    }
    if !target.starts_with("arn:aws:lambda:") {
        return Err("The ARN could not be parsed, or is not of this region and account".to_owned());
    }
    may_invoke(ask.door, target, &ask.name).await.map_err(|error| match error {
        Undelivered::Never(why) | Undelivered::Later(why) => why,
    })
}

/// Tells a queue that it will be told.
pub(super) async fn test(ask: &Ask<'_>, target: &str) {
    let event = json!({
        "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": time(ask.buckets().now_ms()), "Bucket": ask.name,
        "RequestId": ask.request_id, "HostId": ask.request_id,
    });
    ended(target, send(ask.door, target, &ask.name, event.to_string()).await);
}

fn time(ms: u64) -> String {
    xml::at(ms).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The record of an event ("Event message structure", S3 user guide).
fn record(door: &Door, event: &BucketEvent) -> Value {
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
        "awsRegion": door.config.region,
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
                "ownerIdentity": { "principalId": door.config.account_id },
                "arn": format!("arn:aws:s3:::{}", event.bucket),
            },
            "object": object,
        },
    })
}
