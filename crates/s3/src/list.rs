//! `ListObjects` and `ListObjectsV2`.

use super::ask::Ask;
use super::refused::Refused;
use super::{Answer, checksum, xml};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use managed::{Listed, Listing, ObjectVersion};

/// What both have in common, of what a request asks for.
pub(super) struct Page {
    pub(super) listing: Listing,
    /// Whether keys are shown as they stand in addresses.
    pub(super) url: bool,
}

impl Page {
    pub(super) fn read(ask: &Ask<'_>, max: &str) -> Result<Page, Refused> {
        let text = |name: &str| ask.parameter(name).unwrap_or_default().to_owned();
        let url = match ask.parameter("encoding-type") {
            None | Some("") => false,
            Some("url") => true,
            Some(other) => {
                return Err(Refused::argument(
                    "encoding-type",
                    other,
                    "Invalid Encoding Method specified in Request",
                ));
            }
        };
        let (prefix, delimiter, max) = (text("prefix"), text("delimiter"), ask.max(max)?);
        if prefix.contains('\0') {
            return Err(Refused::argument("prefix", "", "A prefix cannot have the character NUL in it."));
        }
        Ok(Page { listing: Listing { prefix, delimiter, max, ..Listing::default() }, url })
    }

    pub(super) fn key(&self, key: &str) -> String {
        if self.url { xml::encode(key) } else { key.to_owned() }
    }

    /// What every page says of the request.
    pub(super) fn begin(&self, ask: &Ask<'_>, root: &str) -> xml::Writer {
        let mut writer = xml::Writer::new(root);
        writer.put("Name", &ask.name).put("Prefix", self.key(&self.listing.prefix));
        if !self.listing.delimiter.is_empty() {
            writer.put("Delimiter", self.key(&self.listing.delimiter));
        }
        if self.url {
            writer.put("EncodingType", "url");
        }
        writer
    }

    pub(super) fn prefixes(&self, writer: &mut xml::Writer, prefixes: &[String]) {
        for prefix in prefixes {
            writer.inside("CommonPrefixes", |writer| {
                writer.put("Prefix", self.key(prefix));
            });
        }
    }
}

async fn page(ask: &Ask<'_>, listing: &Listing) -> Result<Listed, Refused> {
    ask.only(&["x-amz-optional-object-attributes"])?;
    let bucket = ask.bucket()?;
    // Nothing at all is asked for.
    if listing.max == 0 {
        return Ok(Listed::default());
    }
    Ok(ask.buckets().list(&bucket, listing).await?)
}

pub(super) async fn first(ask: &Ask<'_>) -> Answer {
    let mut page = Page::read(ask, "max-keys")?;
    let marker = ask.parameter("marker").unwrap_or_default().to_owned();
    page.listing.after.clone_from(&marker);
    let listed = self::page(ask, &page.listing).await?;
    let mut writer = page.begin(ask, "ListBucketResult");
    writer.put("Marker", page.key(&marker)).put("MaxKeys", page.listing.max.to_string());
    writer.put("IsTruncated", listed.next.is_some().to_string());
    // Without a delimiter the last key says as much.
    if let Some(next) = listed.next.as_ref().filter(|_| !page.listing.delimiter.is_empty()) {
        writer.put("NextMarker", page.key(next));
    }
    contents(ask, &mut writer, &page, &listed, true);
    Ok(writer.end("ListBucketResult"))
}

pub(super) async fn second(ask: &Ask<'_>) -> Answer {
    let mut page = Page::read(ask, "max-keys")?;
    let start = ask.parameter("start-after").unwrap_or_default().to_owned();
    page.listing.after = match ask.parameter("continuation-token") {
        Some(token) => {
            let decoded = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
            let decoded =
                decoded.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|key| !key.is_empty());
            let message = "The continuation token provided is incorrect";
            decoded.ok_or_else(|| Refused::argument("continuation-token", token, message))?
        }
        None => start.clone(),
    };
    let listed = self::page(ask, &page.listing).await?;
    let mut writer = page.begin(ask, "ListBucketResult");
    writer.put("MaxKeys", page.listing.max.to_string());
    writer.put("KeyCount", (listed.objects.len() + listed.prefixes.len()).to_string());
    writer.put("IsTruncated", listed.next.is_some().to_string());
    writer.put_some("ContinuationToken", ask.parameter("continuation-token"));
    if !start.is_empty() {
        writer.put("StartAfter", page.key(&start));
    }
    writer.put_some(
        "NextContinuationToken",
        listed.next.as_ref().map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
    );
    contents(ask, &mut writer, &page, &listed, ask.parameter("fetch-owner") == Some("true"));
    Ok(writer.end("ListBucketResult"))
}

fn contents(ask: &Ask<'_>, writer: &mut xml::Writer, page: &Page, listed: &Listed, owner: bool) {
    for (key, version) in &listed.objects {
        writer.inside("Contents", |writer| {
            writer.put("Key", page.key(key));
            object(writer, version);
            if owner {
                writer.inside("Owner", |writer| {
                    writer.put("ID", ask.owner());
                });
            }
        });
    }
    page.prefixes(writer, &listed.prefixes);
}

/// What lists say of an object.
pub(super) fn object(writer: &mut xml::Writer, version: &ObjectVersion) {
    writer.put("LastModified", xml::time(version.modified_ms)).put("ETag", format!("\"{}\"", version.etag));
    if let Some(checksum) = &version.checksum {
        writer.put("ChecksumAlgorithm", checksum::word(checksum.algorithm));
        writer.put("ChecksumType", checksum::type_of(checksum.whole));
    }
    writer.put("Size", version.size.to_string()).put("StorageClass", "STANDARD");
}
