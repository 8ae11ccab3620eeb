//! Cutting a stream of output into lines. Pure.

/// A longer line is cut: CloudWatch's limit for one event.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// The beginning of a line whose end has not come yet.
#[derive(Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes in output; hands every complete line to `each`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.partial.is_empty() {
                each(line);
            } else {
                self.partial.extend_from_slice(line);
                each(&std::mem::take(&mut self.partial));
            }
            rest = after;
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() >= LINE_BYTES_MAX {
            self.finish(each);
        }
    }

    /// Hands out the last line, which had no end.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            each(&std::mem::take(&mut self.partial));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_end() {
        let mut lines = Lines::default();
        let mut out: Vec<String> = Vec::new();
        let mut keep = |line: &[u8]| out.push(String::from_utf8(line.to_vec()).expect("text"));
        lines.push(b"one\ntw", &mut keep);
        lines.push(b"o\n\nthree", &mut keep);
        lines.finish(&mut keep);
        lines.finish(&mut keep);
        assert_eq!(out, ["one", "two", "", "three"]);
    }
}
