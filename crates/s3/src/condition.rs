//! `If-Match` and its kin: what must hold of an object before it is read, copied or replaced (RFC 9110 section 13, with what
//! S3 makes of it).

use super::ask::Ask;
use super::refused::Refused;
use super::xml::at;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;
use managed::{Condition, ObjectVersion};

/// Of the object that is read, or that is copied from: `prefix` is empty or `x-amz-copy-source-`.
pub(super) fn check_read(ask: &Ask<'_>, version: &ObjectVersion, prefix: &str) -> Result<(), Refused> {
    let header = |name: &str| ask.header(&format!("{prefix}{name}"));
    let same =
        |tags: &str| tags.split(',').any(|tag| matches!(tag.trim(), "*") || unquote(tag) == version.etag);
    // Times of objects have seconds.
    let modified = at(version.modified_ms).as_second();
    let changed_after = |text: &str| time(text).map(|time| modified > time);
    let copy = !prefix.is_empty();
    match header("if-match") {
        Some(tags) if !same(tags) => return Err(Refused::precondition("If-Match")),
        // It counts more than the time.
        Some(_) => {}
        None => {
            if header("if-unmodified-since").and_then(changed_after) == Some(true) {
                return Err(Refused::precondition("If-Unmodified-Since"));
            }
        }
    }
    let not_modified = || match copy {
        true => Refused::precondition("If-None-Match"),
        false => {
            Refused::new(304, "NotModified", "Not Modified").header("etag", format!("\"{}\"", version.etag))
        }
    };
    match header("if-none-match") {
        Some(tags) if same(tags) => Err(not_modified()),
        Some(_) => Ok(()),
        None if header("if-modified-since").and_then(changed_after) == Some(false) => Err(not_modified()),
        None => Ok(()),
    }
}

/// Of the object that is replaced or deleted.
pub(super) fn of_write(ask: &Ask<'_>) -> Result<Condition, Refused> {
    match (ask.header("if-match"), ask.header("if-none-match")) {
        (None, None) => Ok(Condition::Any),
        (None, Some("*")) => Ok(Condition::Absent),
        (None, Some(_)) => Err(Refused::unsupported_header("If-None-Match other than *")),
        (Some(etag), None) => Ok(Condition::Matches(unquote(etag).to_owned())),
        (Some(_), Some(_)) => Err(Refused::unsupported_header("If-Match with If-None-Match")),
    }
}

pub(super) fn unquote(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

/// A time of HTTP, or one of ISO 8601, which S3 reads too; one that is neither is as good as none.
pub(super) fn time(text: &str) -> Option<i64> {
    let of_mail = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok();
    let of_iso = || text.parse::<jiff::Timestamp>().ok();
    let of_day = || Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    of_mail.or_else(of_iso).or_else(of_day).map(|time| time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_kinds() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z", "1994-11-06T08:49:37"] {
            assert_eq!(time(text), Some(784_111_777), "{text}");
        }
        assert_eq!(time("yesterday"), None);
        assert_eq!([unquote("\"a\""), unquote("a"), unquote(" W/\"a\"")], ["a", "a", "a"]);
    }
}
