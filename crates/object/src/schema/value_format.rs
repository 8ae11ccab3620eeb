//! The formats of texts that a structural schema may demand.

use crate::{name, time};
use base64::Engine as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A format that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Byte,
    Cidr,
    Date,
    DateTime,
    Duration,
    Email,
    Hostname,
    Int32,
    Int64,
    Ipv4,
    Ipv6,
    Mac,
    Uri,
    Uuid,
}

const NAMES: [(&str, Format); 14] = [
    ("byte", Format::Byte),
    ("cidr", Format::Cidr),
    ("date", Format::Date),
    ("date-time", Format::DateTime),
    ("duration", Format::Duration),
    ("email", Format::Email),
    ("hostname", Format::Hostname),
    ("int32", Format::Int32),
    ("int64", Format::Int64),
    ("ipv4", Format::Ipv4),
    ("ipv6", Format::Ipv6),
    ("mac", Format::Mac),
    ("uri", Format::Uri),
    ("uuid", Format::Uuid),
];

/// Formats that upstream checks and this server does not.
pub const UNCHECKED: [&str; 11] = [
    "bsonobjectid",
    "creditcard",
    "hexcolor",
    "isbn",
    "isbn10",
    "isbn13",
    "rgbcolor",
    "ssn",
    "uuid3",
    "uuid4",
    "uuid5",
];

impl Format {
    /// The format of that name; names that nobody knows demand nothing, as upstream has it.
    pub(crate) fn parse(text: &str) -> Option<Format> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, format)| *format)
    }

    /// Its name in schemas.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// Whether a text has it.
    pub(crate) fn admits(self, text: &str) -> bool {
        match self {
            Format::Byte => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
            Format::Cidr => is_cidr(text),
            Format::Date => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            Format::DateTime => time::parse(text).is_some(),
            Format::Duration => is_duration(text),
            Format::Email => text.split_once('@').is_some_and(|(user, host)| {
                !user.is_empty() && !user.contains(char::is_whitespace) && is_host(host)
            }),
            Format::Hostname => is_host(text),
            Format::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Format::Mac => is_mac(text),
            Format::Uri => is_uri(text),
            Format::Uuid => uuid::Uuid::try_parse(text).is_ok(),
            Format::Int32 | Format::Int64 => true,
        }
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.bytes().all(|c| c.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_host(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    name::is_subdomain(&text)
}

/// Six, eight or twenty bytes in hexadecimal with colons or dashes, as Go's net.ParseMAC takes.
fn is_mac(text: &str) -> bool {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    let byte = |part: &&str| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit());
    matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(byte)
}

/// An absolute URI or path, as Go's url.ParseRequestURI takes.
fn is_uri(text: &str) -> bool {
    let scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c))
    };
    let plain = !text.bytes().any(|c| c <= b' ' || c == 0x7f);
    plain && (text.starts_with('/') || text.split_once(':').is_some_and(|(head, _)| scheme(head)))
}

/// `1h30m`, as Go writes durations, or `3 days`, as go-openapi also takes.
fn is_duration(text: &str) -> bool {
    const GO: [&str; 7] = ["ns", "us", "µs", "ms", "s", "m", "h"];
    const LONG: [&str; 12] =
        ["w", "week", "weeks", "d", "day", "days", "hour", "hours", "minute", "minutes", "second", "seconds"];
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim_end();
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let unit_len = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        if number.parse::<f64>().is_err() || !(GO.contains(&unit) || LONG.contains(&unit)) {
            return false;
        }
        rest = tail.trim_start();
        parts += 1;
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_formats_or_not() {
        for (format, good, bad) in [
            (Format::Cidr, "10.0.0.0/8", "10.0.0.0/33"),
            (Format::Date, "2026-11-30", "2026-13-01"),
            (Format::DateTime, "2026-11-30T10:00:00Z", "2026-11-30"),
            (Format::Duration, "1h30m", "1x"),
            (Format::Duration, "3 days", ""),
            (Format::Email, "a@example.com", "a@"),
            (Format::Hostname, "Example.com", "-a"),
            (Format::Ipv4, "10.0.0.1", "10.0.0"),
            (Format::Ipv6, "::1", "10.0.0.1"),
            (Format::Mac, "01:23:45:67:89:ab", "01:23:45"),
            (Format::Uri, "https://a/b", "a b"),
            (Format::Uuid, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7"),
            (Format::Byte, "aGk=", "a%"),
        ] {
            assert!(format.admits(good), "{format:?} {good}");
            assert!(!format.admits(bad), "{format:?} {bad}");
        }
        assert_eq!(Format::parse(Format::DateTime.name()), Some(Format::DateTime));
    }
}
