//! What other services publish to topics: S3, whom the topic's policy must let, and the results of functions.

use super::envelope::Notice;
use super::fan_out::{self, Texts};
use super::publish::BYTES_MAX;
use super::{Fault, invalid};
use crate::Messaging;
use functions::{DeliveryError, Destination, Parcel};
use futures::future::BoxFuture;
use managed::{Attribute, AttributeValue};
use policy::{Decision, Kind, Policy, Question};
use wire::{Source, Undelivered};

/// The name of a topic, if the ARN is of one of this account and region, existing or not.
pub fn topic<'a>(messaging: &Messaging, arn: &'a str) -> Option<&'a str> {
    let name = arn.strip_prefix(&messaging.topic_arn(""))?;
    (!name.is_empty() && !name.contains(':')).then_some(name)
}

/// Whether a service may publish to a topic for this resource.
pub fn check(messaging: &Messaging, arn: &str, source: Source<'_>) -> Result<(), String> {
    let (_, topic) = messaging.topic(arn).map_err(|_| "The destination topic does not exist".to_owned())?;
    let context =
        [("aws:SourceArn", source.arn), ("aws:SourceAccount", messaging.config.account_id.as_str())];
    let question = Question {
        principals: &[("Service", source.service)],
        action: "sns:Publish",
        resource: arn,
        context: &context,
    };
    let policy = topic.settings.policy.as_deref().and_then(|text| Policy::read(text, Kind::Resource).ok());
    match policy.map(|policy| policy.decide(&question)) {
        Some(Decision::Allowed) => Ok(()),
        _ => Err(format!(
            "Permissions on the destination topic do not allow {} to publish to it: set its attribute Policy",
            source.service
        )),
    }
}

/// Publishes a document of a service.
pub async fn tell(
    messaging: &Messaging,
    arn: &str,
    source: Source<'_>,
    body: String,
) -> Result<(), Undelivered> {
    check(messaging, arn, source).map_err(Undelivered::Never)?;
    // The only one that publishes so.
    let subject = (source.service == "s3.amazonaws.com").then(|| "Amazon S3 Notification".to_owned());
    let notice = Notice { subject, ..Notice::new(messaging) };
    publish(messaging, arn, notice, body).await.map_err(|fault| match fault.status {
        429 | 500.. => Undelivered::Later(fault.message),
        _ => Undelivered::Never(fault.message),
    })
}

async fn publish(messaging: &Messaging, arn: &str, notice: Notice, body: String) -> Result<(), Fault> {
    let (name, topic) = messaging.topic(arn)?;
    if body.len() > BYTES_MAX {
        return Err(invalid("Message too long"));
    }
    let texts = Texts { default: body, own: Default::default() };
    fan_out::publish(messaging, name, &topic, &notice, &texts).await
}

/// Results of functions; those who may configure a function may name a topic.
impl Destination for Messaging {
    fn takes(&self, arn: &str) -> bool {
        topic(self, arn).is_some()
    }

    fn check(&self, arn: &str) -> Result<(), String> {
        let found = self.topic(arn).map(drop);
        found.map_err(|_| format!("The destination ARN {arn} is invalid: there is no such topic."))
    }

    fn deliver(&self, arn: String, parcel: Parcel) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move {
            let Parcel { body, attributes, trace_id } = parcel;
            // A message is a text; an event without one is an empty document.
            let body =
                if body.is_empty() { "{}".to_owned() } else { String::from_utf8_lossy(&body).into_owned() };
            let attributes = attributes.into_iter().map(attribute).collect();
            let notice = Notice { attributes, trace: trace_id, ..Notice::new(self) };
            publish(self, &arn, notice, body).await.map_err(|fault| match fault.status {
                429 | 500.. => DeliveryError::Later(fault.message),
                _ => DeliveryError::Refused(fault.message),
            })
        })
    }
}

/// All texts, those of dead letters too.
fn attribute((name, value): (&'static str, String)) -> (String, Attribute) {
    (name.to_owned(), Attribute { data_type: "String".to_owned(), value: AttributeValue::Text(value) })
}
