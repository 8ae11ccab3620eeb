//! What subscribers get: the documents around a message ("Parsing message formats", SNS developer guide). They are not signed:
//! what only AWS could sign is left out, not invented.

use crate::Messaging;
use bytes::Bytes;
use jiff::Timestamp;
use managed::{Attribute, AttributeValue, Subscription};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A message without its text, as it waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) id: String,
    pub(super) subject: Option<String>,
    pub(super) attributes: BTreeMap<String, Attribute>,
    pub(super) group: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) published_ms: u64,
    /// Where it is no message, but asks for a confirmation.
    pub(super) token: Option<String>,
}

impl Notice {
    pub(super) fn new(messaging: &Messaging) -> Notice {
        let (id, published_ms) = (uuid::Uuid::new_v4().to_string(), messaging.config.topics.now_ms());
        Notice { id, published_ms, ..Notice::default() }
    }

    pub(super) fn write(&self) -> Bytes {
        serde_json::to_vec(self).expect("strings are JSON").into()
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.token.is_some() { "SubscriptionConfirmation" } else { "Notification" }
    }

    fn time(&self) -> String {
        let at =
            Timestamp::from_millisecond(i64::try_from(self.published_ms).unwrap_or(0)).unwrap_or_default();
        at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }

    fn shown_attributes(&self) -> Map<String, Value> {
        let one = |(name, attribute): (&String, &Attribute)| {
            let (AttributeValue::Text(value) | AttributeValue::Binary(value)) = &attribute.value;
            (name.clone(), json!({ "Type": attribute.data_type, "Value": value }))
        };
        self.attributes.iter().map(one).collect()
    }
}

/// What a queue or an address gets; without an envelope if that is what the subscription wants.
pub(super) fn body(
    messaging: &Messaging,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    text: &str,
) -> String {
    if one.raw && notice.token.is_none() {
        return text.to_owned();
    }
    let (arn, endpoint) = (messaging.topic_arn(topic), &messaging.config.endpoint);
    let mut document = json!({
        "Type": notice.kind(), "MessageId": notice.id, "TopicArn": arn, "Message": text, "Timestamp": notice.time(),
    });
    if let Some(token) = &notice.token {
        document["Token"] = json!(token);
        document["Message"] = json!(format!(
            "You have chosen to subscribe to the topic {arn}.\nTo confirm the subscription, visit the SubscribeURL included in \
             this message."
        ));
        document["SubscribeURL"] =
            json!(format!("{endpoint}/?Action=ConfirmSubscription&TopicArn={arn}&Token={token}"));
        return document.to_string();
    }
    document["UnsubscribeURL"] = json!(unsubscribe(messaging, topic, one));
    if let Some(subject) = &notice.subject {
        document["Subject"] = json!(subject);
    }
    if !notice.attributes.is_empty() {
        document["MessageAttributes"] = Value::Object(notice.shown_attributes());
    }
    document.to_string()
}

fn unsubscribe(messaging: &Messaging, topic: &str, one: &Subscription) -> String {
    let arn = messaging.subscription_arn(topic, &one.id);
    format!("{}/?Action=Unsubscribe&SubscriptionArn={arn}", messaging.config.endpoint)
}

/// What a function gets ("Using Lambda with Amazon SNS").
pub(super) fn event(
    messaging: &Messaging,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    text: &str,
) -> String {
    json!({
        "Records": [{
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": messaging.subscription_arn(topic, &one.id),
            "Sns": {
                "Type": notice.kind(),
                "MessageId": notice.id,
                "TopicArn": messaging.topic_arn(topic),
                "Subject": notice.subject,
                "Message": text,
                "Timestamp": notice.time(),
                "UnsubscribeUrl": unsubscribe(messaging, topic, one),
                "MessageAttributes": notice.shown_attributes(),
            },
        }],
    })
    .to_string()
}
