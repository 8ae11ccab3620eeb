//! Tags of topics: TagResource, UntagResource, ListTagsForResource.

use super::{Answer, Failed, Fault, Input, form, invalid};
use crate::Messaging;
use managed::{Topic, TopicSettings};
use serde_json::{Value, json};

const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// Adds tags to those that a topic has.
pub(super) fn add(settings: &mut TopicSettings, tags: &[(String, String)]) -> Result<(), Fault> {
    for (key, value) in tags {
        let fits = key.chars().count() <= KEY_MAX && value.chars().count() <= VALUE_MAX;
        if !fits || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(&format!(
                "Tags Reason: keys have 1 to {KEY_MAX} characters and do not begin with aws:, values have up to {VALUE_MAX}"
            )));
        }
        settings.tags.insert(key.clone(), value.clone());
    }
    match settings.tags.len() > TAGS_MAX {
        true => Err(Fault::new(
            400,
            "TagLimitExceeded",
            format!("Could not complete request: a topic has {TAGS_MAX} tags at most"),
        )),
        false => Ok(()),
    }
}

/// The topic that is asked for; what is not there has a name of its own here.
fn resource<'a>(messaging: &Messaging, input: &'a Input) -> Result<(&'a str, Topic), Fault> {
    let found = messaging.topic(input.required("ResourceArn")?);
    found.map_err(|fault| match fault.code {
        "NotFound" => Fault::new(404, "ResourceNotFound", "Resource does not exist"),
        _ => fault,
    })
}

pub(super) async fn tag(messaging: &Messaging, input: &Input) -> Answer {
    let (name, _) = resource(messaging, input)?;
    let tags = form::tags(input)?;
    let change = |settings: &mut TopicSettings| add(settings, &tags).map_err(Failed);
    messaging.config.topics.change(name, &change).await.map_err(|Failed(fault)| fault)?;
    Ok(json!({}))
}

pub(super) async fn untag(messaging: &Messaging, input: &Input) -> Answer {
    let (name, _) = resource(messaging, input)?;
    let keys = input.texts("TagKeys")?;
    let change = |settings: &mut TopicSettings| {
        settings.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    };
    messaging.config.topics.change(name, &change).await.map_err(|Failed(fault)| fault)?;
    Ok(json!({}))
}

pub(super) fn list(messaging: &Messaging, input: &Input) -> Answer {
    let (_, topic) = resource(messaging, input)?;
    let tag = |(key, value): (&String, &String)| json!({ "Key": key, "Value": value });
    Ok(json!({ "Tags": topic.settings.tags.iter().map(tag).collect::<Vec<Value>>() }))
}
