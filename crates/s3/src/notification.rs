//! `PutBucketNotificationConfiguration`: which functions, queues and topics are told of what. Each must be there and let itself be told.

use super::ask::Ask;
use super::refused::Refused;
use super::{events, settings, xml};
use managed::Notification;
use roxmltree::Node;
use serde_json::json;
use wire::query::escape;

/// As on AWS.
const CONFIGURATIONS_MAX: usize = 100;

/// Events that happen here, each with those that it may stand for.
const EVENTS: [&str; 11] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectCreated:Post",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
];

/// Those of AWS that do not happen here.
const NEVER: [&str; 8] = [
    "s3:ReducedRedundancyLostObject",
    "s3:ObjectRestore:",
    "s3:Replication:",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectTagging:",
    "s3:ObjectAcl:",
    "s3:ObjectAnnotation:",
];

pub(super) async fn put(ask: &Ask<'_>, document: &str) -> Result<(), Refused> {
    let document = read(document)?;
    let skip = ask
        .header("x-amz-skip-destination-validation")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    for (_, notification) in document.iter().filter(|_| !skip) {
        events::check(ask, &notification.target).await.map_err(|why| {
            Refused::argument(
                &notification.target,
                &why,
                "Unable to validate the following destination configurations",
            )
        })?;
    }
    let mut tested: Vec<String> = Vec::new();
    for (element, notification) in &document {
        if *element != "CloudFunctionConfiguration" && !tested.contains(&notification.target) {
            tested.push(notification.target.clone());
        }
    }
    let shown: String = document.iter().map(|(element, one)| show(element, one)).collect();
    settings::change(ask, |settings| {
        settings.notifications = document.into_iter().map(|(_, one)| one).collect();
        settings.kept.insert("notification".to_owned(), json!(shown));
        Ok(())
    })
    .await?;
    for target in tested {
        events::test(ask, &target).await;
    }
    Ok(())
}

type Document = Vec<(&'static str, Notification)>;

fn read(document: &str) -> Result<Document, Refused> {
    let document = xml::read(document, "NotificationConfiguration")?;
    let root = document.root_element();
    let mut all: Document = Vec::new();
    for node in xml::children(root) {
        let (element, target) = match node.tag_name().name() {
            "QueueConfiguration" => ("QueueConfiguration", "Queue"),
            "CloudFunctionConfiguration" => ("CloudFunctionConfiguration", "CloudFunction"),
            "TopicConfiguration" => ("TopicConfiguration", "Topic"),
            "EventBridgeConfiguration" => return Err(Refused::unsupported("A notification of EventBridge")),
            _ => return Err(Refused::malformed()),
        };
        let one = configuration(node, target)?;
        if let Some((_, other)) = all.iter().find(|(_, other)| overlaps(other, &one)) {
            let both = format!("{}, {}", other.id, one.id);
            return Err(Refused::argument(
                "Id",
                &both,
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are \
                 overlapping for the same event type.",
            ));
        }
        all.push((element, one));
    }
    if all.len() > CONFIGURATIONS_MAX {
        return Err(Refused::argument("Id", "", "There are too many notifications."));
    }
    Ok(all)
}

fn configuration(node: Node<'_, '_>, target: &str) -> Result<Notification, Refused> {
    xml::only(node, &["Id", target, "Event", "Filter"])?;
    let id = xml::text(node, "Id").filter(|id| !id.is_empty()).map(str::to_owned);
    let mut one = Notification {
        id: id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string()),
        target: xml::required(node, target)?.trim().to_owned(),
        ..Notification::default()
    };
    for event in xml::all(node, "Event") {
        let event = event.text().unwrap_or_default().trim();
        if NEVER.iter().any(|never| event.starts_with(never)) {
            return Err(Refused::unsupported(&format!("The event {event}")));
        }
        if !EVENTS.contains(&event) {
            let message = format!("The event '{event}' is not supported for notifications");
            return Err(Refused::argument("Event", event, message));
        }
        one.events.push(event.to_owned());
    }
    if one.events.is_empty() {
        return Err(Refused::malformed());
    }
    if let Some(filter) = xml::child(node, "Filter") {
        xml::only(filter, &["S3Key"])?;
        for rule in xml::child(filter, "S3Key").into_iter().flat_map(|key| xml::all(key, "FilterRule")) {
            let value = xml::required(rule, "Value")?.to_owned();
            match xml::required(rule, "Name")?.to_ascii_lowercase().as_str() {
                "prefix" => one.prefix = value,
                "suffix" => one.suffix = value,
                other => {
                    let message = "filter rule name must be either prefix or suffix";
                    return Err(Refused::argument("FilterRule.Name", other, message));
                }
            }
        }
    }
    Ok(one)
}

/// Whether something may happen that two of them are about.
fn overlaps(one: &Notification, other: &Notification) -> bool {
    let stem = |event: &str| event.trim_end_matches('*').to_owned();
    let same = |a: &String, b: &String| {
        let (a_stem, b_stem) = (stem(a), stem(b));
        a == b || (a.ends_with('*') && b.starts_with(&a_stem)) || (b.ends_with('*') && a.starts_with(&b_stem))
    };
    let either = |a: &str, b: &str, fits: fn(&str, &str) -> bool| fits(a, b) || fits(b, a);
    one.events.iter().any(|event| other.events.iter().any(|another| same(event, another)))
        && either(&one.prefix, &other.prefix, |a, b| a.starts_with(b))
        && either(&one.suffix, &other.suffix, |a, b| a.ends_with(b))
}

fn show(element: &str, one: &Notification) -> String {
    let target = element.trim_end_matches("Configuration");
    let mut text =
        format!("<{element}><Id>{}</Id><{target}>{}</{target}>", escape(&one.id), escape(&one.target));
    one.events.iter().for_each(|event| text.push_str(&format!("<Event>{event}</Event>")));
    let rules: String = [("Prefix", &one.prefix), ("Suffix", &one.suffix)]
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| {
            format!("<FilterRule><Name>{name}</Name><Value>{}</Value></FilterRule>", escape(value))
        })
        .collect();
    if !rules.is_empty() {
        text.push_str(&format!("<Filter><S3Key>{rules}</S3Key></Filter>"));
    }
    text + &format!("</{element}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(events: &str, filter: &str) -> String {
        format!("<QueueConfiguration><Id>i</Id><Queue>q</Queue>{events}{filter}</QueueConfiguration>")
    }

    fn of(inside: &str) -> Result<Document, &'static str> {
        read(&format!("<NotificationConfiguration>{inside}</NotificationConfiguration>"))
            .map_err(|refused| refused.code)
    }

    #[test]
    fn configurations_are_read_and_shown_again() {
        let filter = |prefix: &str| {
            format!(
                "<Filter><S3Key><FilterRule><Name>Prefix</Name><Value>{prefix}</Value></FilterRule></S3Key></Filter>"
            )
        };
        let (created, removed) =
            ("<Event>s3:ObjectCreated:*</Event>", "<Event>s3:ObjectRemoved:Delete</Event>");
        let one = queue(created, &filter("a/"));
        let read = of(&one).expect("read");
        assert_eq!(show(read[0].0, &read[0].1), one);
        assert!(of(&format!("{one}{}", queue(created, &filter("b/")))).is_ok());
        assert!(of(&format!("{one}{}", queue(removed, &filter("a/")))).is_ok());
        assert_eq!(of(&format!("{one}{}", queue(created, &filter("a/b")))).map(drop), Err("InvalidArgument"));
        assert_eq!(of(&queue("<Event>s3:ObjectTagging:*</Event>", "")).map(drop), Err("NotImplemented"));
        assert_eq!(of(&queue("<Event>s3:Nonsense</Event>", "")).map(drop), Err("InvalidArgument"));
        let topic = one.replace("Queue", "Topic");
        let read = of(&topic).expect("read");
        assert_eq!(show(read[0].0, &read[0].1), topic);
        assert_eq!(of("<EventBridgeConfiguration/>").map(drop), Err("NotImplemented"));
    }
}
