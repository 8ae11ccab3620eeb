//! `GetObject` and `HeadObject`: whole, a range, or a part.

pub(super) mod range;

use super::ask::{Ask, set};
use super::condition;
use super::put::{reserve, show_expiry, show_version};
use super::refused::Refused;
use super::{Answer, authorize, checksum, description, xml};
use futures::stream;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use managed::{Bucket, Checksum, Found, ObjectError, ObjectVersion, Reading};
use range::Range;
use std::sync::Arc;
use wire::{Body, Reply};

/// Headers that a signed request may set as it likes.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];

/// What an object that is being read takes of memory: a block, and what the connection holds.
const READ_BYTES: usize = 1 << 20;

/// How often an object is looked for again that was replaced while it was opened.
const TRIES: u32 = 8;

pub(super) async fn get(ask: &Ask<'_>) -> Answer {
    ask.only(&["x-amz-checksum-mode"])?;
    let bucket = ask.bucket()?;
    for _ in 0..TRIES {
        let found = find(ask, &bucket, &ask.key, ask.version()?).await?;
        condition::check_read(ask, &found.version, "")
            .map_err(|refused| refused.header("last-modified", xml::http_time(found.version.modified_ms)))?;
        let range = Range::read(ask, &found)?;
        if ask.parts.method == Method::HEAD {
            return reply(ask, &bucket, &found, &range, Body::default());
        }
        match ask.buckets().read(&bucket, &ask.key, &found, range.from, range.size).await {
            Ok(reading) => return reply(ask, &bucket, &found, &range, body(ask, reading)?),
            // Replaced in between: the next one is there.
            Err(ObjectError::NoKey) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refused::new(503, "SlowDown", "The object is replaced all the time."))
}

/// An object that is there, or the words for why it is not.
pub(super) async fn find(
    ask: &Ask<'_>,
    bucket: &Arc<Bucket>,
    key: &str,
    id: Option<&str>,
) -> Result<Found, Refused> {
    match ask.buckets().find(bucket, key, id).await {
        Ok(found) if !found.version.marker => Ok(found),
        Ok(found) => {
            let refused = match id {
                None => missing(ask, bucket, key),
                Some(_) => {
                    Refused::method().header("last-modified", xml::http_time(found.version.modified_ms))
                }
            };
            Err(refused.header("x-amz-delete-marker", "true").header("x-amz-version-id", found.version.id))
        }
        Err(ObjectError::NoKey) => Err(missing(ask, bucket, key)),
        Err(ObjectError::NoVersion) => Err(Refused::no_version(key, id.unwrap_or_default())),
        Err(error) => Err(error.into()),
    }
}

/// Who may not list a bucket is not told what is missing in it.
fn missing(ask: &Ask<'_>, bucket: &Bucket, key: &str) -> Refused {
    let listed = authorize::authorize_also(ask, bucket.name(), None, "ListBucket");
    listed.err().unwrap_or_else(|| Refused::no_key(key))
}

/// Streams an object. What that takes of memory is counted until the client has all of it.
fn body(ask: &Ask<'_>, reading: Reading) -> Result<Body, Refused> {
    let mut share = ask.s3.config.bodies.of(ask.parts);
    reserve(&mut share, usize::try_from(reading.size()).unwrap_or(READ_BYTES).min(READ_BYTES))?;
    let frames = stream::unfold((reading, share), |(mut reading, share)| async move {
        let next = reading.next().await?;
        let frame = next.map(Frame::data).map_err(|error| {
            tracing::error!(%error, "an object could not be read");
            Box::new(error) as Box<dyn std::error::Error + Send + Sync>
        });
        Some((frame, (reading, share)))
    });
    Ok(Body::new(StreamBody::new(frames)))
}

fn reply(ask: &Ask<'_>, bucket: &Bucket, found: &Found, range: &Range, body: Body) -> Answer {
    let version = &found.version;
    let mut reply = Reply::new(body);
    description::show(&mut reply, &version.description);
    for (parameter, header) in OVERRIDES {
        let Some(value) = ask.parameter(parameter) else { continue };
        if ask.who.is_none() {
            return Err(Refused::request(
                "Request specific response headers cannot be used for anonymous GET requests.",
            ));
        }
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value = value.map_err(|_| Refused::argument(parameter, "", "It cannot be a header."))?;
        reply.headers_mut().insert(HeaderName::from_static(header), value);
    }
    set(&mut reply, "etag", &format!("\"{}\"", version.etag));
    set(&mut reply, "last-modified", &xml::http_time(version.modified_ms));
    set(&mut reply, "accept-ranges", "bytes");
    set(&mut reply, "content-length", &range.size.to_string());
    show_version(bucket, version, &mut reply);
    show_expiry(ask, bucket, version, &mut reply);
    if range.partial {
        *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
        let end = (range.from + range.size).saturating_sub(1);
        set(&mut reply, "content-range", &format!("bytes {}-{end}/{}", range.from, version.size));
    }
    if range.part.is_some() && !version.pieces.is_empty() {
        set(&mut reply, "x-amz-mp-parts-count", &version.pieces.len().to_string());
    }
    if ask.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")) {
        show_checksum(&mut reply, version, found, range);
    }
    Ok(reply)
}

/// Of a range nothing is known; of a part, if it had a checksum.
fn show_checksum(reply: &mut Reply, version: &ObjectVersion, found: &Found, range: &Range) {
    let Some(whole) = &version.checksum else { return };
    match range.part.and_then(|number| found.part(number)) {
        Some((_, piece)) => {
            let of_part = piece.checksum.clone().map(|value| Checksum { value, ..whole.clone() });
            checksum::show(reply, of_part.as_ref());
        }
        None if range.size == version.size => checksum::show(reply, Some(whole)),
        None => {}
    }
}
