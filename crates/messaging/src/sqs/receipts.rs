//! What may be done with a message that was received: DeleteMessage, ChangeMessageVisibility, and their batches.

use super::input::Input;
use super::receive::HIDDEN_MAX;
use super::{Answer, Refused, Service, batch};
use managed::{Declared, Handle};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn delete(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    queue.delete(Handle(input.required("ReceiptHandle")?)).await?;
    Ok(Value::Null)
}

pub(super) async fn delete_batch(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let entries = batch::entries(input, "DeleteMessageBatchRequestEntry", &["Id", "ReceiptHandle"])?;
    let handles = entries.iter().map(|entry| entry.required("ReceiptHandle").map(Handle));
    let handles: Vec<Handle<'_>> = handles.collect::<Result<_, _>>()?;
    let results = queue.delete_all(&handles).await;
    let results = results.into_iter().map(|one| one.map(|()| Value::Null).map_err(Refused::from));
    batch::answer(&entries, results.collect())
}

pub(super) fn hide(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    if input.number("VisibilityTimeout", 0, HIDDEN_MAX)?.is_none() {
        return Err(Refused::missing("VisibilityTimeout"));
    }
    hide_one(&queue, input)
}

pub(super) fn hide_batch(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let members = ["Id", "ReceiptHandle", "VisibilityTimeout"];
    let entries = batch::entries(input, "ChangeMessageVisibilityBatchRequestEntry", &members)?;
    let results = entries.iter().map(|entry| hide_one(&queue, entry)).collect();
    batch::answer(&entries, results)
}

/// Without a time the message is hidden as the queue says.
fn hide_one(queue: &Arc<Declared>, input: &Input) -> Answer {
    let seconds = input.number("VisibilityTimeout", 0, HIDDEN_MAX)?;
    let seconds = seconds.unwrap_or_else(|| queue.settings().visibility_s);
    let handle = Handle(input.required("ReceiptHandle")?);
    queue.hide(handle, Duration::from_secs(seconds.into()))?;
    Ok(Value::Null)
}
