//! One line of a container's log as the container runtime interface defines it:
//! `2026-01-01T00:00:00.000000000Z stdout F text`. Pure.

/// A line, split; `partial` when the container's own line goes on in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a str,
    pub(crate) stderr: bool,
    pub(crate) partial: bool,
    /// Without the final newline.
    pub(crate) text: &'a [u8],
}

impl<'a> Line<'a> {
    /// `None` when it is not in the format, as after a crash in the middle of a write.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (time, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
        let text = parts.next().unwrap_or_default();
        let stderr = match stream {
            b"stdout" => false,
            b"stderr" => true,
            _ => return None,
        };
        let partial = tag.split(|byte| *byte == b':').next() == Some(b"P");
        let time = std::str::from_utf8(time).ok().filter(|time| time.len() >= 20)?;
        Some(Line { time, stderr, partial, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let line = Line::parse(b"2026-01-01T00:00:00.000000001Z stderr P a b  c").expect("a line");
        assert_eq!((line.stderr, line.partial, line.text), (true, true, b"a b  c".as_slice()));
        let empty = Line::parse(b"2026-01-01T00:00:00.000000001Z stdout F ").expect("a line");
        assert_eq!((empty.partial, empty.text), (false, b"".as_slice()));
        for broken in ["", "no", "2026-01-01T00:00:00Z nothing F x", "\0\0\0 stdout F x"] {
            assert_eq!(Line::parse(broken.as_bytes()), None, "{broken}");
        }
    }
}
