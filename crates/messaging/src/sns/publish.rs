//! Publish and PublishBatch: what a message may be.

use super::envelope::Notice;
use super::fan_out::{self, Texts};
use super::{Answer, Fault, Input, Service, invalid};
use crate::sqs::{batch, message_attributes};
use managed::Topic;
use serde_json::{Map, Value, json};

pub(super) const MEMBERS: [&str; 9] = [
    "TopicArn",
    "TargetArn",
    "PhoneNumber",
    "Message",
    "Subject",
    "MessageStructure",
    "MessageAttributes",
    "MessageDeduplicationId",
    "MessageGroupId",
];
/// The same of an entry of a batch.
const ENTRY: [&str; 7] = [
    "Id",
    "Message",
    "Subject",
    "MessageStructure",
    "MessageAttributes",
    "MessageDeduplicationId",
    "MessageGroupId",
];

/// A message with its attributes, and all messages of a batch together.
pub(super) const BYTES_MAX: usize = 256 << 10;
const SUBJECT_MAX: usize = 100;
const GROUP_MAX: usize = 128;

/// A message as it came.
struct Read {
    notice: Notice,
    texts: Texts,
    bytes: usize,
}

pub(super) async fn one(service: &Service<'_>, input: &Input) -> Answer {
    if input.text("PhoneNumber")?.is_some() {
        return Err(invalid("PhoneNumber Reason: text messages are not supported by dory"));
    }
    let arn = match (input.text("TopicArn")?, input.text("TargetArn")?) {
        (Some(arn), None) | (None, Some(arn)) => arn,
        (None, None) => return Err(invalid("TopicArn or TargetArn Reason: no value for required parameter")),
        _ => return Err(invalid("TopicArn or TargetArn Reason: only one may be given")),
    };
    let (name, topic) = service.messaging.topic(arn)?;
    let read = read(service, input)?;
    if read.bytes > BYTES_MAX {
        return Err(invalid("Message too long"));
    }
    send(service, name, &topic, Ok(read)).await
}

pub(super) async fn batch(service: &Service<'_>, input: &Input) -> Answer {
    let (name, topic) = service.messaging.topic(input.required("TopicArn")?)?;
    let entries = batch::entries(input, "PublishBatchRequestEntry", &ENTRY)?;
    let read: Vec<Result<Read, Fault>> = entries.iter().map(|entry| read(service, entry)).collect();
    let bytes: usize = read.iter().flatten().map(|one| one.bytes).sum();
    if bytes > BYTES_MAX {
        let message = format!(
            "The length of all the messages put together is more than the limit of {BYTES_MAX} bytes."
        );
        return Err(Fault::new(400, "BatchRequestTooLong", message));
    }
    let sent = read.into_iter().map(|one| send(service, name, &topic, one));
    let results = futures::future::join_all(sent).await;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (entry, result) in entries.iter().zip(results) {
        let id = entry.required("Id")?;
        match result {
            Ok(answer) => successful.push(json!({ "Id": id, "MessageId": answer["MessageId"] })),
            Err(Fault { status, code, message, .. }) => failed.push(json!({
                "Id": id, "Code": code, "Message": message, "SenderFault": status < 500,
            })),
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

async fn send(service: &Service<'_>, name: &str, topic: &Topic, read: Result<Read, Fault>) -> Answer {
    let Read { notice, texts, .. } = read?;
    fan_out::publish(service.messaging, name, topic, &notice, &texts).await?;
    Ok(json!({ "MessageId": notice.id }))
}

fn read(service: &Service<'_>, input: &Input) -> Result<Read, Fault> {
    let message =
        input.text("Message")?.filter(|text| !text.is_empty()).ok_or_else(|| invalid("Empty message"))?;
    if input.text("MessageDeduplicationId")?.is_some() {
        return Err(invalid(
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this \
             topic type",
        ));
    }
    let attributes = message_attributes::read_any(input)
        .map_err(|refused| Fault::new(400, "ParameterValueInvalid", refused.message))?;
    let group = input.text("MessageGroupId")?.map(str::to_owned);
    let graphic = |text: &str| {
        (1..=GROUP_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !group.as_deref().is_none_or(graphic) {
        return Err(invalid("MessageGroupId"));
    }
    let sizes = attributes.iter().map(|(name, attribute)| attribute.size(name));
    let bytes = message.len() + sizes.sum::<usize>();
    let notice = Notice {
        subject: input.text("Subject")?.map(subject).transpose()?,
        attributes,
        group,
        trace: service.call.header("x-amzn-trace-id").map(str::to_owned),
        ..Notice::new(service.messaging)
    };
    let texts = texts(message, input.text("MessageStructure")?)?;
    Ok(Read { notice, texts, bytes })
}

/// As the reference of Publish has it: begins with a letter, a number or punctuation, has no line breaks, and is short.
fn subject(text: &str) -> Result<String, Fault> {
    let begins = text.chars().next().is_some_and(|first| !first.is_whitespace());
    match begins && text.chars().count() <= SUBJECT_MAX && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(invalid("Subject")),
    }
}

/// The message, or one for each protocol.
fn texts(message: &str, structure: Option<&str>) -> Result<Texts, Fault> {
    match structure {
        None => return Ok(Texts { default: message.to_owned(), own: Map::new() }),
        Some("json") => {}
        Some(_) => return Err(invalid("MessageStructure")),
    }
    let wrong = |why: &str| invalid(&format!("Message Structure - {why}"));
    let parsed: Value =
        serde_json::from_str(message).map_err(|_| wrong("JSON message body failed to parse"))?;
    let Value::Object(own) = parsed else { return Err(wrong("JSON message body failed to parse")) };
    match own.get("default") {
        Some(Value::String(default)) => Ok(Texts { default: default.clone(), own }),
        _ => Err(wrong("No default entry in JSON message body")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_structures() {
        assert!(subject("Hello, wörld").is_ok());
        for wrong in ["", " x", "a\nb", &"x".repeat(101)] {
            assert!(subject(wrong).is_err(), "{wrong}");
        }
        let read = texts(r#"{"default": "d", "sqs": "q"}"#, Some("json")).expect("texts");
        assert_eq!((read.of("sqs"), read.of("lambda")), ("q", "d"));
        for (message, structure) in
            [("x", "json"), ("{}", "json"), (r#"{"default": 1}"#, "json"), ("x", "xml")]
        {
            assert!(texts(message, Some(structure)).is_err(), "{message}");
        }
    }
}
