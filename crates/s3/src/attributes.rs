//! `GetObjectAttributes`.

use super::ask::{Ask, set};
use super::put::show_version;
use super::refused::Refused;
use super::{Answer, checksum, condition, get, xml};
use managed::ObjectVersion;

const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

pub(super) async fn get(ask: &Ask<'_>) -> Answer {
    ask.only(&["x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"])?;
    let bucket = ask.bucket()?;
    let mut wanted: Vec<String> = Vec::new();
    for value in ask.parts.headers.get_all("x-amz-object-attributes") {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        wanted.extend(value.split(',').map(|name| name.trim().to_owned()));
    }
    if wanted.is_empty() || wanted.iter().any(|name| !ATTRIBUTES.contains(&name.as_str())) {
        return Err(Refused::argument(
            "x-amz-object-attributes",
            &wanted.join(","),
            "Invalid attribute name specified.",
        ));
    }
    let found = get::find(ask, &bucket, &ask.key, ask.version()?).await?;
    let version = &found.version;
    condition::check_read(ask, version, "")?;
    let asks = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let mut writer = xml::Writer::new("GetObjectAttributesResponse");
    if asks("ETag") {
        writer.put("ETag", &version.etag);
    }
    if let Some(checksum) = version.checksum.as_ref().filter(|_| asks("Checksum")) {
        writer.inside("Checksum", |writer| {
            writer.put(checksum::element(checksum.algorithm), &checksum.value);
            writer.put("ChecksumType", checksum::type_of(checksum.whole));
        });
    }
    if asks("ObjectParts") && !version.pieces.is_empty() {
        parts(ask, &mut writer, version)?;
    }
    if asks("StorageClass") {
        writer.put("StorageClass", "STANDARD");
    }
    if asks("ObjectSize") {
        writer.put("ObjectSize", version.size.to_string());
    }
    let mut reply = writer.end("GetObjectAttributesResponse");
    set(&mut reply, "last-modified", &xml::http_time(version.modified_ms));
    show_version(&bucket, version, &mut reply);
    Ok(reply)
}

fn parts(ask: &Ask<'_>, writer: &mut xml::Writer, version: &ObjectVersion) -> Result<(), Refused> {
    let number = |name: &str| -> Result<Option<usize>, Refused> {
        let refuse = |text: &str| Refused::argument(name, text, "It must be a number.");
        ask.header(name).map(|text| text.parse().map_err(|_| refuse(text))).transpose()
    };
    let max = number("x-amz-max-parts")?.unwrap_or(1000).min(1000);
    let after = number("x-amz-part-number-marker")?.unwrap_or(0);
    let shown: Vec<_> = version.pieces.iter().enumerate().skip(after).take(max).collect();
    let last = shown.last().map_or(after, |(index, _)| index + 1);
    writer.inside("ObjectParts", |writer| {
        writer.put("PartsCount", version.pieces.len().to_string()).put("PartNumberMarker", after.to_string());
        writer.put("NextPartNumberMarker", last.to_string()).put("MaxParts", max.to_string());
        writer.put("IsTruncated", (last < version.pieces.len()).to_string());
        // Parts are shown with their checksums, or not at all, as on AWS.
        for (_, piece) in shown.iter().filter(|(_, piece)| piece.checksum.is_some()) {
            writer.inside("Part", |writer| {
                writer.put("PartNumber", piece.number.to_string()).put("Size", piece.size.to_string());
                if let (Some(whole), Some(value)) = (&version.checksum, &piece.checksum) {
                    writer.put(checksum::element(whole.algorithm), value);
                }
            });
        }
    });
    Ok(())
}
