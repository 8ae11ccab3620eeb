//! Reading a log from where the reader wants it, line by line, into what goes over the wire.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::line::Line;
use super::options::Options;

/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Lines longer than this are not the supervisor's (it splits at 16 KiB): the file is damaged there.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// A log being read.
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    options: Options,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    /// The last line went on: the next one is its continuation.
    inside_line: bool,
    left: Option<u64>,
}

impl Reader {
    /// Opens the log at the first line wanted.
    pub(crate) fn open(path: &Path, options: Options) -> io::Result<Reader> {
        let mut file = File::open(path)?;
        if let Some(lines) = options.tail_lines {
            let from = tail_offset(&mut file, lines)?;
            file.seek(SeekFrom::Start(from))?;
        }
        let left = options.limit_bytes;
        Ok(Reader { path: path.to_owned(), file, options, rest: Vec::new(), inside_line: false, left })
    }

    /// What was written since the last call, up to some size; empty at the end of the file. `None` once the limit is
    /// reached.
    pub(crate) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        while out.is_empty() {
            if self.left == Some(0) {
                return Ok(None);
            }
            let mut chunk = vec![0; CHUNK_BYTES];
            let count = self.file.read(&mut chunk)?;
            if count == 0 {
                if !self.next_file()? {
                    break;
                }
                continue;
            }
            self.rest.extend_from_slice(&chunk[..count]);
            self.take_lines(&mut out);
        }
        Ok(Some(out))
    }

    /// After a rotation the path names a new file; the old one was read to its end.
    fn next_file(&mut self) -> io::Result<bool> {
        let there = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let here = self.file.metadata()?;
        if (there.dev(), there.ino()) == (here.dev(), here.ino()) {
            return Ok(false);
        }
        // Something may have been written between the last read and the rename.
        let mut late = Vec::new();
        self.file.read_to_end(&mut late)?;
        self.rest.extend_from_slice(&late);
        self.file = File::open(&self.path)?;
        Ok(true)
    }

    fn take_lines(&mut self, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.rest);
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => self.add(line, out),
                None if line.len() <= LINE_BYTES_MAX => self.rest = line.to_vec(),
                None => {}
            }
        }
    }

    fn add(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(line) = Line::parse(line) else { return };
        let early = self.options.since.as_deref().is_some_and(|since| line.time < since);
        let other = self.options.stderr_only.is_some_and(|stderr| line.stderr != stderr);
        if early || other {
            return;
        }
        let from = out.len();
        if self.options.timestamps && !self.inside_line {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        if !line.partial {
            out.push(b'\n');
        }
        self.inside_line = line.partial;
        if let Some(left) = &mut self.left {
            let added = u64::try_from(out.len() - from).unwrap_or(u64::MAX);
            if added > *left {
                out.truncate(from + usize::try_from(*left).unwrap_or(usize::MAX));
            }
            *left = left.saturating_sub(added);
        }
    }
}

/// Where the last `lines` lines begin; found from the end, so that a long log costs no more than a short one.
fn tail_offset(file: &mut File, lines: u64) -> io::Result<u64> {
    let size = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(size);
    }
    let (mut end, mut found) = (size, 0);
    while end > 0 {
        let begin = end.saturating_sub(CHUNK_BYTES as u64);
        let mut chunk = vec![0; usize::try_from(end - begin).unwrap_or(CHUNK_BYTES)];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut chunk)?;
        for (index, _) in chunk.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = begin + index as u64 + 1;
            // The newline at the very end closes the last line and begins none.
            if after == size {
                continue;
            }
            found += 1;
            if found == lines {
                return Ok(after);
            }
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
#[path = "read/tests.rs"]
mod tests;
