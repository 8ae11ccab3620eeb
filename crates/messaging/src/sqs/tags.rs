//! Tags: ListQueueTags, TagQueue, UntagQueue.

use super::input::Input;
use super::{Answer, Refused, Service};
use managed::Settings;
use serde_json::{Value, json};

const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// Adds tags to those that a queue has.
pub(super) fn add(settings: &mut Settings, tags: &[(&str, &str)]) -> Result<(), Refused> {
    for (key, value) in tags {
        let fits = !key.is_empty() && key.chars().count() <= KEY_MAX && value.chars().count() <= VALUE_MAX;
        if !fits || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Refused::parameter(format!(
                "The tag {key} is invalid: keys have 1 to {KEY_MAX} characters and do not begin with aws:, values have up \
                 to {VALUE_MAX}."
            )));
        }
        settings.tags.insert((*key).to_owned(), (*value).to_owned());
    }
    match settings.tags.len() > TAGS_MAX {
        true => Err(Refused::parameter(format!("Too many tags: a queue has {TAGS_MAX} at most."))),
        false => Ok(()),
    }
}

pub(super) async fn tag(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let tags = input.text_map("Tags")?;
    if tags.is_empty() {
        return Err(Refused::missing("Tags"));
    }
    service.broker().change::<Refused>(queue.name(), |settings| add(settings, &tags)).await?;
    Ok(Value::Null)
}

pub(super) async fn untag(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let keys = input.texts("TagKeys")?;
    if keys.is_empty() {
        return Err(Refused::missing("TagKeys"));
    }
    let remove = |settings: &mut Settings| {
        settings.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    };
    service.broker().change::<Refused>(queue.name(), remove).await?;
    Ok(Value::Null)
}

pub(super) fn list(service: &Service<'_>, input: &Input) -> Answer {
    let tags = service.queue(input)?.settings().tags;
    Ok(if tags.is_empty() { json!({}) } else { json!({ "Tags": tags }) })
}
