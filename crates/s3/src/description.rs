//! What the headers of a request say about an object beside its bytes, and how that is shown: the headers that are given back
//! as they came, the user's own metadata, tags.

use super::ask::{Ask, set};
use super::refused::Refused;
use super::tagging;
use http::{HeaderName, HeaderValue};
use managed::Description;
use std::collections::BTreeMap;
use wire::Reply;

/// Given back as they came.
const KEPT: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// The headers that say something about an object.
pub(super) const HEADERS: [&str; 5] =
    ["x-amz-meta-", "x-amz-tagging", "x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-acl"];

const METADATA: &str = "x-amz-meta-";

/// Names and values of all metadata, as on AWS.
const METADATA_BYTES_MAX: usize = 2048;

const DEFAULT_TYPE: &str = "binary/octet-stream";

pub(super) fn read(ask: &Ask<'_>) -> Result<Description, Refused> {
    ask.check_acl()?;
    check_class(ask)?;
    let tags = ask.header("x-amz-tagging").map(tagging::of_header).transpose()?.unwrap_or_default();
    let mut headers = BTreeMap::new();
    for name in KEPT {
        let Some(value) = ask.text(name) else { continue };
        let value = if name == "content-encoding" { without_chunks(&value) } else { value };
        if !value.is_empty() {
            headers.insert(name.to_owned(), value);
        }
    }
    headers.entry("content-type".to_owned()).or_insert_with(|| DEFAULT_TYPE.to_owned());
    if let Some(encryption) = encryption(ask)? {
        headers.insert("x-amz-server-side-encryption".to_owned(), encryption);
    }
    let mut metadata: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &ask.parts.headers {
        if let Some(name) = name.as_str().strip_prefix(METADATA) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            metadata
                .entry(name.to_owned())
                .and_modify(|all| *all = format!("{all},{value}"))
                .or_insert(value);
        }
    }
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Refused::new(400, "MetadataTooLarge", message)
            .with("Size", bytes.to_string())
            .with("MaxSizeAllowed", METADATA_BYTES_MAX.to_string()));
    }
    Ok(Description { headers, metadata, tags })
}

fn check_class(ask: &Ask<'_>) -> Result<(), Refused> {
    match ask.header("x-amz-storage-class") {
        None | Some("STANDARD") => Ok(()),
        Some(other) => Err(Refused::unsupported(&format!("The storage class {other}"))),
    }
}

/// Nothing is encrypted here. What S3 does with every object unless told otherwise is accepted and shown; keys of others are
/// refused.
fn encryption(ask: &Ask<'_>) -> Result<Option<String>, Refused> {
    match ask.header("x-amz-server-side-encryption") {
        None => Ok(None),
        Some("AES256") => Ok(Some("AES256".to_owned())),
        Some(other) => Err(Refused::unsupported(&format!("Encryption with {other}"))),
    }
}

/// Of the encodings, `aws-chunked` is that of the request.
fn without_chunks(value: &str) -> String {
    let others: Vec<&str> = value.split(',').map(str::trim).filter(|one| *one != "aws-chunked").collect();
    others.join(",")
}

/// Shows what was said of an object.
pub(super) fn show(reply: &mut Reply, description: &Description) {
    let metadata = description.metadata.iter().map(|(name, value)| (format!("{METADATA}{name}"), value));
    let kept = description.headers.iter().map(|(name, value)| (name.clone(), value));
    for (name, value) in kept.chain(metadata) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes()))
        {
            reply.headers_mut().insert(name, value);
        }
    }
    if !description.tags.is_empty() {
        set(reply, "x-amz-tagging-count", &description.tags.len().to_string());
    }
}
