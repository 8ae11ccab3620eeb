//! Where the results of events go: functions, queues, and whatever else the platform has that takes them. Also the two
//! documents that are sent: the record of an invocation, and the dead letter.

mod queue;

pub(super) use queue::QueueDestination;

use super::event::Event;
use super::plan::Condition;
use crate::Functions;
use crate::invocation::{Invocation, InvocationKind, InvokeError, Outcome, new_request_id};
use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The longest error message in a dead letter, as on AWS.
const ERROR_MESSAGE_BYTES_MAX: usize = 1024;

/// A service that takes results: what a queue, a topic, a bus or a bucket is to this room.
pub trait Destination: Send + Sync + 'static {
    /// Whether this ARN is of one of its resources, existing or not.
    fn takes(&self, arn: &str) -> bool;

    /// Why results could not be sent to this resource, if it can be known before they are.
    fn check(&self, _arn: &str) -> Result<(), String> {
        Ok(())
    }

    /// Hands a parcel over. When this returns it is as durable as the destination makes it.
    fn deliver(&self, arn: String, parcel: Parcel) -> BoxFuture<'_, Result<(), DeliveryError>>;
}

/// What is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// A record of an invocation; or, as a dead letter, the event itself.
    pub body: Bytes,
    /// Names and values beside the body: those of a dead letter say what went wrong.
    pub attributes: Vec<(&'static str, String)>,
    /// The trace header to pass on.
    pub trace_id: Option<String>,
}

/// Why a parcel was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryError {
    /// It never will be: there is no such destination, or the parcel is too large for it.
    Refused(String),
    /// Not now: it is full, or the disk is.
    Later(String),
}

impl Functions {
    /// Whether results can be sent to this ARN at all; says why not otherwise. A dead-letter queue is never a function.
    pub fn check_destination(&self, arn: &str, dead_letter: bool) -> Result<(), String> {
        if let Some(destination) = self.events.destination(arn) {
            return destination.check(arn);
        }
        let service = arn.split(':').nth(2).unwrap_or_default();
        match service {
            "lambda" if !dead_letter => self.function_by_arn(arn).map(drop),
            "sqs" => Err(format!(
                "The destination {arn} is invalid: queues here are {}…",
                self.machine.queue_arn("")
            )),
            "sns" => {
                Err(format!("The destination {arn} is invalid: it is no topic of this account and region."))
            }
            "events" | "s3" if !dead_letter => Err(format!(
                "The destination {arn} is not supported by dory yet: results do not go to buses and buckets. Name a function, \
                 an SQS queue or an SNS topic that takes the results."
            )),
            _ if dead_letter => Err(format!(
                "The dead-letter target {arn} is invalid: it must be an SQS queue or an SNS topic."
            )),
            _ => Err(format!("The destination ARN {arn} is invalid.")),
        }
    }

    pub(super) async fn deliver_to(
        self: &Arc<Self>,
        namespace: &str,
        arn: &str,
        parcel: Parcel,
    ) -> Result<(), DeliveryError> {
        if let Some(destination) = self.events.destination(arn) {
            return destination.deliver(arn.to_owned(), parcel).await;
        }
        let (name, qualifier) = self.function_by_arn(arn).map_err(DeliveryError::Refused)?;
        let invocation = Invocation {
            request_id: new_request_id(),
            namespace: namespace.to_owned(),
            name,
            qualifier,
            kind: InvocationKind::Event,
            payload: parcel.body,
            client_context: None,
            trace_id: parcel.trace_id,
            log_tail: false,
        };
        // Boxed: a delivery may accept an event, whose delivery may accept an event.
        let accepted: BoxFuture<'_, _> = Box::pin(self.invoke(invocation));
        accepted.await.map(drop).map_err(|error| match error {
            InvokeError::QueueFull(_) | InvokeError::NotQueued(_) => DeliveryError::Later(error.to_string()),
            error => DeliveryError::Refused(error.to_string()),
        })
    }

    /// Name and qualifier of a function of this account and region.
    fn function_by_arn(&self, arn: &str) -> Result<(String, Option<String>), String> {
        let ours = self.machine.function_arn("");
        let rest = arn.strip_prefix(&ours);
        let rest =
            rest.ok_or_else(|| format!("The destination ARN {arn} is invalid: functions here are {ours}…"))?;
        let (name, qualifier) = match rest.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (rest, None),
        };
        let plain = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_$".contains(c))
        };
        match plain(name) && qualifier.is_none_or(plain) {
            true => Ok((name.to_owned(), qualifier.map(str::to_owned))),
            false => Err(format!("The destination ARN {arn} is invalid.")),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    request_payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    executed_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

/// The record of an invocation ("Capturing records of Lambda asynchronous invocations", developer guide). Payloads are
/// passed on as they are, not read.
pub(super) fn record(
    event: &Event,
    arn: &str,
    condition: Condition,
    runs: u32,
    payload: &Bytes,
    outcome: Option<&Outcome>,
) -> Bytes {
    // The record names the version always.
    let arn = if event.qualifier.is_none() { format!("{arn}:$LATEST") } else { arn.to_owned() };
    let request = json(payload);
    let record = Record {
        version: "1.0",
        timestamp: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        request_context: RequestContext {
            request_id: &event.request_id,
            function_arn: &arn,
            condition: condition.as_str(),
            approximate_invoke_count: runs,
        },
        request_payload: &request,
        response_context: outcome.map(|outcome| ResponseContext {
            status_code: 200,
            executed_version: &outcome.executed_version,
            function_error: outcome.error.map(|error| error.as_str()),
        }),
        response_payload: outcome.map(|outcome| json(&outcome.payload)),
    };
    serde_json::to_vec(&record).expect("a record is JSON").into()
}

/// JSON as it is; what is none, as a string; nothing, as null.
fn json(payload: &Bytes) -> Box<RawValue> {
    let text = String::from_utf8_lossy(payload);
    if text.trim().is_empty() {
        return RawValue::NULL.to_owned();
    }
    RawValue::from_string(text.clone().into_owned())
        .or_else(|_| serde_json::value::to_raw_value(&text))
        .expect("a string is JSON")
}

/// The event itself, with what went wrong beside it ("Dead-letter queues", developer guide).
pub(super) fn dead_letter(
    event: &Event,
    why: Condition,
    payload: &Bytes,
    outcome: Option<&Outcome>,
) -> Parcel {
    let message = match outcome {
        Some(outcome) => error_message(&outcome.payload),
        None => why.as_str().to_owned(),
    };
    let status = if outcome.is_some() { "200" } else { "429" };
    Parcel {
        body: payload.clone(),
        attributes: vec![
            ("RequestID", event.request_id.clone()),
            ("ErrorCode", status.to_owned()),
            ("ErrorMessage", message),
        ],
        trace_id: event.trace_id.clone(),
    }
}

/// The first 1 KB of what the function said.
fn error_message(payload: &Bytes) -> String {
    let document: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    let mut message = match document["errorMessage"].as_str() {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(payload).into_owned(),
    };
    let mut end = ERROR_MESSAGE_BYTES_MAX.min(message.len());
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FunctionError;
    use serde_json::{Value, json};

    fn event(qualifier: Option<&str>) -> Event {
        Event {
            request_id: "8f5".to_owned(),
            name: "hello".to_owned(),
            qualifier: qualifier.map(str::to_owned),
            trace_id: None,
        }
    }

    fn failed(payload: &'static str) -> Outcome {
        Outcome {
            request_id: "8f5".into(),
            payload: payload.into(),
            content_type: None,
            error: Some(FunctionError::Unhandled),
            log_tail: None,
            executed_version: "$LATEST".to_owned(),
        }
    }

    #[test]
    fn a_record_says_what_was_asked_and_what_came_of_it() {
        let outcome = failed(r#"{"errorMessage":"no"}"#);
        let body = Bytes::from_static(b"{\"a\":1.50}");
        let record = record(&event(None), "arn:f", Condition::RetriesExhausted, 3, &body, Some(&outcome));
        assert!(std::str::from_utf8(&record).expect("text").contains(r#""requestPayload":{"a":1.50}"#));
        let mut record: Value = serde_json::from_slice(&record).expect("JSON");
        assert!(record["timestamp"].take().as_str().is_some_and(|time| time.ends_with('Z')));
        assert_eq!(
            record,
            json!({
                "version": "1.0", "timestamp": null,
                "requestContext": {
                    "requestId": "8f5", "functionArn": "arn:f:$LATEST", "condition": "RetriesExhausted",
                    "approximateInvokeCount": 3,
                },
                "requestPayload": {"a": 1.5},
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "responsePayload": {"errorMessage": "no"},
            })
        );
    }

    #[test]
    fn a_record_of_what_never_ran_has_no_response() {
        let body = Bytes::from_static(b"1");
        let record = record(&event(Some("live")), "arn:f:live", Condition::EventAgeExceeded, 0, &body, None);
        let record: Value = serde_json::from_slice(&record).expect("JSON");
        assert_eq!(record["requestContext"]["functionArn"], "arn:f:live");
        assert_eq!((record.get("responseContext"), record.get("responsePayload")), (None, None));
    }

    #[test]
    fn a_dead_letter_is_the_event_with_its_error() {
        let body = Bytes::from_static(b"[1]");
        let letter = dead_letter(
            &event(None),
            Condition::RetriesExhausted,
            &body,
            Some(&failed(r#"{"errorMessage":"no"}"#)),
        );
        assert_eq!(letter.body, body);
        let attributes: Vec<(&str, &str)> =
            letter.attributes.iter().map(|(name, value)| (*name, &value[..])).collect();
        assert_eq!(attributes, [("RequestID", "8f5"), ("ErrorCode", "200"), ("ErrorMessage", "no")]);
        let long = Outcome { payload: "ü".repeat(2000).into(), ..failed("") };
        let letter = dead_letter(&event(None), Condition::RetriesExhausted, &body, Some(&long));
        assert_eq!(letter.attributes[2].1.len(), ERROR_MESSAGE_BYTES_MAX);
    }
}
