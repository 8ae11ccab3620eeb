//! `CopyObject`: an object that is there, as another one.

use super::ask::{Ask, set};
use super::put::{of, reserve, show_written};
use super::refused::Refused;
use super::{
    Answer, OBJECT_BYTES_MAX, UPLOAD_BYTES, address, authorize, checksum, condition, description, get, xml,
};
use http::header;
use managed::{Algorithm, Bucket, Checksum, Condition, Description, Found, NewObject, ObjectVersion};
use percent_encoding::percent_decode_str;
use std::sync::Arc;
use wire::Share;

/// The headers that name what is copied.
pub(super) const HEADERS: [&str; 6] = [
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
];

/// What is copied.
pub(super) struct Source {
    pub(super) bucket: Arc<Bucket>,
    pub(super) key: String,
    pub(super) found: Found,
    /// Whether a version was named.
    version: bool,
}

impl Source {
    pub(super) async fn find(ask: &Ask<'_>) -> Result<Source, Refused> {
        let text = ask.text("x-amz-copy-source").unwrap_or_default();
        let refuse = || {
            Refused::argument(
                "x-amz-copy-source",
                &text,
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            )
        };
        let (path, version) = match text.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (text.as_str(), None),
        };
        if path.starts_with("arn:") {
            return Err(Refused::unsupported("A copy from an access point"));
        }
        let path = percent_decode_str(path).decode_utf8().map_err(|_| refuse())?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (name, key) = path.split_once('/').filter(|(_, key)| !key.is_empty()).ok_or_else(refuse)?;
        address::check_key(key)?;
        let action = if version.is_some() { "GetObjectVersion" } else { "GetObject" };
        authorize::authorize_also(ask, name, Some(key), action)?;
        let bucket = ask.buckets().get(name).ok_or_else(|| Refused::no_bucket(name))?;
        let found = get::find(ask, &bucket, key, version.as_deref()).await?;
        condition::check_read(ask, &found.version, "x-amz-copy-source-")?;
        Ok(Source { bucket, key: key.to_owned(), found, version: version.is_some() })
    }

    /// The id of the version that was copied, where there may be several.
    pub(super) fn show(&self, reply: &mut wire::Reply) {
        if self.version || self.found.version.id != managed::NULL_VERSION {
            set(reply, "x-amz-copy-source-version-id", &self.found.version.id);
        }
    }
}

pub(super) async fn copy(ask: &Ask<'_>, share: &mut Share) -> Answer {
    let own = ["x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-checksum-algorithm"];
    ask.only(&[&description::HEADERS[..], &HEADERS[..5], &own].concat())?;
    let bucket = ask.bucket()?;
    let source = Source::find(ask).await?;
    let version = &source.found.version;
    if version.size > OBJECT_BYTES_MAX {
        return Err(Refused::request(format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {OBJECT_BYTES_MAX}"
        )));
    }
    let condition = condition::of_write(ask)?;
    let description = describe(ask, &source, &bucket)?;
    let asked = ask.header("x-amz-checksum-algorithm").map(checksum::read_word).transpose()?;
    let before = version.checksum.as_ref().map(|checksum| checksum.algorithm);
    let algorithm = asked.or(before).unwrap_or(Algorithm::Crc64Nvme);
    reserve(share, UPLOAD_BYTES)?;
    let copied = ask.buckets().copy(&source.bucket, &source.key, &source.found, (0, version.size), algorithm);
    let written = copied.await.map_err(|error| of(ask, error))?;
    let made = make(ask, &bucket, written, algorithm, description, condition).await?;
    let mut writer = xml::Writer::new("CopyObjectResult");
    writer.put("ETag", format!("\"{}\"", made.etag)).put("LastModified", xml::time(made.modified_ms));
    if let Some(checksum) = &made.checksum {
        writer.put(checksum::element(checksum.algorithm), &checksum.value);
        writer.put("ChecksumType", checksum::type_of(checksum.whole));
    }
    let mut reply = writer.end("CopyObjectResult");
    show_written(ask, &bucket, &made, &mut reply);
    reply.headers_mut().remove(header::ETAG);
    source.show(&mut reply);
    Ok(reply)
}

async fn make(
    ask: &Ask<'_>,
    bucket: &Arc<Bucket>,
    written: managed::Written,
    algorithm: Algorithm,
    description: Description,
    condition: Condition,
) -> Result<ObjectVersion, Refused> {
    let value = written.sums.others.get(&algorithm).cloned();
    let new = NewObject {
        key: ask.key.clone(),
        written,
        checksum: value.map(|value| Checksum { algorithm, value, whole: true }),
        description,
        condition,
        event: "ObjectCreated:Copy",
        cause: ask.cause(),
    };
    ask.buckets().put(bucket, new).await.map_err(|error| of(ask, error))
}

/// What is said of the copy: what was said of the source, or what the request says.
fn describe(ask: &Ask<'_>, source: &Source, bucket: &Arc<Bucket>) -> Result<Description, Refused> {
    let replaces = |header: &str| match ask.header(header) {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => {
            Err(Refused::argument(header, other, "Unknown directive: it must be COPY or REPLACE."))
        }
    };
    let (metadata, tags) = (replaces("x-amz-metadata-directive")?, replaces("x-amz-tagging-directive")?);
    let asked = description::read(ask)?;
    let before = &source.found.version.description;
    let same = Arc::ptr_eq(&source.bucket, bucket) && source.key == ask.key && !source.version;
    let encrypted = asked.headers.contains_key("x-amz-server-side-encryption");
    let class = ask.header("x-amz-storage-class").is_some();
    if same && !metadata && !tags && !encrypted && !class {
        return Err(Refused::request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
             metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    let mut copied = if metadata { asked.clone() } else { before.clone() };
    copied.tags = if tags { asked.tags } else { before.tags.clone() };
    Ok(copied)
}
