//! ReceiveMessage.

use super::input::Input;
use super::{Answer, Refused, Service, message_attributes};
use managed::{Ask, Delivered, md5_of, md5_of_attributes};
use serde_json::{Map, Value, json};
use std::time::Duration;

const MESSAGES_MAX: u32 = 10;
const WAIT_MAX: u32 = 20;
pub(super) const HIDDEN_MAX: u32 = 43_200;
const ATTEMPT_MAX: usize = 128;

/// What the platform knows of a message.
const SYSTEM: [&str; 10] = [
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

pub(super) async fn receive(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    // Two names for the same; older clients know the first only.
    let system = [input.texts("AttributeNames")?, input.texts("MessageSystemAttributeNames")?].concat();
    if let Some(unknown) = system.iter().find(|name| !SYSTEM.contains(name)) {
        return Err(Refused::attribute_name(unknown));
    }
    let names = input.texts("MessageAttributeNames")?;
    let max = input.number("MaxNumberOfMessages", 1, MESSAGES_MAX)?.unwrap_or(1);
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let ask = Ask {
        max: max as usize,
        hidden: input.number("VisibilityTimeout", 0, HIDDEN_MAX)?.map(seconds),
        wait: input.number("WaitTimeSeconds", 0, WAIT_MAX)?.map(seconds),
        attempt: attempt(input, queue.settings().fifo)?,
    };
    let messages = queue.receive(&ask).await?;
    let shown: Vec<Value> = messages.iter().map(|one| shown(service, one, &system, &names)).collect();
    Ok(if shown.is_empty() { json!({}) } else { json!({ "Messages": shown }) })
}

fn attempt(input: &Input, fifo: bool) -> Result<Option<String>, Refused> {
    let Some(attempt) = input.text("ReceiveRequestAttemptId")? else { return Ok(None) };
    let member = "ReceiveRequestAttemptId";
    if !fifo {
        let reason = "The request include parameter that is not valid for this queue type";
        return Err(Refused::value(member, attempt, reason));
    }
    let plain = attempt.bytes().all(|byte| byte.is_ascii_graphic());
    match !attempt.is_empty() && attempt.len() <= ATTEMPT_MAX && plain {
        true => Ok(Some(attempt.to_owned())),
        false => Err(Refused::value(member, attempt, "It must have 1 to 128 characters.")),
    }
}

fn shown(service: &Service<'_>, message: &Delivered, system: &[&str], names: &[&str]) -> Value {
    let body = message.body();
    let mut shown = json!({
        "MessageId": message.id(),
        "ReceiptHandle": message.handle(),
        "MD5OfBody": md5_of(body),
        "Body": String::from_utf8_lossy(body),
    });
    let wanted = |name: &str| system.contains(&"All") || system.contains(&name);
    let attributes: Map<String, Value> = message
        .system(|name| service.arn(name))
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    if !attributes.is_empty() {
        shown["Attributes"] = Value::Object(attributes);
    }
    // The digest is of those that are given: clients compute it from what they get.
    let wanted = message_attributes::wanted(message.attributes(), names);
    if let Some(digest) = md5_of_attributes(&wanted) {
        shown["MD5OfMessageAttributes"] = json!(digest);
        shown["MessageAttributes"] = Value::Object(message_attributes::shown(&wanted));
    }
    shown
}
