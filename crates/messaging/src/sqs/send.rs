//! SendMessage and SendMessageBatch.

use super::input::Input;
use super::{Answer, Refused, Service, batch, message_attributes};
use bytes::Bytes;
use iam::session;
use managed::{Accepted, Declared, Letter, LetterError, md5_of, md5_of_attributes, sequence};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What a message that is sent may have.
pub(super) const MEMBERS: [&str; 7] = [
    "QueueUrl",
    "MessageBody",
    "DelaySeconds",
    "MessageAttributes",
    "MessageSystemAttributes",
    "MessageDeduplicationId",
    "MessageGroupId",
];
/// The same of an entry of a batch, which has an id and no queue.
const ENTRY: [&str; 7] = [
    "Id",
    "MessageBody",
    "DelaySeconds",
    "MessageAttributes",
    "MessageSystemAttributes",
    "MessageDeduplicationId",
    "MessageGroupId",
];

const DELAY_MAX: u32 = 900;
/// Groups and deduplication ids.
const ID_MAX: usize = 128;
/// All messages of a batch together.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A message, with what the answer says about it.
struct Read {
    letter: Letter,
    told: Value,
}

/// Characters that a message may have ("SendMessage", API reference).
pub(crate) fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

pub(super) async fn send(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let sender = sender(service).await?;
    let Read { letter, told } = read(service, &queue, input, &sender)?;
    let accepted = queue.send(letter).await?;
    Ok(answer(told, &accepted))
}

pub(super) async fn send_batch(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let entries = batch::entries(input, "SendMessageBatchRequestEntry", &ENTRY)?;
    let sender = sender(service).await?;
    let read: Vec<Result<Read, Refused>> =
        entries.iter().map(|entry| read(service, &queue, entry, &sender)).collect();
    let bytes: usize = read.iter().flatten().map(|one| one.letter.size()).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(Refused::too_long(bytes, BATCH_BYTES_MAX));
    }
    let letters = read.iter().flatten().map(|one| one.letter.clone()).collect();
    let mut sent = queue.send_all(letters).await.into_iter();
    let result = |one: Result<Read, Refused>| {
        let Read { told, .. } = one?;
        let accepted = sent.next().unwrap_or(Err(LetterError::Gone))?;
        Ok(answer(told, &accepted))
    };
    let results = read.into_iter().map(result).collect();
    batch::answer(&entries, results)
}

/// Who sends: the id of the account or of a role's session.
async fn sender(service: &Service<'_>) -> Result<String, Refused> {
    let identity = session::identity(&service.messaging.config.iam, service.call).await;
    let identity = identity.map_err(|fault| Refused::parameter(fault.message))?;
    Ok(identity.user_id)
}

fn read(service: &Service<'_>, queue: &Arc<Declared>, input: &Input, sender: &str) -> Result<Read, Refused> {
    let body = input.required("MessageBody")?;
    if !body.chars().all(allowed) {
        return Err(Refused::contents());
    }
    let attributes = message_attributes::read(input)?;
    let system = message_attributes::read_system(input)?;
    let delay = input.number("DelaySeconds", 0, DELAY_MAX)?;
    let header = service.call.header("x-amzn-trace-id").map(str::to_owned);
    let mut told = json!({ "MD5OfMessageBody": md5_of(body.as_bytes()) });
    for (member, digest) in [
        ("MD5OfMessageAttributes", md5_of_attributes(&attributes)),
        ("MD5OfMessageSystemAttributes", md5_of_attributes(&system)),
    ] {
        if let Some(digest) = digest {
            told[member] = json!(digest);
        }
    }
    let fifo = queue.settings().fifo;
    if let (true, Some(delay)) = (fifo, delay.filter(|delay| *delay > 0)) {
        let reason = "The request include parameter that is not valid for this queue type";
        return Err(Refused::value("DelaySeconds", delay, reason));
    }
    let letter = Letter {
        body: Bytes::copy_from_slice(body.as_bytes()),
        attributes,
        trace: message_attributes::trace(&system).or(header),
        sender: sender.to_owned(),
        delay: delay.map(|delay| Duration::from_secs(delay.into())),
        group: id(input, "MessageGroupId")?,
        deduplication_id: id(input, "MessageDeduplicationId")?,
    };
    Ok(Read { letter, told })
}

/// The id of a group, or of a message among others.
fn id(input: &Input, member: &str) -> Result<Option<String>, Refused> {
    let Some(text) = input.text(member)? else { return Ok(None) };
    let plain = |byte: u8| byte.is_ascii_graphic();
    match !text.is_empty() && text.len() <= ID_MAX && text.bytes().all(plain) {
        true => Ok(Some(text.to_owned())),
        false => {
            let reason = format!(
                "{member} can only include alphanumeric and punctuation characters. 1 to {ID_MAX} in length."
            );
            Err(Refused::value(member, text, &reason))
        }
    }
}

fn answer(mut told: Value, accepted: &Accepted) -> Value {
    told["MessageId"] = json!(accepted.message_id);
    if let Some(number) = accepted.sequence {
        told["SequenceNumber"] = json!(sequence(number));
    }
    told
}
