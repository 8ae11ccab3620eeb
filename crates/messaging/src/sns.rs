//! SNS (2010-03-31): topics that programs publish to, and who gets it. Spoken as query. Topics, subscriptions and what waits for
//! them are `managed`'s; here is what the API calls them, what it accepts, and the delivery.
//!
//! ```text
//!  publish ─▶ fan_out ─┬─ queues, functions: at once ──── not now ─┐
//!  told ────▶          └─ http, https ─▶ queue of the subscription ◀┘ ─▶ deliver ─┬─ envelope ─▶ queue, function, http
//!                                                            ▲                    └─ given up ─▶ dead letters
//!                                                            └──── again ─────────┘
//! ```

mod attributes;
mod deliver;
mod envelope;
mod fan_out;
mod filter;
mod form;
mod http;
mod publish;
mod subscriptions;
mod tags;
pub mod told;
mod topics;

use crate::Messaging;
use crate::sqs::input::Input;
use crate::sqs::refused::Refused;
use ::http::Method;
use ::http::header::AUTHORIZATION;
use ::http::request::Parts;
use managed::{Topic, TopicError};
use serde_json::Value;
use wire::{Call, Fault, Reply, parameters, query};

pub(crate) use deliver::Deliveries;

/// Of its answers.
pub const XML_NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// The name that SNS has where it tells others something.
const SERVICE: &str = "sns.amazonaws.com";

type Answer = Result<Value, Fault>;

/// What an operation works with.
struct Service<'a> {
    messaging: &'a Messaging,
    call: &'a Call,
}

/// The operations, each with the members that it understands; any other asks for what dory does not do.
const OPERATIONS: [(&str, &[&str]); 17] = [
    ("ConfirmSubscription", &["TopicArn", "Token", "AuthenticateOnUnsubscribe"]),
    ("CreateTopic", &["Name", "Attributes", "Tags"]),
    ("DeleteTopic", &["TopicArn"]),
    ("GetSubscriptionAttributes", &["SubscriptionArn"]),
    ("GetTopicAttributes", &["TopicArn"]),
    ("ListSubscriptions", &["NextToken"]),
    ("ListSubscriptionsByTopic", &["TopicArn", "NextToken"]),
    ("ListTagsForResource", &["ResourceArn"]),
    ("ListTopics", &["NextToken"]),
    ("Publish", &publish::MEMBERS),
    ("PublishBatch", &["TopicArn", "Entries"]),
    ("SetSubscriptionAttributes", &["SubscriptionArn", "AttributeName", "AttributeValue"]),
    ("SetTopicAttributes", &["TopicArn", "AttributeName", "AttributeValue"]),
    ("Subscribe", &["TopicArn", "Protocol", "Endpoint", "Attributes", "ReturnSubscriptionArn"]),
    ("TagResource", &["ResourceArn", "Tags"]),
    ("Unsubscribe", &["SubscriptionArn"]),
    ("UntagResource", &["ResourceArn", "TagKeys"]),
];

/// Answers one request.
pub async fn serve(messaging: &Messaging, call: &Call) -> Reply {
    let mut all = parameters(call.parts.uri.query().unwrap_or_default());
    all.extend(parameters(&String::from_utf8_lossy(&call.body)));
    let (operation, result) = match form::read(all) {
        Ok((operation, input)) => {
            let result = answer(&Service { messaging, call }, &operation, &input).await;
            (operation, result)
        }
        Err(fault) => (String::new(), Err(fault)),
    };
    spelled(&operation, result, &call.request_id)
}

fn spelled(operation: &str, result: Answer, request_id: &str) -> Reply {
    match result {
        Ok(value) => query::answer(XML_NAMESPACE, operation, &value, request_id),
        Err(fault) => fault.xml(XML_NAMESPACE, request_id),
    }
}

/// Whether a request is one of the two that need no signature: the addresses that subscribers are told.
pub fn is_open(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let named = query.contains("Action=ConfirmSubscription&") || query.contains("Action=Unsubscribe&");
    let signed = parts.headers.contains_key(AUTHORIZATION) || query.contains("X-Amz-Signature=");
    named && !signed && parts.method == Method::GET && parts.uri.path() == "/"
}

/// Answers such a request.
pub async fn serve_open(messaging: &Messaging, parts: &Parts, request_id: &str) -> Reply {
    let (operation, result) = match form::read(parameters(parts.uri.query().unwrap_or_default())) {
        Ok((operation, input)) => {
            let result = match operation.as_str() {
                "ConfirmSubscription" => subscriptions::confirm(messaging, &input, false).await,
                _ => subscriptions::unsubscribe(messaging, &input, false).await,
            };
            (operation, result)
        }
        Err(fault) => (String::new(), Err(fault)),
    };
    spelled(&operation, result, request_id)
}

async fn answer(service: &Service<'_>, operation: &str, input: &Input) -> Answer {
    let known = OPERATIONS.iter().find(|(name, _)| *name == operation);
    let (_, members) = known.ok_or_else(|| unknown(operation))?;
    let messaging = service.messaging;
    let (region, signed) = (&messaging.config.region, &service.call.caller.region);
    if signed != region {
        let message = format!("This is {region}, and the request is signed for {signed}");
        return Err(Fault::new(403, "SignatureDoesNotMatch", message));
    }
    input.only(members)?;
    match operation {
        "CreateTopic" => topics::create(messaging, input).await,
        "DeleteTopic" => topics::delete(messaging, input).await,
        "ListTopics" => topics::list(messaging, input),
        "GetTopicAttributes" => topics::get(messaging, input),
        "SetTopicAttributes" => topics::set(messaging, input).await,
        "TagResource" => tags::tag(messaging, input).await,
        "UntagResource" => tags::untag(messaging, input).await,
        "ListTagsForResource" => tags::list(messaging, input),
        "Subscribe" => {
            let inside = service.call.parts.extensions.get::<wire::FromInstance>().is_some();
            subscriptions::subscribe(messaging, input, inside).await
        }
        "Unsubscribe" => subscriptions::unsubscribe(messaging, input, true).await,
        "ConfirmSubscription" => subscriptions::confirm(messaging, input, true).await,
        "ListSubscriptions" => subscriptions::list(messaging, input, None),
        "ListSubscriptionsByTopic" => {
            let (topic, _) = messaging.topic(input.required("TopicArn")?)?;
            subscriptions::list(messaging, input, Some(topic))
        }
        "GetSubscriptionAttributes" => attributes::get(messaging, input),
        "SetSubscriptionAttributes" => attributes::set(messaging, input).await,
        "Publish" => publish::one(service, input).await,
        "PublishBatch" => publish::batch(service, input).await,
        other => Err(unknown(other)),
    }
}

impl Messaging {
    fn topic_arn(&self, name: &str) -> String {
        format!("arn:aws:sns:{}:{}:{name}", self.config.region, self.config.account_id)
    }

    /// The topic that an ARN is of, with its name.
    fn topic<'a>(&self, arn: &'a str) -> Result<(&'a str, Topic), Fault> {
        let words = arn.split(':').count();
        if words < 6 {
            let reason = format!("An ARN must have at least 6 elements, not {words}");
            return Err(invalid(&format!("TopicArn Reason: {reason}")));
        }
        let name = told::topic(self, arn);
        let found = name.and_then(|name| Some((name, self.config.topics.get(name)?)));
        found.ok_or_else(|| not_found("Topic does not exist"))
    }
}

/// A parameter that is not accepted, and why.
fn invalid(why: &str) -> Fault {
    Fault::new(400, "InvalidParameter", format!("Invalid parameter: {why}"))
}

fn not_found(what: &str) -> Fault {
    Fault::new(404, "NotFound", what)
}

fn unknown(operation: &str) -> Fault {
    Fault::new(400, "InvalidAction", format!("The action {operation} is not valid for this endpoint."))
}

/// Requests are read as SQS's are; errors have SNS's names.
impl From<Refused> for Fault {
    fn from(refused: Refused) -> Fault {
        let Refused { shape, message, .. } = refused;
        match shape {
            "EmptyBatchRequest"
            | "TooManyEntriesInBatchRequest"
            | "BatchEntryIdsNotDistinct"
            | "InvalidBatchEntryId"
            | "BatchRequestTooLong" => Fault::new(400, shape, message),
            _ => invalid(&message),
        }
    }
}

struct Failed(Fault);

impl From<TopicError> for Failed {
    fn from(error: TopicError) -> Failed {
        Failed(fault(&error))
    }
}

fn fault(error: &TopicError) -> Fault {
    match error {
        TopicError::Gone => not_found("Topic does not exist"),
        TopicError::NoSubscription => not_found("Subscription does not exist"),
        TopicError::Exists(what) => {
            invalid(&format!("Attributes Reason: it already exists with a different {what}"))
        }
        TopicError::TooMany => Fault::new(403, "TopicLimitExceeded", error.to_string()),
        TopicError::TooManySubscriptions => Fault::new(403, "SubscriptionLimitExceeded", error.to_string()),
        TopicError::Store(_) => Fault { code: "InternalError", ..Fault::service(error.to_string()) },
    }
}
