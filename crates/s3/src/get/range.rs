//! Which bytes of an object a request is about: `Range` (RFC 9110 section 14), or the number of a part.

use crate::ask::Ask;
use crate::refused::Refused;
use managed::Found;

/// A run of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: u64,
    pub(crate) size: u64,
    pub(super) partial: bool,
    pub(super) part: Option<u32>,
}

impl Range {
    pub(super) fn read(ask: &Ask<'_>, found: &Found) -> Result<Range, Refused> {
        let size = found.version.size;
        let whole = Range { from: 0, size, partial: false, part: None };
        let part = ask.number("partNumber", 1, 10_000)?;
        match (ask.header("range"), part) {
            (Some(_), Some(_)) => {
                Err(Refused::request("Cannot specify both Range header and partNumber query parameter"))
            }
            (None, None) => Ok(whole),
            (Some(text), None) => match plan(text, size) {
                Plan::Whole => Ok(whole),
                Plan::Some(from, size) => Ok(Range { from, size, partial: true, part: None }),
                Plan::Nothing => {
                    let refused = Refused::new(416, "InvalidRange", "The requested range is not satisfiable");
                    let refused =
                        refused.with("RangeRequested", text).with("ActualObjectSize", size.to_string());
                    Err(refused.header("content-range", format!("bytes */{size}")))
                }
            },
            // An object that was not put together is its only part.
            (None, Some(1)) if found.version.pieces.is_empty() => {
                Ok(Range { partial: size > 0, part, ..whole })
            }
            (None, Some(number)) => match found.part(number) {
                Some((from, piece)) => Ok(Range { from, size: piece.size, partial: true, part }),
                None => {
                    Err(Refused::new(416, "InvalidPartNumber", "The requested partnumber is not satisfiable")
                        .with("PartNumberRequested", number.to_string())
                        .with("ActualPartCount", found.version.pieces.len().max(1).to_string()))
                }
            },
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Whole,
    Some(u64, u64),
    Nothing,
}

/// What cannot be understood, and several ranges at once, means the whole.
fn plan(text: &str, size: u64) -> Plan {
    let Some((first, last)) =
        text.trim().strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Plan::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, end) = match (number(first), number(last)) {
        (None, Some(last)) if first.trim().is_empty() => (size.saturating_sub(last), size),
        (Some(first), None) if last.trim().is_empty() => (first, size),
        (Some(first), Some(last)) if first <= last => (first, size.min(last.saturating_add(1))),
        _ => return Plan::Whole,
    };
    if from >= end { Plan::Nothing } else { Plan::Some(from, end - from) }
}

/// The bytes that are copied into a part: `bytes=FIRST-LAST`, and nothing else.
pub(crate) fn of_copy(text: &str, size: u64) -> Result<(u64, u64), Refused> {
    let refuse = || {
        Refused::argument(
            "x-amz-copy-source-range",
            text,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy",
        )
    };
    let (first, last) =
        text.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(refuse)?;
    let (first, last): (u64, u64) =
        (first.parse().map_err(|_| refuse())?, last.parse().map_err(|_| refuse())?);
    if first > last {
        return Err(refuse());
    }
    if last >= size {
        return Err(Refused::request(format!(
            "Range specified is not valid for source object of size: {size}"
        )));
    }
    Ok((first, last - first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(plan("bytes=0-4", 10), Plan::Some(0, 5));
        assert_eq!(plan("bytes=5-", 10), Plan::Some(5, 5));
        assert_eq!(plan("bytes=-3", 10), Plan::Some(7, 3));
        assert_eq!(plan("bytes=-30", 10), Plan::Some(0, 10));
        assert_eq!(plan("bytes=9-99", 10), Plan::Some(9, 1));
        for nothing in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(plan(nothing, 10), Plan::Nothing, "{nothing}");
        }
        for whole in ["bytes=5-4", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=-"] {
            assert_eq!(plan(whole, 10), Plan::Whole, "{whole}");
        }
        assert_eq!(of_copy("bytes=1-3", 10), Ok((1, 3)));
        assert!(of_copy("bytes=1-10", 10).is_err() && of_copy("bytes=-3", 10).is_err());
    }
}
