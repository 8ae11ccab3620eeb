//! SQS (2012-11-05): queues that programs make and share. Spoken as awsJson1.0, and as query by older clients. The queues and
//! their rules are `managed`'s; here is what the API calls them, and what it accepts.

mod attributes;
pub(crate) mod batch;
mod declared;
pub(crate) mod input;
pub(crate) mod message_attributes;
mod moves;
mod permission;
mod receipts;
mod receive;
mod redrive;
pub(crate) mod refused;
pub(crate) mod send;
mod tags;
pub mod told;
mod wire;
mod xml;

use self::wire::Wire;
use crate::Messaging;
use ::wire::{Call, Reply};
use input::Input;
use managed::Declared;
use refused::Refused;
use serde_json::Value;
use std::sync::Arc;

/// Of the answers of the query format.
pub const XML_NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

pub(crate) type Answer = Result<Value, Refused>;

/// Answers one request, in the format that it came in.
pub async fn serve(messaging: &Messaging, call: &Call) -> Reply {
    let wire = Wire::of(&call.parts);
    let (operation, result) = match wire.read(call) {
        Ok((operation, input)) => {
            let result = answer(&Service { messaging, call }, &operation, &input).await;
            (operation, result)
        }
        Err(refused) => (String::new(), Err(refused)),
    };
    match result {
        Ok(value) => wire.answer(&operation, &value, &call.request_id),
        Err(refused) => wire.refuse(&refused, &call.request_id),
    }
}

/// What an operation works with.
struct Service<'a> {
    messaging: &'a Messaging,
    call: &'a Call,
}

/// The operations, each with the members that it understands; any other asks for what dory does not do.
const OPERATIONS: [(&str, &[&str]); 23] = [
    ("AddPermission", &["QueueUrl", "Label", "AWSAccountIds", "Actions"]),
    ("CancelMessageMoveTask", &["TaskHandle"]),
    ("ChangeMessageVisibility", &["QueueUrl", "ReceiptHandle", "VisibilityTimeout"]),
    ("ChangeMessageVisibilityBatch", &["QueueUrl", "Entries"]),
    ("CreateQueue", &["QueueName", "Attributes", "tags"]),
    ("DeleteMessage", &["QueueUrl", "ReceiptHandle"]),
    ("DeleteMessageBatch", &["QueueUrl", "Entries"]),
    ("DeleteQueue", &["QueueUrl"]),
    ("GetQueueAttributes", &["QueueUrl", "AttributeNames"]),
    ("GetQueueUrl", &["QueueName", "QueueOwnerAWSAccountId"]),
    ("ListDeadLetterSourceQueues", &["QueueUrl", "NextToken", "MaxResults"]),
    ("ListMessageMoveTasks", &["SourceArn", "MaxResults"]),
    ("ListQueueTags", &["QueueUrl"]),
    ("ListQueues", &["QueueNamePrefix", "NextToken", "MaxResults"]),
    ("PurgeQueue", &["QueueUrl"]),
    (
        "ReceiveMessage",
        &[
            "QueueUrl",
            "AttributeNames",
            "MessageSystemAttributeNames",
            "MessageAttributeNames",
            "MaxNumberOfMessages",
            "VisibilityTimeout",
            "WaitTimeSeconds",
            "ReceiveRequestAttemptId",
        ],
    ),
    ("RemovePermission", &["QueueUrl", "Label"]),
    ("SendMessage", &send::MEMBERS),
    ("SendMessageBatch", &["QueueUrl", "Entries"]),
    ("SetQueueAttributes", &["QueueUrl", "Attributes"]),
    ("StartMessageMoveTask", &["SourceArn", "DestinationArn", "MaxNumberOfMessagesPerSecond"]),
    ("TagQueue", &["QueueUrl", "Tags"]),
    ("UntagQueue", &["QueueUrl", "TagKeys"]),
];

async fn answer(service: &Service<'_>, operation: &str, input: &Input) -> Answer {
    let known = OPERATIONS.iter().find(|(name, _)| *name == operation);
    let (_, members) = known.ok_or_else(|| Refused::unknown(operation))?;
    let (region, signed) = (&service.messaging.config.region, &service.call.caller.region);
    if signed != region {
        return Err(Refused::region(signed, region));
    }
    input.only(members)?;
    match operation {
        "CreateQueue" => declared::create(service, input).await,
        "GetQueueUrl" => declared::url(service, input),
        "ListQueues" => declared::list(service, input),
        "DeleteQueue" => declared::delete(service, input).await,
        "PurgeQueue" => declared::purge(service, input).await,
        "GetQueueAttributes" => attributes::get(service, input).await,
        "SetQueueAttributes" => attributes::set(service, input).await,
        "SendMessage" => send::send(service, input).await,
        "SendMessageBatch" => send::send_batch(service, input).await,
        "ReceiveMessage" => receive::receive(service, input).await,
        "DeleteMessage" => receipts::delete(service, input).await,
        "DeleteMessageBatch" => receipts::delete_batch(service, input).await,
        "ChangeMessageVisibility" => receipts::hide(service, input),
        "ChangeMessageVisibilityBatch" => receipts::hide_batch(service, input),
        "ListQueueTags" => tags::list(service, input),
        "TagQueue" => tags::tag(service, input).await,
        "UntagQueue" => tags::untag(service, input).await,
        "AddPermission" => permission::add(service, input).await,
        "RemovePermission" => permission::remove(service, input).await,
        "ListDeadLetterSourceQueues" => declared::sources(service, input),
        "StartMessageMoveTask" => moves::start(service, input),
        "CancelMessageMoveTask" => moves::cancel(service, input),
        "ListMessageMoveTasks" => moves::list(service, input),
        other => Err(Refused::unknown(other)),
    }
}

impl Service<'_> {
    fn broker(&self) -> &Arc<managed::Broker> {
        self.messaging.config.functions.broker()
    }

    fn arn(&self, name: &str) -> String {
        self.messaging.config.functions.queue_arn(name)
    }

    /// Where a queue is reached: inside an instance as the instance reaches this door.
    fn url(&self, name: &str) -> String {
        let inside = self.call.parts.extensions.get::<::wire::FromInstance>();
        let host = inside.and_then(|_| self.call.header(http::header::HOST));
        let endpoint = match host {
            Some(host) => format!("http://{host}"),
            None => self.messaging.config.endpoint.clone(),
        };
        format!("{endpoint}/{}/{name}", self.messaging.config.account_id)
    }

    /// The queue that the request is about. Of its URL only the path counts: hosts have many names.
    fn queue(&self, input: &Input) -> Result<Arc<Declared>, Refused> {
        let own = format!("/{}/", self.messaging.config.account_id);
        let url = match input.text("QueueUrl")? {
            Some(url) => url,
            // In the query format the queue may be the path of the request.
            None if self.call.parts.uri.path().starts_with(&own) => self.call.parts.uri.path(),
            None => return Err(Refused::missing("QueueUrl")),
        };
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let mut words = path.unwrap_or(url).trim_start_matches('/').split('/');
        let (account, name) = match (words.next(), words.next(), words.next()) {
            (Some(account), Some(name), None) if !name.is_empty() => (account, name),
            // A name alone will do, as it does on AWS.
            (Some(name), None, None) if !name.is_empty() && path.is_none() => {
                (self.messaging.config.account_id.as_str(), name)
            }
            _ => return Err(Refused::address(url)),
        };
        let found = self.broker().get(name).filter(|_| account == self.messaging.config.account_id);
        found.ok_or_else(Refused::no_queue)
    }
}
