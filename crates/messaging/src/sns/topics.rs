//! Topics come, change and go: CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes.

use super::form::{self, PAGE};
use super::{Answer, Failed, Fault, Input, fault, invalid, tags};
use crate::Messaging;
use managed::{TopicError, TopicSettings};
use policy::{Kind, Policy};
use serde_json::{Value, json};
use wire::query;

const NAME_MAX: usize = 256;
const DISPLAY_NAME_MAX: usize = 100;

/// What the owner of a topic may do who has set no policy; as on AWS.
const OWNER_ACTIONS: [&str; 9] = [
    "SNS:GetTopicAttributes",
    "SNS:SetTopicAttributes",
    "SNS:AddPermission",
    "SNS:RemovePermission",
    "SNS:DeleteTopic",
    "SNS:Subscribe",
    "SNS:ListSubscriptionsByTopic",
    "SNS:Publish",
    "SNS:Receive",
];

pub(super) async fn create(messaging: &Messaging, input: &Input) -> Answer {
    let name = input.required("Name")?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if name.ends_with(".fifo") {
        return Err(fifo());
    }
    if !plain || name.len() > NAME_MAX {
        return Err(invalid("Topic Name"));
    }
    let attributes = input.text_map("Attributes")?;
    let tags = form::tags(input)?;
    let mut settings = TopicSettings::default();
    for (attribute, value) in &attributes {
        apply(&mut settings, attribute, value)?;
    }
    tags::add(&mut settings, &tags)?;
    // Of a topic that is there, what is not asked for may be as it likes.
    let asked = |found: &TopicSettings| {
        let mut wanted = found.clone();
        let applied = attributes.iter().try_for_each(|(name, value)| apply(&mut wanted, name, value));
        if applied.is_err() || wanted != *found {
            return Some("attributes");
        }
        (!tags.is_empty() && found.tags != settings.tags).then_some("tags")
    };
    match messaging.config.topics.create(name, settings.clone(), &asked).await {
        Ok(()) => Ok(json!({ "TopicArn": messaging.topic_arn(name) })),
        Err(TopicError::Exists("tags")) => {
            Err(invalid("Tags Reason: Topic already exists with different tags"))
        }
        Err(TopicError::Exists(_)) => {
            Err(invalid("Attributes Reason: Topic already exists with different attributes"))
        }
        Err(error) => Err(fault(&error)),
    }
}

fn fifo() -> Fault {
    invalid("Name Reason: FIFO topics are not supported by dory. Publish to a FIFO queue instead")
}

fn apply(settings: &mut TopicSettings, attribute: &str, value: &str) -> Result<(), Fault> {
    match attribute {
        "DisplayName" if value.chars().count() <= DISPLAY_NAME_MAX && !value.contains(['\n', '\r']) => {
            settings.display_name = value.to_owned();
        }
        "DisplayName" => return Err(invalid("DisplayName")),
        "Policy" if value.is_empty() => settings.policy = None,
        "Policy" => {
            let read = Policy::read(value, Kind::Resource);
            read.map_err(|_| invalid("Policy Error: it is no policy of a topic"))?;
            settings.policy = Some(value.to_owned());
        }
        "FifoTopic" if value.eq_ignore_ascii_case("true") => return Err(fifo()),
        "FifoTopic" if value.eq_ignore_ascii_case("false") => {}
        // None at all is what every topic here has.
        "DeliveryPolicy" | "KmsMasterKeyId" if value.is_empty() => {}
        other => {
            return Err(invalid(&format!(
                "AttributeName Reason: {other} of a topic is not supported by dory"
            )));
        }
    }
    Ok(())
}

pub(super) async fn delete(messaging: &Messaging, input: &Input) -> Answer {
    // One that is not there is deleted already.
    let arn = input.required("TopicArn")?;
    match messaging.topic(arn) {
        Ok((name, _)) => messaging.config.topics.delete(name).await.map_err(|error| fault(&error))?,
        Err(error) if error.code == "NotFound" => {}
        Err(error) => return Err(error),
    }
    Ok(Value::Null)
}

pub(super) fn list(messaging: &Messaging, input: &Input) -> Answer {
    let names = messaging.config.topics.names(&form::after(input)?, PAGE + 1);
    let last = names.get(PAGE - 1).cloned();
    let items = names.iter().map(|name| json!({ "TopicArn": messaging.topic_arn(name) })).collect();
    Ok(form::page("Topics", items, last))
}

pub(super) async fn set(messaging: &Messaging, input: &Input) -> Answer {
    let (name, _) = messaging.topic(input.required("TopicArn")?)?;
    let attribute = input.required("AttributeName")?;
    let value = input.text("AttributeValue")?.unwrap_or_default();
    let change = |settings: &mut TopicSettings| apply(settings, attribute, value).map_err(Failed);
    messaging.config.topics.change(name, &change).await.map_err(|Failed(fault)| fault)?;
    Ok(Value::Null)
}

pub(super) fn get(messaging: &Messaging, input: &Input) -> Answer {
    let arn = input.required("TopicArn")?;
    let (_, topic) = messaging.topic(arn)?;
    let account = &messaging.config.account_id;
    let pending = topic.subscriptions.values().filter(|one| one.token.is_some()).count();
    let own_policy = || {
        json!({
            "Version": "2008-10-17", "Id": "__default_policy_ID",
            "Statement": [{
                "Sid": "__default_statement_ID", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": OWNER_ACTIONS,
                "Resource": arn, "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
            }],
        })
        .to_string()
    };
    let all = [
        ("TopicArn", arn.to_owned()),
        ("Owner", account.clone()),
        ("DisplayName", topic.settings.display_name.clone()),
        ("Policy", topic.settings.policy.clone().unwrap_or_else(own_policy)),
        ("SubscriptionsConfirmed", (topic.subscriptions.len() - pending).to_string()),
        ("SubscriptionsPending", pending.to_string()),
        ("SubscriptionsDeleted", topic.ended.to_string()),
        ("EffectiveDeliveryPolicy", delivery_policy("http").to_string()),
    ];
    let all = all.into_iter().map(|(name, value)| (name.to_owned(), value));
    Ok(json!({ "Attributes": query::map(all) }))
}

/// How often http and https are tried, as AWS shows it; `deliver` does so. Of a subscription there is no protocol around it.
pub(super) fn delivery_policy(of: &str) -> Value {
    let retries = json!({
        "minDelayTarget": 20, "maxDelayTarget": 20, "numRetries": 3, "numMaxDelayRetries": 0, "numNoDelayRetries": 0,
        "numMinDelayRetries": 0, "backoffFunction": "linear",
    });
    match of {
        "http" => {
            json!({ "http": { "defaultHealthyRetryPolicy": retries, "disableSubscriptionOverrides": false } })
        }
        _ => json!({ "healthyRetryPolicy": retries }),
    }
}
