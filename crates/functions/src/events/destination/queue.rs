//! Queues of SQS as destinations and as targets of dead letters: standard queues, as on AWS.

use super::{DeliveryError, Destination, Parcel};
use crate::machine::Machine;
use futures::future::BoxFuture;
use managed::{Attribute, AttributeValue, Broker, Letter, LetterError};
use std::sync::Arc;

pub(in crate::events) struct QueueDestination {
    broker: Arc<Broker>,
    machine: Arc<Machine>,
}

impl QueueDestination {
    pub(in crate::events) fn new(broker: Arc<Broker>, machine: Arc<Machine>) -> QueueDestination {
        QueueDestination { broker, machine }
    }

    async fn send(&self, arn: &str, parcel: Parcel) -> Result<(), DeliveryError> {
        let queue = self.machine.queue_name(arn).and_then(|name| self.broker.get(name));
        let queue = queue.ok_or_else(|| DeliveryError::Refused(format!("there is no queue {arn}")))?;
        let letter = Letter {
            // A message has a body; an event without one is an empty document.
            body: if parcel.body.is_empty() { "{}".into() } else { parcel.body },
            attributes: parcel.attributes.into_iter().map(attribute).collect(),
            trace: parcel.trace_id,
            sender: self.machine.account_id.clone(),
            ..Letter::default()
        };
        match queue.send(letter).await {
            Ok(_) => Ok(()),
            Err(error @ (LetterError::Full(_) | LetterError::Store(_))) => {
                Err(DeliveryError::Later(error.to_string()))
            }
            Err(error) => Err(DeliveryError::Refused(error.to_string())),
        }
    }
}

/// The types are those of Lambda's dead letters.
fn attribute((name, value): (&'static str, String)) -> (String, Attribute) {
    let data_type = if name == "ErrorCode" { "Number" } else { "String" };
    (name.to_owned(), Attribute { data_type: data_type.to_owned(), value: AttributeValue::Text(value) })
}

impl Destination for QueueDestination {
    fn takes(&self, arn: &str) -> bool {
        self.machine.queue_name(arn).is_some()
    }

    fn check(&self, arn: &str) -> Result<(), String> {
        match self.machine.queue_name(arn).and_then(|name| self.broker.get(name)) {
            None => Err(format!("The destination ARN {arn} is invalid: there is no such queue.")),
            Some(queue) if queue.settings().fifo => Err(format!(
                "The destination ARN {arn} is invalid: a FIFO queue does not take results of invocations."
            )),
            Some(_) => Ok(()),
        }
    }

    fn deliver(&self, arn: String, parcel: Parcel) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move { self.send(&arn, parcel).await })
    }
}
