//! One line of a log file: `2026-01-01T00:00:00.000Z [STREAM] text`. A text with line ends in it, which only clients can
//! put, is written with `]+ ` and escapes. Pure.

use super::StreamFilter;
use jiff::Timestamp;

/// How many letters of an instance's id `dory logs` shows.
const SHORT: usize = 8;

/// A line taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    time: &'a str,
    pub(super) stream: &'a str,
    text: &'a [u8],
    escaped: bool,
}

pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A time in words, kept for the lines of the same millisecond: to spell it takes longer than to write a line.
#[derive(Default)]
pub(super) struct Stamp {
    ms: i64,
    text: String,
}

impl Stamp {
    pub(super) fn of(&mut self, at: Timestamp) -> &str {
        let ms = at.as_millisecond();
        if self.text.is_empty() || self.ms != ms {
            (self.ms, self.text) = (ms, time(at));
        }
        &self.text
    }
}

/// Appends a line. `time` is as [`time`] makes it.
pub(super) fn write(bytes: &mut Vec<u8>, time: &str, stream: &str, text: &[u8]) {
    let escaped = text.contains(&b'\n');
    let close: &[u8] = if escaped { b"]+ " } else { b"] " };
    for part in [time.as_bytes(), b" [", stream.as_bytes(), close] {
        bytes.extend_from_slice(part);
    }
    match escaped {
        false => bytes.extend_from_slice(text),
        true => {
            for &byte in text {
                match byte {
                    b'\n' => bytes.extend_from_slice(b"\\n"),
                    b'\\' => bytes.extend_from_slice(b"\\\\"),
                    other => bytes.push(other),
                }
            }
        }
    }
    bytes.push(b'\n');
}

/// Takes a line apart; `None` for what this room has not written.
pub(super) fn read(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (time, rest) = line.split_at_checked(24)?;
    let rest = rest.strip_prefix(b" [")?;
    // A stream's name has neither `] ` nor `]+ ` in it: an instance's id follows its closing bracket.
    let end = rest.windows(2).position(|pair| pair == b"] " || pair == b"]+")?;
    let escaped = rest[end + 1] == b'+';
    let text = rest.get(end + 2 + usize::from(escaped)..)?;
    let (time, stream) = (std::str::from_utf8(time).ok()?, std::str::from_utf8(&rest[..end]).ok()?);
    Some(Line { time, stream, text, escaped })
}

impl Line<'_> {
    /// Milliseconds since 1970.
    pub(super) fn time_ms(&self) -> Option<i64> {
        self.time.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
    }

    /// The text as it was printed.
    pub(super) fn message(&self) -> String {
        if !self.escaped {
            return String::from_utf8_lossy(self.text).into_owned();
        }
        let mut bytes = Vec::with_capacity(self.text.len());
        let mut rest = self.text.iter();
        while let Some(&byte) = rest.next() {
            match byte {
                b'\\' => bytes.push(if rest.next() == Some(&b'n') { b'\n' } else { b'\\' }),
                other => bytes.push(other),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The line as `dory logs` shows it, a stream that is named by an id by the beginning of that; `None` when its stream is
/// not asked for.
pub(super) fn shown(raw: &[u8], only: Option<&StreamFilter>) -> Option<Vec<u8>> {
    let Some(line) = read(raw) else { return only.is_none().then(|| raw.to_vec()) };
    if only.is_some_and(|only| !only(line.stream)) {
        return None;
    }
    let id = line.stream.trim_end_matches(']').rsplit(['[', ']', '/']).next().unwrap_or(line.stream);
    let short = if is_id(id) { &id[..SHORT] } else { line.stream };
    let text = if line.escaped { line.message().into_bytes() } else { line.text.to_vec() };
    Some([line.time.as_bytes(), b" [", short.as_bytes(), b"] ", &text, b"\n"].concat())
}

fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const TIME: &str = "2026-11-21T12:00:00.123Z";

    fn round(stream: &str, text: &str) -> (String, String) {
        let mut bytes = Vec::new();
        write(&mut bytes, TIME, stream, text.as_bytes());
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let line = read(&bytes).expect("a line");
        assert_eq!(line.time_ms(), Some(1_795_262_400_123));
        (line.stream.to_owned(), line.message())
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let stream = "2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef";
        for text in ["", "one", "] [x] ", "a\nb\\n\n", "\\", "+ é"] {
            assert_eq!(round(stream, text), (stream.to_owned(), text.to_owned()));
        }
        assert_eq!(read(b"2026"), None);
        assert_eq!(read(b"anything that is long enough to have a time"), None);
    }

    #[test]
    fn people_see_a_short_id() {
        let show = |stream: &str, only: Option<&'static str>| {
            let mut bytes = Vec::new();
            write(&mut bytes, TIME, stream, b"text");
            let only = only.map(|part| Arc::new(move |stream: &str| stream.contains(part)) as StreamFilter);
            shown(&bytes, only.as_ref()).map(|line| String::from_utf8(line).expect("text"))
        };
        let id = "0123456789abcdef0123456789abcdef";
        let short = Some(format!("{TIME} [01234567] text\n"));
        assert_eq!(show(&format!("2026/11/21/[$LATEST]{id}"), None), short);
        assert_eq!(show(&format!("2026/11/21/hello[$LATEST][{id}]"), Some("/hello[")), short);
        assert_eq!(show(&format!("2026/11/21/hello[$LATEST][{id}]"), Some("/hell[")), None);
        assert_eq!(show("mine", None), Some(format!("{TIME} [mine] text\n")));
    }
}
