//! A message as a receiver gets it, with its attributes as SQS names them. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use std::sync::Arc;

use super::attribute::Attributes;
use super::envelope::Envelope;
use crate::{Message, Receipt};

/// A received message.
#[derive(Debug, Clone)]
pub struct Delivered {
    pub(super) message: Message,
    pub(super) envelope: Envelope,
    /// Of the queue that it was received from.
    pub(super) uid: Arc<str>,
    pub(super) fifo: bool,
}

impl Delivered {
    /// The message's id, which it keeps as a dead letter.
    pub fn id(&self) -> &str {
        &self.envelope.id
    }

    /// What was sent.
    pub fn body(&self) -> &Bytes {
        &self.message.body
    }

    /// What the sender said about it.
    pub fn attributes(&self) -> &Attributes {
        &self.envelope.attributes
    }

    /// The group that it belongs to.
    pub fn group(&self) -> Option<&str> {
        self.envelope.group.as_deref()
    }

    /// The trace header that its sender passed on.
    pub fn trace(&self) -> Option<&str> {
        self.envelope.trace.as_deref()
    }

    /// What ends and changes it.
    pub fn receipt(&self) -> Receipt {
        self.message.receipt
    }

    /// The receipt as text that says nothing to its holder.
    pub fn handle(&self) -> String {
        let Receipt { number, claim } = self.message.receipt;
        BASE64_STANDARD.encode(format!("{}:{number:016x}:{claim:016x}", self.uid))
    }

    /// What the platform knows about it, by SQS's names. `arn` makes the ARN of a queue from its name.
    pub fn system(&self, arn: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
        let (message, envelope) = (&self.message, &self.envelope);
        let received = envelope.received.saturating_add(message.receive_count);
        let mut all = vec![
            ("SenderId", envelope.sender.clone()),
            ("SentTimestamp", message.sent_ms.to_string()),
            ("ApproximateReceiveCount", received.to_string()),
            ("ApproximateFirstReceiveTimestamp", message.first_ms.to_string()),
        ];
        if self.fifo {
            all.push(("SequenceNumber", sequence(message.receipt.number)));
        }
        let optional = [
            ("MessageDeduplicationId", envelope.deduplication_id.clone()),
            ("MessageGroupId", envelope.group.clone()),
            ("AWSTraceHeader", envelope.trace.clone()),
            ("DeadLetterQueueSourceArn", envelope.source.as_deref().map(arn)),
        ];
        all.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        all
    }
}

/// Twenty digits, as on AWS.
pub fn sequence(number: u64) -> String {
    format!("{number:020}")
}

/// Uid and receipt of a handle.
pub(super) fn parse(handle: &str) -> Option<(String, Receipt)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(handle).ok()?).ok()?;
    let mut parts = text.split(':');
    let (uid, number, claim) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    Some((uid.to_owned(), Receipt { number: hex(number)?, claim: hex(claim)? }))
}
