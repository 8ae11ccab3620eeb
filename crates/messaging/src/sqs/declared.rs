//! Queues come, are found, and go: CreateQueue, GetQueueUrl, ListQueues, DeleteQueue, PurgeQueue, and
//! ListDeadLetterSourceQueues.

use super::input::Input;
use super::{Answer, Refused, Service, attributes, tags};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use managed::{Declared, QUEUE_DEFAULTS, Settings};
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest name, with `.fifo`.
const NAME_MAX: usize = 80;
/// Queues in one answer.
const PAGE_MAX: u32 = 1000;
const FIFO: &str = ".fifo";

pub(super) async fn create(service: &Service<'_>, input: &Input) -> Answer {
    let name = input.required("QueueName")?;
    let attributes = input.text_map("Attributes")?;
    let fifo = attributes.iter().find(|(attribute, _)| *attribute == "FifoQueue");
    let fifo = fifo.map(|(_, value)| attributes::flag("FifoQueue", value)).transpose()?.unwrap_or(false);
    check_name(name, fifo)?;
    let mut settings = Settings { fifo, ..QUEUE_DEFAULTS };
    attributes::apply(service, name, &mut settings, &attributes)?;
    tags::add(&mut settings, &input.text_map("tags")?)?;
    // Of a queue that is there, what is not asked for may be as it likes.
    let asked = |found: &Settings| attributes::differing(service, name, found, &attributes);
    let made = service.broker().create(name, settings, asked).await?;
    Ok(json!({ "QueueUrl": service.url(made.name()) }))
}

fn check_name(name: &str, fifo: bool) -> Result<(), Refused> {
    let stem = if fifo { name.strip_suffix(FIFO) } else { Some(name) };
    let plain = |stem: &str| {
        !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if stem.is_some_and(plain) && name.len() <= NAME_MAX {
        return Ok(());
    }
    Err(Refused::parameter(match fifo {
        true => {
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with \
             .fifo suffix and be 1 to 80 in length."
        }
        false => "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    }))
}

pub(super) fn url(service: &Service<'_>, input: &Input) -> Answer {
    let name = input.required("QueueName")?;
    let owner = input.text("QueueOwnerAWSAccountId")?;
    let ours = owner.is_none_or(|owner| owner == service.messaging.config.account_id);
    let found = service.broker().get(name).filter(|_| ours).ok_or_else(Refused::no_queue)?;
    Ok(json!({ "QueueUrl": service.url(found.name()) }))
}

pub(super) fn list(service: &Service<'_>, input: &Input) -> Answer {
    let prefix = input.text("QueueNamePrefix")?.unwrap_or_default();
    let mut found = service.broker().all();
    found.retain(|declared| declared.name().starts_with(prefix));
    page(service, input, "QueueUrls", &found)
}

pub(super) fn sources(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    page(service, input, "queueUrls", &service.broker().sources_of(queue.name()))
}

/// Queues in the order of their names; the token is the last name of the page before. Pages are for those who ask for them.
fn page(service: &Service<'_>, input: &Input, member: &str, all: &[Arc<Declared>]) -> Answer {
    let size = input.number("MaxResults", 1, PAGE_MAX)?;
    let after = match input.text("NextToken")?.filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let name =
                BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(name.ok_or_else(|| Refused::value("NextToken", token, "It is not a token of this list."))?)
        }
    };
    let mut names = all.iter().map(|declared| declared.name());
    let mut names: Vec<&str> =
        names.by_ref().filter(|name| after.as_deref().is_none_or(|after| *name > after)).collect();
    let limit = size.unwrap_or(PAGE_MAX) as usize;
    let more = names.len() > limit;
    names.truncate(limit);
    let mut answer = json!({});
    if !names.is_empty() || member == "queueUrls" {
        answer[member] = names.iter().map(|name| Value::from(service.url(name))).collect();
    }
    if let Some(last) = names.last().filter(|_| more && size.is_some()) {
        answer["NextToken"] = json!(BASE64_URL_SAFE_NO_PAD.encode(last));
    }
    Ok(answer)
}

pub(super) async fn delete(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    service.broker().delete(queue.name()).await?;
    Ok(Value::Null)
}

pub(super) async fn purge(service: &Service<'_>, input: &Input) -> Answer {
    match service.queue(input)?.purge().await {
        Ok(true) => Ok(Value::Null),
        Ok(false) => Err(Refused::purged()),
        Err(error) => Err(Refused::from(managed::DeclareError::Store(error))),
    }
}
