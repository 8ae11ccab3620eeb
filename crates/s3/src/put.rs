//! `PutObject`, and how the bytes of any upload come to the disk.

use super::ask::{Ask, set, set_some};
use super::body::Incoming;
use super::checksum::{self, Expected};
use super::refused::Refused;
use super::{Answer, OBJECT_BYTES_MAX, UPLOAD_BYTES, condition, description, xml};
use managed::{Algorithm, Bucket, Checksum, NULL_VERSION, NewObject, ObjectVersion, Versioning, Written};
use wire::{Reply, Share, reply};

pub(super) async fn put(ask: &Ask<'_>, incoming: &mut Incoming, share: &mut Share) -> Answer {
    ask.only(&[&description::HEADERS[..], &checksum::HEADERS].concat())?;
    let bucket = ask.bucket()?;
    let condition = condition::of_write(ask)?;
    let description = description::read(ask)?;
    let expected = Expected::read(ask)?;
    let algorithm = expected.named().unwrap_or(Algorithm::Crc64Nvme);
    let written = receive(ask, incoming, share, &expected, algorithm).await?;
    let value = written.sums.others.get(&algorithm).cloned();
    let checksum = value.map(|value| Checksum { algorithm, value, whole: true });
    let new = NewObject {
        key: ask.key.clone(),
        written,
        checksum,
        description,
        condition,
        event: "ObjectCreated:Put",
        cause: ask.cause(),
    };
    let version = ask.buckets().put(&bucket, new).await.map_err(|error| of(ask, error))?;
    let mut reply = reply::raw(200, "application/xml", "");
    reply.headers_mut().remove(http::header::CONTENT_TYPE);
    show_written(ask, &bucket, &version, &mut reply);
    checksum::show(&mut reply, version.checksum.as_ref());
    Ok(reply)
}

/// Errors with the names that are known here.
pub(super) fn of(ask: &Ask<'_>, error: managed::ObjectError) -> Refused {
    let refused = Refused::from(error);
    match refused.code {
        "NoSuchKey" => refused.with("Key", &ask.key),
        "NoSuchBucket" => refused.with("BucketName", &ask.name),
        "NoSuchUpload" => refused.with("UploadId", ask.parameter("uploadId").unwrap_or_default()),
        _ => refused,
    }
}

/// Takes the bytes of a request to the disk, and holds them against what was said of them.
pub(super) async fn receive(
    ask: &Ask<'_>,
    incoming: &mut Incoming,
    share: &mut Share,
    expected: &Expected,
    algorithm: Algorithm,
) -> Result<Written, Refused> {
    let size = incoming.size.ok_or_else(|| {
        Refused::new(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    })?;
    if size > OBJECT_BYTES_MAX {
        return Err(Refused::too_large().with("ProposedSize", size.to_string()));
    }
    reserve(share, UPLOAD_BYTES)?;
    let mut draft = ask.buckets().draft(&expected.algorithms(algorithm, incoming));
    while let Some(bytes) = incoming.next().await? {
        draft.write(bytes).await.map_err(|error| Refused::from(managed::ObjectError::from(error)))?;
    }
    let written = draft.end().await?;
    expected.check(incoming, &written.sums)?;
    Ok(written)
}

/// Room for what an object on its way takes of memory.
pub(super) fn reserve(share: &mut Share, bytes: usize) -> Result<(), Refused> {
    match share.grow(bytes) {
        true => Ok(()),
        false => Err(Refused::new(503, "SlowDown", "Please reduce your request rate.")),
    }
}

/// What every answer says of an object that was just written.
pub(super) fn show_written(ask: &Ask<'_>, bucket: &Bucket, version: &ObjectVersion, reply: &mut Reply) {
    set(reply, "etag", &format!("\"{}\"", version.etag));
    show_version(bucket, version, reply);
    show_expiry(ask, bucket, version, reply);
    let encryption = version.description.headers.get("x-amz-server-side-encryption");
    set_some(reply, "x-amz-server-side-encryption", encryption.map(String::as_str));
}

/// Versions have ids where there may be several.
pub(super) fn show_version(bucket: &Bucket, version: &ObjectVersion, reply: &mut Reply) {
    if bucket.settings().versioning != Versioning::Off || version.id != NULL_VERSION {
        set(reply, "x-amz-version-id", &version.id);
    }
}

/// When a rule of the bucket deletes it.
pub(super) fn show_expiry(ask: &Ask<'_>, bucket: &Bucket, version: &ObjectVersion, reply: &mut Reply) {
    if let Some(expiry) = ask.buckets().expiry(bucket, &ask.key, version) {
        let value = format!(
            "expiry-date=\"{}\", rule-id=\"{}\"",
            xml::http_time(expiry.at_ms),
            xml::encode(&expiry.rule)
        );
        set(reply, "x-amz-expiration", &value);
    }
}
