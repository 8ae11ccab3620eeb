//! `DeleteObject`, `DeleteObjects`.

use super::ask::{Ask, set};
use super::put::of;
use super::refused::Refused;
use super::{Answer, address, authorize, condition, xml};
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use managed::{Bucket, Condition, Deleted};
use std::sync::Arc;
use wire::reply;

/// Objects in one request, as on AWS.
const OBJECTS_MAX: usize = 1000;

/// So many of them are deleted at the same time.
const AT_ONCE: usize = 32;

pub(super) async fn object(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let bucket = ask.bucket()?;
    let condition = match condition::of_write(ask)? {
        Condition::Absent => return Err(Refused::unsupported_header("If-None-Match")),
        condition => condition,
    };
    let done = ask.buckets().delete_object(&bucket, &ask.key, ask.version()?, &condition, ask.cause()).await;
    let deleted = done.map_err(|error| of(ask, error))?;
    let mut reply = reply::nothing();
    if let Some(id) = &deleted.version_id {
        set(&mut reply, "x-amz-version-id", id);
    }
    if deleted.marker {
        set(&mut reply, "x-amz-delete-marker", "true");
    }
    Ok(reply)
}

struct One {
    key: String,
    version: Option<String>,
    condition: Condition,
}

pub(super) async fn objects(ask: &Ask<'_>, document: &str) -> Answer {
    ask.only(&super::checksum::HEADERS)?;
    let bucket = ask.bucket()?;
    let sums = super::checksum::HEADERS.iter().any(|name| ask.header(name).is_some());
    if !sums && ask.header("x-amz-trailer").is_none() && ask.header("content-md5").is_none() {
        return Err(Refused::request(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    let (quiet, all) = read(document)?;
    // Boxed one by one: what a deletion needs is not needed a thousand times.
    let work: Vec<BoxFuture<'_, _>> =
        all.iter().map(|one| -> BoxFuture<'_, _> { Box::pin(delete(ask, &bucket, one)) }).collect();
    let done: Vec<Result<Deleted, Refused>> = stream::iter(work).buffered(AT_ONCE).collect().await;
    let mut writer = xml::Writer::new("DeleteResult");
    for (one, result) in all.iter().zip(done) {
        match result {
            Ok(_) if quiet => {}
            Ok(deleted) => {
                writer.inside("Deleted", |writer| shown(writer, one, &deleted));
            }
            Err(refused) => {
                writer.inside("Error", |writer| {
                    writer.put("Key", &one.key).put_some("VersionId", one.version.as_ref());
                    writer.put("Code", refused.code).put("Message", &refused.message);
                });
            }
        }
    }
    Ok(writer.end("DeleteResult"))
}

async fn delete(ask: &Ask<'_>, bucket: &Arc<Bucket>, one: &One) -> Result<Deleted, Refused> {
    address::check_key(&one.key)?;
    let action = if one.version.is_some() { "DeleteObjectVersion" } else { "DeleteObject" };
    authorize::authorize_also(ask, bucket.name(), Some(&one.key), action)?;
    let id = one.version.as_deref();
    Ok(ask.buckets().delete_object(bucket, &one.key, id, &one.condition, ask.cause()).await?)
}

fn shown(writer: &mut xml::Writer, one: &One, deleted: &Deleted) {
    writer.put("Key", &one.key).put_some("VersionId", one.version.as_ref());
    if deleted.marker {
        writer.put("DeleteMarker", "true").put_some("DeleteMarkerVersionId", deleted.version_id.as_ref());
    }
}

fn read(document: &str) -> Result<(bool, Vec<One>), Refused> {
    let document = xml::read(document, "Delete")?;
    let root = document.root_element();
    xml::only(root, &["Object", "Quiet"])?;
    let quiet = xml::text(root, "Quiet") == Some("true");
    let mut all = Vec::new();
    for object in xml::all(root, "Object") {
        xml::only(object, &["Key", "VersionId", "ETag"])?;
        let key = xml::required(object, "Key")?;
        if key.is_empty() {
            return Err(Refused::new(
                400,
                "UserKeyMustBeSpecified",
                "The key of an object must not be empty.",
            ));
        }
        let version = xml::text(object, "VersionId").filter(|id| !id.is_empty()).map(str::to_owned);
        let etag = xml::text(object, "ETag").map(|etag| condition::unquote(etag).to_owned());
        let condition = etag.map_or(Condition::Any, Condition::Matches);
        all.push(One { key: key.to_owned(), version, condition });
    }
    match all.len() {
        0 => Err(Refused::malformed()),
        count if count > OBJECTS_MAX => Err(Refused::malformed()),
        _ => Ok((quiet, all)),
    }
}
