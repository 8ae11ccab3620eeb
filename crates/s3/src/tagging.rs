//! Tags of objects, and how tags of anything are read and written.

use super::ask::{Ask, set};
use super::put::of;
use super::refused::Refused;
use super::{Answer, checksum, get, xml};
use managed::{NULL_VERSION, ObjectVersion};
use roxmltree::Node;
use std::collections::BTreeMap;
use wire::{Reply, parameters, reply};

/// Of an object; a bucket has five times as many. Both as on AWS.
const OBJECT_TAGS_MAX: usize = 10;
const BUCKET_TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

type Tags = BTreeMap<String, String>;

fn invalid(message: &str) -> Refused {
    Refused::new(400, "InvalidTag", message)
}

fn check(tags: Vec<(String, String)>, max: usize) -> Result<Tags, Refused> {
    if tags.len() > max {
        let message = format!("Object tags cannot be greater than {max}");
        return Err(Refused::new(
            400,
            if max == OBJECT_TAGS_MAX { "BadRequest" } else { "InvalidTag" },
            message,
        ));
    }
    let mut checked = Tags::new();
    for (key, value) in tags {
        let letters =
            |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c));
        if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || !letters(&key) {
            return Err(invalid("The TagKey you have provided is invalid").with("TagKey", key));
        }
        if value.chars().count() > VALUE_CHARS_MAX || !letters(&value) {
            return Err(invalid("The TagValue you have provided is invalid").with("TagValue", value));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("System tags cannot be added/updated by requester"));
        }
        if checked.insert(key, value).is_some() {
            return Err(invalid("Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(checked)
}

/// `x-amz-tagging`, which is written as a query.
pub(super) fn of_header(text: &str) -> Result<Tags, Refused> {
    check(parameters(text), OBJECT_TAGS_MAX)
}

/// The `Tag` elements in an element.
pub(super) fn of_element(set: Node<'_, '_>, max: usize) -> Result<Tags, Refused> {
    let mut tags = Vec::new();
    for tag in xml::all(set, "Tag") {
        tags.push((xml::required(tag, "Key")?.to_owned(), xml::required(tag, "Value")?.to_owned()));
    }
    check(tags, max)
}

fn of_document(document: &str, max: usize) -> Result<Tags, Refused> {
    let document = xml::read(document, "Tagging")?;
    of_element(xml::child(document.root_element(), "TagSet").ok_or_else(Refused::malformed)?, max)
}

pub(super) fn of_bucket(document: &str) -> Result<Tags, Refused> {
    of_document(document, BUCKET_TAGS_MAX)
}

pub(super) fn of_new_bucket(tags: Node<'_, '_>) -> Result<Tags, Refused> {
    of_element(tags, BUCKET_TAGS_MAX)
}

pub(super) fn show(tags: &Tags) -> Reply {
    let mut writer = xml::Writer::new("Tagging");
    writer.inside("TagSet", |writer| {
        for (key, value) in tags {
            writer.inside("Tag", |writer| {
                writer.put("Key", key).put("Value", value);
            });
        }
    });
    writer.end("Tagging")
}

pub(super) async fn get_object(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let bucket = ask.bucket()?;
    let found = get::find(ask, &bucket, &ask.key, ask.version()?).await?;
    let mut reply = show(&found.version.description.tags);
    show_version(&found.version, &mut reply);
    Ok(reply)
}

pub(super) async fn put_object(ask: &Ask<'_>, document: &str) -> Answer {
    ask.only(&checksum::HEADERS)?;
    change(ask, of_document(document, OBJECT_TAGS_MAX)?, 200).await
}

pub(super) async fn delete_object(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    change(ask, Tags::new(), 204).await
}

async fn change(ask: &Ask<'_>, tags: Tags, status: u16) -> Answer {
    let bucket = ask.bucket()?;
    // What is no object has no tags, in the words of an object that is not there.
    get::find(ask, &bucket, &ask.key, ask.version()?).await?;
    let done =
        ask.buckets().describe(&bucket, &ask.key, ask.version()?, |description| description.tags = tags);
    let version = done.await.map_err(|error| of(ask, error))?;
    let mut reply = reply::raw(status, "application/xml", "");
    show_version(&version, &mut reply);
    Ok(reply)
}

fn show_version(version: &ObjectVersion, reply: &mut Reply) {
    if version.id != NULL_VERSION {
        set(reply, "x-amz-version-id", &version.id);
    }
}
