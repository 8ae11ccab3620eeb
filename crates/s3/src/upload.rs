//! Multipart uploads as a whole: `CreateMultipartUpload`, `CompleteMultipartUpload`, `AbortMultipartUpload`,
//! `ListMultipartUploads`.

use super::ask::{Ask, set};
use super::list::Page;
use super::put::{of, show_expiry, show_version};
use super::refused::Refused;
use super::{Answer, checksum, condition, description, xml};
use managed::{Algorithm, Chosen, Complete, ObjectError, Upload, UploadsListed};
use wire::reply;

/// Parts of one upload, as on AWS.
pub(super) const PARTS_MAX: u32 = 10_000;

pub(super) async fn create(ask: &Ask<'_>) -> Answer {
    ask.only(&[&description::HEADERS[..], &["x-amz-checksum-algorithm", "x-amz-checksum-type"]].concat())?;
    let bucket = ask.bucket()?;
    let description = description::read(ask)?;
    let asked = ask.header("x-amz-checksum-algorithm").map(checksum::read_word).transpose()?;
    let algorithm = asked.unwrap_or(Algorithm::Crc64Nvme);
    let whole = match ask.header("x-amz-checksum-type") {
        None => algorithm == Algorithm::Crc64Nvme,
        Some("FULL_OBJECT") if algorithm.combines() => true,
        Some("COMPOSITE") if algorithm != Algorithm::Crc64Nvme => false,
        Some(other) => {
            return Err(Refused::request(format!(
                "The {other} checksum type cannot be used with the {} checksum algorithm.",
                checksum::word(algorithm).to_ascii_lowercase()
            )));
        }
    };
    let upload = Upload { created_ms: 0, algorithm, asked: asked.is_some(), whole, description };
    let id = ask.buckets().begin(&bucket, &ask.key, upload).await.map_err(|error| of(ask, error))?;
    let mut writer = xml::Writer::new("InitiateMultipartUploadResult");
    writer.put("Bucket", &ask.name).put("Key", &ask.key).put("UploadId", id);
    let mut reply = writer.end("InitiateMultipartUploadResult");
    if let Some(asked) = asked {
        set(&mut reply, "x-amz-checksum-algorithm", checksum::word(asked));
        set(&mut reply, "x-amz-checksum-type", checksum::type_of(whole));
    }
    Ok(reply)
}

pub(super) fn id<'a>(ask: &'a Ask<'_>) -> &'a str {
    ask.parameter("uploadId").unwrap_or_default()
}

pub(super) async fn abort(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let bucket = ask.bucket()?;
    ask.buckets().abort(&bucket, &ask.key, id(ask)).await.map_err(|error| of(ask, error))?;
    Ok(reply::nothing())
}

pub(super) async fn complete(ask: &Ask<'_>, document: &str) -> Answer {
    ask.only(&[&checksum::HEADERS[..5], &["x-amz-checksum-type", "x-amz-mp-object-size"]].concat())?;
    let bucket = ask.bucket()?;
    let done = match ask.buckets().upload(&bucket, &ask.key, id(ask)).await {
        Ok(upload) => {
            let complete = read(ask, &upload, document)?;
            ask.buckets().complete(&bucket, &ask.key, id(ask), complete).await
        }
        Err(error) => Err(error),
    };
    let done = match done {
        // A client that did not hear of it, or a second one at the same time: AWS says again what was done.
        Err(ObjectError::NoUpload) => {
            let parts = chosen(document, Algorithm::Crc64Nvme)?;
            ask.buckets().completed(&bucket, &ask.key, id(ask), &parts).await
        }
        done => done,
    };
    let version = done.map_err(|error| of(ask, error))?;
    let mut writer = xml::Writer::new("CompleteMultipartUploadResult");
    let location = format!("{}/{}/{}", ask.s3.config.endpoint, ask.name, xml::encode(&ask.key));
    writer.put("Location", location).put("Bucket", &ask.name).put("Key", &ask.key);
    writer.put("ETag", format!("\"{}\"", version.etag));
    if let Some(checksum) = &version.checksum {
        writer.put(checksum::element(checksum.algorithm), &checksum.value);
        writer.put("ChecksumType", checksum::type_of(checksum.whole));
    }
    let mut reply = writer.end("CompleteMultipartUploadResult");
    show_version(&bucket, &version, &mut reply);
    show_expiry(ask, &bucket, &version, &mut reply);
    Ok(reply)
}

fn read(ask: &Ask<'_>, upload: &Upload, document: &str) -> Result<Complete, Refused> {
    if ask.header("x-amz-checksum-type").is_some_and(|said| said != checksum::type_of(upload.whole)) {
        return Err(Refused::request("The checksum type is not the one that the upload was created with."));
    }
    Ok(Complete {
        parts: chosen(document, upload.algorithm)?,
        checksum: said_sum(ask, upload.algorithm)?,
        size: said_size(ask)?,
        condition: condition::of_write(ask)?,
        cause: ask.cause(),
    })
}

fn said_size(ask: &Ask<'_>) -> Result<Option<u64>, Refused> {
    let Some(text) = ask.header("x-amz-mp-object-size") else { return Ok(None) };
    let refuse = || Refused::argument("x-amz-mp-object-size", text, "It must be a number of bytes.");
    text.parse().map(Some).map_err(|_| refuse())
}

/// The checksum of the whole object, if the request names one.
fn said_sum(ask: &Ask<'_>, algorithm: Algorithm) -> Result<Option<String>, Refused> {
    let named = checksum::HEADERS[..5].iter().find_map(|name| Some((*name, ask.header(name)?)));
    match named {
        None => Ok(None),
        Some((name, value)) if name == checksum::header(algorithm) => Ok(Some(value.to_owned())),
        Some((name, _)) => Err(Refused::request(format!(
            "{name} is not the checksum that the upload was created with, which is {}.",
            checksum::word(algorithm)
        ))),
    }
}

fn chosen(document: &str, algorithm: Algorithm) -> Result<Vec<Chosen>, Refused> {
    let document = xml::read(document, "CompleteMultipartUpload")?;
    let mut parts: Vec<Chosen> = Vec::new();
    for part in xml::all(document.root_element(), "Part") {
        let number = xml::number(part, "PartNumber")?.ok_or_else(Refused::malformed)?;
        if parts.last().is_some_and(|last| last.number >= number) {
            let message =
                "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(Refused::new(400, "InvalidPartOrder", message));
        }
        let etag = condition::unquote(xml::required(part, "ETag")?).to_owned();
        let checksum = xml::text(part, checksum::element(algorithm)).map(str::to_owned);
        parts.push(Chosen { number, etag, checksum });
    }
    if parts.is_empty() || parts.len() > PARTS_MAX as usize {
        return Err(Refused::malformed());
    }
    Ok(parts)
}

pub(super) async fn list(ask: &Ask<'_>) -> Answer {
    ask.only(&[])?;
    let mut page = Page::read(ask, "max-uploads")?;
    let marker = ask.parameter("key-marker").unwrap_or_default();
    page.listing.after = marker.to_owned();
    // Without a key it says nothing.
    let id = ask.parameter("upload-id-marker").filter(|_| !marker.is_empty());
    page.listing.after_id = id.unwrap_or_default().to_owned();
    let bucket = ask.bucket()?;
    let listed = match page.listing.max {
        0 => UploadsListed::default(),
        _ => ask.buckets().list_uploads(&bucket, &page.listing).await?,
    };
    let mut writer = xml::Writer::new("ListMultipartUploadsResult");
    writer
        .put("Bucket", &ask.name)
        .put("KeyMarker", page.key(marker))
        .put("UploadIdMarker", id.unwrap_or_default());
    if let Some((key, id)) = &listed.next {
        writer.put("NextKeyMarker", page.key(key)).put("NextUploadIdMarker", id);
    }
    writer.put("Prefix", page.key(&page.listing.prefix));
    if !page.listing.delimiter.is_empty() {
        writer.put("Delimiter", page.key(&page.listing.delimiter));
    }
    writer.put_some("EncodingType", page.url.then_some("url"));
    writer
        .put("MaxUploads", page.listing.max.to_string())
        .put("IsTruncated", listed.next.is_some().to_string());
    for (key, id, upload) in &listed.uploads {
        writer.inside("Upload", |writer| {
            writer
                .put("Key", page.key(key))
                .put("UploadId", id)
                .put("Initiated", xml::time(upload.created_ms));
            show_owners(ask, writer);
            if upload.asked {
                writer.put("ChecksumAlgorithm", checksum::word(upload.algorithm));
                writer.put("ChecksumType", checksum::type_of(upload.whole));
            }
        });
    }
    page.prefixes(&mut writer, &listed.prefixes);
    Ok(writer.end("ListMultipartUploadsResult"))
}

/// Whose it is, which is always the same.
pub(super) fn show_owners(ask: &Ask<'_>, writer: &mut xml::Writer) {
    for whose in ["Initiator", "Owner"] {
        writer.inside(whose, |writer| {
            writer.put("ID", ask.owner());
        });
    }
    writer.put("StorageClass", "STANDARD");
}
