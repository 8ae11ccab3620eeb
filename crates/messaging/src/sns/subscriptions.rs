//! Subscriptions come, are confirmed, and go: Subscribe, ConfirmSubscription, Unsubscribe, and their lists.

use super::envelope::Notice;
use super::form::{self, PAGE};
use super::{Answer, Failed, Fault, Input, attributes, fan_out, fault, invalid};
use crate::Messaging;
use managed::Subscription;
use serde_json::{Value, json};

/// The longest address of an endpoint.
const ENDPOINT_MAX: usize = 2048;

pub(super) async fn subscribe(messaging: &Messaging, input: &Input, inside: bool) -> Answer {
    let (topic, _) = messaging.topic(input.required("TopicArn")?)?;
    let protocol = input.required("Protocol")?;
    let endpoint = input.required("Endpoint")?;
    let told =
        attributes::flag("ReturnSubscriptionArn", input.text("ReturnSubscriptionArn")?.unwrap_or("false"))?;
    check(messaging, protocol, endpoint)?;
    let here = !protocol.starts_with("http");
    // An instance reaches what its network lets it reach; the platform, which delivers, reaches everything.
    if inside && !here {
        let message =
            "A function cannot subscribe an address: subscribe it from outside the platform's instances.";
        return Err(Fault::new(403, "AuthorizationError", message));
    }
    let mut wanted = Subscription {
        id: uuid::Uuid::new_v4().to_string(),
        protocol: protocol.to_owned(),
        endpoint: endpoint.to_owned(),
        created_ms: messaging.config.topics.now_ms(),
        // What is in this account needs no confirmation.
        token: (!here).then(token),
        authenticated: here,
        ..Subscription::default()
    };
    attributes::apply(messaging, &mut wanted, &input.text_map("Attributes")?)?;
    let one = messaging.config.topics.subscribe(topic, wanted).await.map_err(|error| match error {
        managed::TopicError::Exists(_) => {
            invalid("Attributes Reason: Subscription already exists with different attributes")
        }
        error => fault(&error),
    })?;
    if let Some(token) = &one.token {
        let notice = Notice { token: Some(token.clone()), ..Notice::new(messaging) };
        fan_out::wait(messaging, topic, &one, &notice, "").await?;
    }
    let arn = match one.token.is_none() || told {
        true => messaging.subscription_arn(topic, &one.id),
        false => "pending confirmation".to_owned(),
    };
    Ok(json!({ "SubscriptionArn": arn }))
}

/// Nobody guesses it.
fn token() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

fn check(messaging: &Messaging, protocol: &str, endpoint: &str) -> Result<(), Fault> {
    let wrong = |why: &str| Err(invalid(&format!("Endpoint Reason: {why}")));
    match protocol {
        "sqs" => {
            let functions = &messaging.config.functions;
            let Some(name) = functions.queue_name(endpoint) else {
                return wrong("SQS endpoint ARN must be of a queue of this account and region");
            };
            // A queue may come later, or be another one then.
            let fifo = functions.broker().get(name).is_some_and(|queue| queue.settings().fifo);
            match fifo || name.ends_with(".fifo") {
                true => wrong("FIFO SQS Queues can not be subscribed to standard SNS topics"),
                false => Ok(()),
            }
        }
        "lambda" => {
            let ours = format!(
                "arn:aws:lambda:{}:{}:function:",
                messaging.config.region, messaging.config.account_id
            );
            match endpoint.strip_prefix(&ours).is_some_and(|name| !name.is_empty()) {
                true => Ok(()),
                false => wrong("Lambda endpoint ARN must be of a function of this account and region"),
            }
        }
        "http" | "https" => {
            let address = endpoint.parse::<::http::Uri>().ok();
            let fits = |uri: &::http::Uri| uri.scheme_str() == Some(protocol) && uri.host().is_some();
            match address.is_some_and(|uri| fits(&uri)) && endpoint.len() <= ENDPOINT_MAX {
                true => Ok(()),
                false => Err(invalid("Endpoint must match the specified protocol")),
            }
        }
        "email" | "email-json" | "sms" | "application" | "firehose" => Err(invalid(&format!(
            "Protocol Reason: {protocol} is not supported by dory. sqs, lambda, http and https are"
        ))),
        other => Err(invalid(&format!("Amazon SNS does not support this protocol string: {other}"))),
    }
}

pub(super) async fn confirm(messaging: &Messaging, input: &Input, signed: bool) -> Answer {
    let (name, topic) = messaging.topic(input.required("TopicArn")?)?;
    let token = input.required("Token")?;
    let locked = signed
        && attributes::flag(
            "AuthenticateOnUnsubscribe",
            input.text("AuthenticateOnUnsubscribe")?.unwrap_or("false"),
        )?;
    // The id is in the token no more than the token in the id.
    let found = topic.subscriptions.values().find(|one| one.token.as_deref() == Some(token));
    let Some(one) = found else { return Err(invalid("Token")) };
    let change = |one: &mut Subscription| {
        one.token = None;
        one.authenticated = signed;
        one.locked = locked;
        Ok(())
    };
    let changed = messaging.config.topics.change_subscription(name, &one.id, &change).await;
    changed.map_err(|Failed(fault)| fault)?;
    Ok(json!({ "SubscriptionArn": messaging.subscription_arn(name, &one.id) }))
}

pub(super) async fn unsubscribe(messaging: &Messaging, input: &Input, signed: bool) -> Answer {
    let (topic, one) = match messaging.subscription(input.required("SubscriptionArn")?) {
        Ok(found) => found,
        // One that is not there has ended already.
        Err(error) if error.code == "NotFound" => return Ok(Value::Null),
        Err(error) => return Err(error),
    };
    if one.locked && !signed {
        return Err(Fault::new(403, "AuthorizationError", "Only who signs can end this subscription"));
    }
    messaging.config.topics.unsubscribe(&topic, &one.id).await.map_err(|error| fault(&error))?;
    Ok(Value::Null)
}

pub(super) fn list(messaging: &Messaging, input: &Input, of: Option<&str>) -> Answer {
    let all = messaging.config.topics.subscriptions(of, &form::after(input)?, PAGE + 1);
    let last = all.get(PAGE - 1).map(|(topic, one)| format!("{topic}/{}", one.id));
    let shown = |(topic, one): &(String, std::sync::Arc<Subscription>)| {
        let arn = match one.token {
            None => messaging.subscription_arn(topic, &one.id),
            Some(_) => "PendingConfirmation".to_owned(),
        };
        json!({
            "SubscriptionArn": arn, "Owner": messaging.config.account_id, "Protocol": one.protocol,
            "Endpoint": one.endpoint, "TopicArn": messaging.topic_arn(topic),
        })
    };
    Ok(form::page("Subscriptions", all.iter().map(shown).collect(), last))
}
