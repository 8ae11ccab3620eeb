//! The attributes of a queue: how they are written and read, and what each may be. GetQueueAttributes and
//! SetQueueAttributes.

use super::input::Input;
use super::{Answer, Refused, Service, redrive};
use managed::{Counts, Declared, Settings};
use policy::{Kind, Policy};
use serde_json::{Map, Value, json};

/// Whole numbers: what each is called, and its bounds.
type Bound = (&'static str, u32, u32, fn(&mut Settings) -> &mut u32);

const NUMBERS: [Bound; 5] = [
    ("VisibilityTimeout", 0, 43_200, |settings| &mut settings.visibility_s),
    ("DelaySeconds", 0, 900, |settings| &mut settings.delay_s),
    ("MessageRetentionPeriod", 60, 1_209_600, |settings| &mut settings.retention_s),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, |settings| &mut settings.wait_s),
    ("MaximumMessageSize", 1024, 1 << 20, |settings| &mut settings.message_bytes_max),
];

/// What can be set.
const SETTABLE: [&str; 15] = [
    "VisibilityTimeout",
    "DelaySeconds",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "MaximumMessageSize",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
];

/// Of FIFO queues only.
const OF_FIFO: [&str; 3] = ["ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"];

/// What is told beside them.
const TOLD: [&str; 6] = [
    "QueueArn",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
];

/// Takes the attributes of a request into the settings of a queue, all or none.
pub(super) fn apply(
    service: &Service<'_>,
    name: &str,
    settings: &mut Settings,
    attributes: &[(&str, &str)],
) -> Result<(), Refused> {
    for (attribute, value) in attributes {
        apply_one(service, name, settings, attribute, value)?;
    }
    if settings.throughput_per_group && !settings.deduplication_per_group {
        return Err(Refused::parameter(
            "Value perMessageGroupId for parameter FifoThroughputLimit is invalid. Reason: It is allowed only when the \
             value for DeduplicationScope is messageGroup.",
        ));
    }
    Ok(())
}

/// The first attribute in which a queue is not as a request asks.
pub(super) fn differing(
    service: &Service<'_>,
    name: &str,
    found: &Settings,
    attributes: &[(&str, &str)],
) -> Option<&'static str> {
    let differs = |attribute: &str, value: &str| {
        let mut wanted = found.clone();
        apply_one(service, name, &mut wanted, attribute, value).is_err() || wanted != *found
    };
    let (attribute, _) = attributes.iter().find(|(attribute, value)| differs(attribute, value))?;
    SETTABLE.into_iter().find(|known| known == attribute)
}

fn apply_one(
    service: &Service<'_>,
    name: &str,
    settings: &mut Settings,
    attribute: &str,
    value: &str,
) -> Result<(), Refused> {
    let invalid = || Refused::attribute_value(format!("Invalid value for the parameter {attribute}."));
    if OF_FIFO.contains(&attribute) && !settings.fifo {
        return Err(Refused::attribute_name(attribute));
    }
    if let Some((_, min, max, place)) = NUMBERS.iter().find(|(number, ..)| *number == attribute) {
        let number = value.parse().ok().filter(|number| (min..=max).contains(&number));
        *place(settings) = number.ok_or_else(invalid)?;
        return Ok(());
    }
    match attribute {
        // It is what the name of the queue says.
        "FifoQueue" => match flag(attribute, value)? == settings.fifo {
            true => {}
            false => return Err(invalid()),
        },
        "ContentBasedDeduplication" => settings.content_based_deduplication = flag(attribute, value)?,
        "DeduplicationScope" => {
            settings.deduplication_per_group =
                one_of(value, ["queue", "messageGroup"]).ok_or_else(invalid)?;
        }
        "FifoThroughputLimit" => {
            settings.throughput_per_group =
                one_of(value, ["perQueue", "perMessageGroupId"]).ok_or_else(invalid)?;
        }
        "SqsManagedSseEnabled" => settings.managed_sse = flag(attribute, value)?,
        "Policy" if value.is_empty() => settings.policy = None,
        "Policy" => {
            Policy::read(value, Kind::Resource).map_err(|_| invalid())?;
            settings.policy = Some(value.to_owned());
        }
        "RedrivePolicy" => settings.redrive = redrive::target(service, name, settings, value)?,
        "RedriveAllowPolicy" => settings.redrive_allow = redrive::sources(service, value)?,
        // No key at all is what every queue here has.
        "KmsMasterKeyId" if value.is_empty() => {}
        "KmsMasterKeyId" | "KmsDataKeyReusePeriodSeconds" => {
            let why =
                format!("{attribute} is not supported by dory: messages are not encrypted with keys of KMS.");
            return Err(Refused::attribute_value(why));
        }
        other => return Err(Refused::attribute_name(other)),
    }
    Ok(())
}

/// Whether it is the second of two words.
fn one_of(value: &str, words: [&str; 2]) -> Option<bool> {
    words.iter().position(|word| *word == value).map(|at| at == 1)
}

pub(super) fn flag(attribute: &str, value: &str) -> Result<bool, Refused> {
    let wrong = || Refused::attribute_value(format!("Invalid value for the parameter {attribute}."));
    one_of(&value.to_ascii_lowercase(), ["false", "true"]).ok_or_else(wrong)
}

pub(super) async fn set(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let attributes = input.text_map("Attributes")?;
    if attributes.is_empty() {
        return Err(Refused::missing("Attribute.Name"));
    }
    let change = |settings: &mut Settings| apply(service, queue.name(), settings, &attributes);
    service.broker().change::<Refused>(queue.name(), change).await?;
    Ok(Value::Null)
}

pub(super) async fn get(service: &Service<'_>, input: &Input) -> Answer {
    let queue = service.queue(input)?;
    let names = input.texts("AttributeNames")?;
    let known = |name: &&str| *name == "All" || SETTABLE.contains(name) || TOLD.contains(name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(Refused::attribute_name(unknown));
    }
    if names.is_empty() {
        return Ok(json!({}));
    }
    let mut all = shown(service, &queue, queue.counts().await);
    if !names.contains(&"All") {
        all.retain(|name, _| names.contains(&name.as_str()));
    }
    Ok(if all.is_empty() { json!({}) } else { json!({ "Attributes": all }) })
}

/// All of them, as texts.
fn shown(service: &Service<'_>, queue: &Declared, counts: Counts) -> Map<String, Value> {
    let mut settings = queue.settings();
    let mut all = Map::new();
    let mut set = |name: &str, value: String| drop(all.insert(name.to_owned(), value.into()));
    for (name, _, _, place) in NUMBERS {
        set(name, place(&mut settings).to_string());
    }
    let (created_ms, modified_ms) = queue.times_ms();
    set("CreatedTimestamp", (created_ms / 1000).to_string());
    set("LastModifiedTimestamp", (modified_ms / 1000).to_string());
    set("QueueArn", service.arn(queue.name()));
    set("ApproximateNumberOfMessages", counts.visible.to_string());
    set("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string());
    set("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string());
    set("SqsManagedSseEnabled", settings.managed_sse.to_string());
    if settings.fifo {
        set("FifoQueue", "true".to_owned());
        set("ContentBasedDeduplication", settings.content_based_deduplication.to_string());
        let scope = if settings.deduplication_per_group { "messageGroup" } else { "queue" };
        set("DeduplicationScope", scope.to_owned());
        let limit = if settings.throughput_per_group { "perMessageGroupId" } else { "perQueue" };
        set("FifoThroughputLimit", limit.to_owned());
    }
    let optional = [
        ("Policy", settings.policy),
        ("RedrivePolicy", settings.redrive.map(|redrive| redrive::shown_target(service, &redrive))),
        ("RedriveAllowPolicy", settings.redrive_allow.map(|allow| redrive::shown_sources(service, &allow))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            set(name, value);
        }
    }
    all
}
