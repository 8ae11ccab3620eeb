//! Queues of SQS: messages that go through one queue, sent durably, received and deleted durably, by 16 clients at the same
//! time; one by one, and in batches of ten.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testing::binary::Dory;

use crate::functions::door::Door;
use crate::{Examples, load, row};

const CLIENTS: usize = 16;
const MEASURED: Duration = Duration::from_secs(5);
const BATCH: usize = 10;
const BODY_BYTES: usize = 256;

pub(crate) fn run(dory: &Dory, _: &Examples) -> Result<()> {
    load::block_on(async {
        let door = Door::open(dory)?;
        let one = through(&door, "one", one_by_one).await?;
        row::at_least("queue_messages_16_clients", one, "per s", 1000.0);
        let ten = through(&door, "ten", in_tens).await? * BATCH as f64;
        row::at_least("queue_messages_16_clients_in_tens", ten, "per s", 5000.0);
        Ok(())
    })
}

/// How often a second the clients do this with one queue.
async fn through<R>(
    door: &Arc<Door>,
    name: &str,
    work: impl Fn(Arc<Door>, Value) -> R + Send + Sync + 'static,
) -> Result<f64>
where
    R: Future<Output = Result<()>> + Send,
{
    let made = door.queue("CreateQueue", &json!({ "QueueName": format!("bench-{name}") })).await?;
    let (url, door) = (made["QueueUrl"].clone(), door.clone());
    load::closed_loop(CLIENTS, MEASURED, move |_, _| work(door.clone(), url.clone())).await
}

async fn one_by_one(door: Arc<Door>, url: Value) -> Result<()> {
    let body = "x".repeat(BODY_BYTES);
    door.queue("SendMessage", &json!({ "QueueUrl": url, "MessageBody": body })).await?;
    // Each client has sent one more than it has received: one is always there.
    let got = door.queue("ReceiveMessage", &json!({ "QueueUrl": url })).await?;
    let handle = got["Messages"][0]["ReceiptHandle"].as_str().context("no message")?;
    door.queue("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": handle })).await?;
    Ok(())
}

async fn in_tens(door: Arc<Door>, url: Value) -> Result<()> {
    let body = "x".repeat(BODY_BYTES);
    let entries: Vec<Value> =
        (0..BATCH).map(|n| json!({ "Id": n.to_string(), "MessageBody": body })).collect();
    door.queue("SendMessageBatch", &json!({ "QueueUrl": url, "Entries": entries })).await?;
    let got = door.queue("ReceiveMessage", &json!({ "QueueUrl": url, "MaxNumberOfMessages": BATCH })).await?;
    let messages = got["Messages"].as_array().context("no messages")?;
    let entry = |(n, message): (usize, &Value)| json!({ "Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
    let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
    door.queue("DeleteMessageBatch", &json!({ "QueueUrl": url, "Entries": entries })).await?;
    Ok(())
}
