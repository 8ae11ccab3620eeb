//! Parts of multipart uploads: `UploadPart`, `UploadPartCopy`, `ListParts`.

use super::ask::{Ask, set};
use super::body::Incoming;
use super::checksum::{self, Expected};
use super::copy::{self, Source};
use super::get::range;
use super::put::{of, receive, reserve};
use super::refused::Refused;
use super::upload::{PARTS_MAX, id, show_owners};
use super::{Answer, OBJECT_BYTES_MAX, UPLOAD_BYTES, xml};
use http::header;
use wire::{Share, reply};

fn number(ask: &Ask<'_>) -> Result<u32, Refused> {
    let text = ask.parameter("partNumber").unwrap_or_default();
    text.parse().ok().filter(|number| (1..=PARTS_MAX).contains(number)).ok_or_else(|| {
        let message = format!("Part number must be an integer between 1 and {PARTS_MAX}, inclusive");
        Refused::argument("partNumber", text, message)
    })
}

pub(super) async fn put(ask: &Ask<'_>, incoming: &mut Incoming, share: &mut Share) -> Answer {
    ask.only(&checksum::HEADERS)?;
    let number = number(ask)?;
    let bucket = ask.bucket()?;
    let upload = ask.buckets().upload(&bucket, &ask.key, id(ask)).await.map_err(|error| of(ask, error))?;
    let expected = Expected::read(ask)?;
    if let Some(named) = expected.named().filter(|named| upload.asked && *named != upload.algorithm) {
        return Err(Refused::request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            checksum::word(upload.algorithm).to_ascii_lowercase(),
            checksum::word(named).to_ascii_lowercase()
        )));
    }
    let written = receive(ask, incoming, share, &expected, upload.algorithm).await?;
    let shown = expected.named().and_then(|named| Some((named, written.sums.others.get(&named)?.clone())));
    let done = ask.buckets().put_part(&bucket, &ask.key, id(ask), number, written).await;
    let part = done.map_err(|error| of(ask, error))?;
    let mut reply = reply::raw(200, "application/xml", "");
    reply.headers_mut().remove(header::CONTENT_TYPE);
    set(&mut reply, "etag", &format!("\"{}\"", part.etag));
    let own = || upload.asked.then(|| (upload.algorithm, part.checksum.clone()));
    if let Some((algorithm, value)) = shown.or_else(own) {
        set(&mut reply, checksum::header(algorithm), &value);
    }
    Ok(reply)
}

pub(super) async fn copy(ask: &Ask<'_>, share: &mut Share) -> Answer {
    ask.only(&copy::HEADERS)?;
    let number = number(ask)?;
    let bucket = ask.bucket()?;
    let upload = ask.buckets().upload(&bucket, &ask.key, id(ask)).await.map_err(|error| of(ask, error))?;
    let source = Source::find(ask).await?;
    let size = source.found.version.size;
    let some = match ask.header("x-amz-copy-source-range") {
        Some(text) => range::of_copy(text, size)?,
        None => (0, size),
    };
    if some.1 > OBJECT_BYTES_MAX {
        return Err(Refused::too_large());
    }
    reserve(share, UPLOAD_BYTES)?;
    let copied = ask.buckets().copy(&source.bucket, &source.key, &source.found, some, upload.algorithm);
    let written = copied.await.map_err(|error| of(ask, error))?;
    let done = ask.buckets().put_part(&bucket, &ask.key, id(ask), number, written).await;
    let part = done.map_err(|error| of(ask, error))?;
    let mut writer = xml::Writer::new("CopyPartResult");
    writer.put("ETag", format!("\"{}\"", part.etag)).put("LastModified", xml::time(part.modified_ms));
    if upload.asked {
        writer.put(checksum::element(upload.algorithm), &part.checksum);
    }
    let mut reply = writer.end("CopyPartResult");
    source.show(&mut reply);
    Ok(reply)
}

pub(super) async fn list(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let bucket = ask.bucket()?;
    let upload = ask.buckets().upload(&bucket, &ask.key, id(ask)).await.map_err(|error| of(ask, error))?;
    let max = ask.max("max-parts")?;
    let after = ask.number("part-number-marker", 0, i32::MAX as u32)?.unwrap_or(0);
    let (parts, more) = ask.buckets().parts(id(ask), after, max).await?;
    let mut writer = xml::Writer::new("ListPartsResult");
    writer.put("Bucket", &ask.name).put("Key", &ask.key).put("UploadId", id(ask));
    show_owners(ask, &mut writer);
    writer.put("PartNumberMarker", after.to_string());
    writer.put("NextPartNumberMarker", parts.last().map_or(after, |(number, _)| *number).to_string());
    writer.put("MaxParts", max.to_string()).put("IsTruncated", (more && max > 0).to_string());
    if upload.asked {
        writer.put("ChecksumAlgorithm", checksum::word(upload.algorithm));
        writer.put("ChecksumType", checksum::type_of(upload.whole));
    }
    for (number, part) in &parts {
        writer.inside("Part", |writer| {
            writer.put("PartNumber", number.to_string()).put("LastModified", xml::time(part.modified_ms));
            writer.put("ETag", format!("\"{}\"", part.etag)).put("Size", part.size.to_string());
            if upload.asked {
                writer.put(checksum::element(upload.algorithm), &part.checksum);
            }
        });
    }
    Ok(writer.end("ListPartsResult"))
}
