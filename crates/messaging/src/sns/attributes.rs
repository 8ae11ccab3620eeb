//! Attributes of subscriptions: GetSubscriptionAttributes, SetSubscriptionAttributes, and what Subscribe takes.

use super::{Answer, Failed, Fault, Input, filter, invalid, not_found, topics};
use crate::Messaging;
use managed::Subscription;
use serde_json::{Value, json};
use std::sync::Arc;
use wire::query;

impl Messaging {
    pub(super) fn subscription_arn(&self, topic: &str, id: &str) -> String {
        format!("{}:{id}", self.topic_arn(topic))
    }

    /// The subscription that an ARN is of, with the name of its topic.
    pub(super) fn subscription(&self, arn: &str) -> Result<(String, Arc<Subscription>), Fault> {
        if arn.split(':').count() < 6 {
            return Err(invalid("SubscriptionArn Reason: It is no ARN of a subscription"));
        }
        let place = arn.strip_prefix(&self.topic_arn("")).map(|rest| rest.replacen(':', "/", 1));
        let found = place.and_then(|place| self.config.topics.subscriber(&place));
        found.ok_or_else(|| not_found("Subscription does not exist"))
    }
}

pub(super) fn flag(attribute: &str, value: &str) -> Result<bool, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(invalid(&format!(
            "{attribute} Reason: {attribute}: Invalid value [{other}]. Must be true or false."
        ))),
    }
}

/// Takes attributes into a subscription; what they are together is checked in the end.
pub(super) fn apply(
    messaging: &Messaging,
    one: &mut Subscription,
    attributes: &[(&str, &str)],
) -> Result<(), Fault> {
    for (attribute, value) in attributes {
        match *attribute {
            "RawMessageDelivery" => {
                one.raw = flag(attribute, value)?;
                if one.raw && one.protocol == "lambda" {
                    return Err(invalid(
                        "Attributes Reason: RawMessageDelivery: Delivery protocol [lambda] does not support raw message delivery.",
                    ));
                }
            }
            "FilterPolicy" => {
                one.filter = Some((*value).to_owned()).filter(|text| !text.is_empty() && text != "{}")
            }
            "FilterPolicyScope" => {
                one.filters_body = match *value {
                    "MessageBody" => true,
                    "MessageAttributes" => false,
                    other => {
                        return Err(invalid(&format!(
                            "FilterPolicyScope: Invalid value [{other}]. Please use either MessageBody or MessageAttributes"
                        )));
                    }
                };
            }
            "RedrivePolicy" if value.is_empty() => one.dead_letters = None,
            "RedrivePolicy" => one.dead_letters = Some(dead_letters(messaging, value)?),
            "DeliveryPolicy" if value.is_empty() => {}
            other => {
                return Err(invalid(&format!(
                    "AttributeName Reason: {other} of a subscription is not supported by dory"
                )));
            }
        }
    }
    one.filter.as_deref().map_or(Ok(()), |text| filter::check(text, one.filters_body))
}

/// The queue that a document names.
fn dead_letters(messaging: &Messaging, document: &str) -> Result<String, Fault> {
    let wrong = |why: &str| invalid(&format!("RedrivePolicy: {why}"));
    let document: Value = serde_json::from_str(document).map_err(|_| wrong("failed to parse JSON."))?;
    let members = document.as_object().ok_or_else(|| wrong("it is no object."))?;
    if let Some(other) = members.keys().find(|name| *name != "deadLetterTargetArn") {
        return Err(wrong(&format!("{other} is not supported by dory.")));
    }
    let arn = members.get("deadLetterTargetArn").and_then(Value::as_str).unwrap_or_default();
    let functions = &messaging.config.functions;
    let queue = functions.queue_name(arn).and_then(|name| functions.broker().get(name));
    match queue {
        None => Err(wrong("deadLetterTargetArn is not the ARN of a queue that exists.")),
        Some(queue) if queue.settings().fifo => Err(wrong("deadLetterTargetArn must be a standard queue.")),
        Some(_) => Ok(arn.to_owned()),
    }
}

pub(super) async fn set(messaging: &Messaging, input: &Input) -> Answer {
    let (topic, one) = messaging.subscription(input.required("SubscriptionArn")?)?;
    let attribute = input.required("AttributeName")?;
    let value = input.text("AttributeValue")?.unwrap_or_default();
    let change = |one: &mut Subscription| apply(messaging, one, &[(attribute, value)]).map_err(Failed);
    let changed = messaging.config.topics.change_subscription(&topic, &one.id, &change).await;
    changed.map_err(|Failed(fault)| fault)?;
    Ok(Value::Null)
}

pub(super) fn get(messaging: &Messaging, input: &Input) -> Answer {
    let arn = input.required("SubscriptionArn")?;
    let (topic, one) = messaging.subscription(arn)?;
    let account = &messaging.config.account_id;
    let scope = if one.filters_body { "MessageBody" } else { "MessageAttributes" };
    let mut all = vec![
        ("SubscriptionArn", arn.to_owned()),
        ("TopicArn", messaging.topic_arn(&topic)),
        ("Owner", account.clone()),
        ("Protocol", one.protocol.clone()),
        ("Endpoint", one.endpoint.clone()),
        ("SubscriptionPrincipal", format!("arn:aws:iam::{account}:root")),
        ("PendingConfirmation", one.token.is_some().to_string()),
        ("ConfirmationWasAuthenticated", one.authenticated.to_string()),
        ("RawMessageDelivery", one.raw.to_string()),
    ];
    if let Some(filter) = &one.filter {
        all.extend([("FilterPolicy", filter.clone()), ("FilterPolicyScope", scope.to_owned())]);
    }
    if let Some(queue) = &one.dead_letters {
        all.push(("RedrivePolicy", json!({ "deadLetterTargetArn": queue }).to_string()));
    }
    if one.protocol.starts_with("http") {
        all.push(("EffectiveDeliveryPolicy", topics::delivery_policy("subscription").to_string()));
    }
    let all = all.into_iter().map(|(name, value)| (name.to_owned(), value));
    Ok(json!({ "Attributes": query::map(all) }))
}
