//! `ListObjectVersions`.

use super::ask::Ask;
use super::list::{self, Page};
use super::refused::Refused;
use super::{Answer, xml};
use managed::ListedVersions;

pub(super) async fn list(ask: &Ask<'_>) -> Answer {
    ask.only(&["x-amz-optional-object-attributes"])?;
    let mut page = Page::read(ask, "max-keys")?;
    let (marker, id) = (ask.parameter("key-marker"), ask.parameter("version-id-marker"));
    if marker.is_none() && id.is_some_and(|id| !id.is_empty()) {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(Refused::argument("version-id-marker", id.unwrap_or_default(), message));
    }
    page.listing.after = marker.unwrap_or_default().to_owned();
    page.listing.after_id = id.unwrap_or_default().to_owned();
    let bucket = ask.bucket()?;
    let listed = match page.listing.max {
        0 => ListedVersions::default(),
        _ => ask.buckets().list_versions(&bucket, &page.listing).await?,
    };
    let mut writer = page.begin(ask, "ListVersionsResult");
    writer.put("KeyMarker", page.key(&page.listing.after)).put("VersionIdMarker", &page.listing.after_id);
    writer.put("MaxKeys", page.listing.max.to_string()).put("IsTruncated", listed.next.is_some().to_string());
    if let Some((key, id)) = &listed.next {
        writer.put("NextKeyMarker", page.key(key)).put_some("NextVersionIdMarker", id.as_ref());
    }
    for (key, version, newest) in &listed.versions {
        let name = if version.marker { "DeleteMarker" } else { "Version" };
        writer.inside(name, |writer| {
            writer
                .put("Key", page.key(key))
                .put("VersionId", &version.id)
                .put("IsLatest", newest.to_string());
            match version.marker {
                true => {
                    writer.put("LastModified", xml::time(version.modified_ms));
                }
                false => list::object(writer, version),
            }
            writer.inside("Owner", |writer| {
                writer.put("ID", ask.owner());
            });
        });
    }
    page.prefixes(&mut writer, &listed.prefixes);
    Ok(writer.end("ListVersionsResult"))
}
