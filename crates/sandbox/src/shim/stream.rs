//! One output of a container, cut into lines on its way to the log.
use super::log::Log;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A line longer than this is logged in parts (containerd's `max_container_log_line_size`).
const LINE_LEN_MAX: usize = 16 << 10;

/// As much as a pipe holds.
const READ_LEN: usize = 64 << 10;

/// Reads in a row before other descriptors get their turn.
const READS_MAX: usize = 16;

/// One output of a container: `stdout` or `stderr`.
#[derive(Debug)]
pub(super) struct Stream {
    name: &'static str,
    fd: OwnedFd,
    rest: Vec<u8>,
    /// Listeners: they get what is read as it is.
    taps: Vec<OwnedFd>,
}

impl Stream {
    /// The reading end must not block.
    pub(super) fn new(name: &'static str, fd: OwnedFd) -> Stream {
        Stream { name, fd, rest: Vec::new(), taps: Vec::new() }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whoever holds the other end hears what is written from now on. The end must not block: a slow listener loses
    /// output, and the container never waits for one.
    pub(super) fn tap(&mut self, end: OwnedFd) {
        self.taps.push(end);
    }

    /// Logs what there is. False once the other end is closed and everything is logged.
    pub(super) fn pump(&mut self, log: &mut Log, buffer: &mut Vec<u8>) -> bool {
        buffer.resize(READ_LEN, 0);
        for _ in 0..READS_MAX {
            match rustix::io::read(&self.fd, buffer.as_mut_slice()) {
                // A terminal whose far end is closed answers EIO.
                Ok(0) | Err(Errno::IO) => {
                    self.finish(log);
                    return false;
                }
                Ok(length) => {
                    let heard = |tap: &OwnedFd| rustix::io::write(tap, &buffer[..length]) != Err(Errno::PIPE);
                    self.taps.retain(heard);
                    self.take(&buffer[..length], log);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// Logs a last line that has no end.
    pub(super) fn finish(&mut self, log: &mut Log) {
        if !self.rest.is_empty() {
            log.line(self.name, false, &self.rest);
            self.rest = Vec::new();
        }
    }

    fn take(&mut self, mut bytes: &[u8], log: &mut Log) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.part(&bytes[..end], log);
            log.line(self.name, true, &self.rest);
            self.rest.clear();
            bytes = &bytes[end + 1..];
        }
        self.part(bytes, log);
    }

    /// Adds to the unfinished line; logs the part that is too long to keep.
    fn part(&mut self, bytes: &[u8], log: &mut Log) {
        for chunk in bytes.chunks(LINE_LEN_MAX) {
            self.rest.extend_from_slice(chunk);
            if self.rest.len() > LINE_LEN_MAX {
                log.line(self.name, false, &self.rest[..LINE_LEN_MAX]);
                self.rest.drain(..LINE_LEN_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn listeners_hear_what_is_written_until_they_leave() {
        use std::io::Read;
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("0.log")).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let mut stream = Stream::new("stdout", reader.into());
        let (mut near, far) = std::io::pipe().unwrap();
        stream.tap(far.into());
        let mut buffer = Vec::new();
        writer.write_all(b"prompt> ").unwrap();
        assert!(stream.pump(&mut log, &mut buffer));
        let mut heard = [0; 8];
        near.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"prompt> ", "before the line has ended");
        drop(near);
        writer.write_all(b"more").unwrap();
        assert!(stream.pump(&mut log, &mut buffer) && stream.taps.is_empty());
    }

    #[test]
    fn lines_parts_and_rests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = Log::open(&path).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let mut stream = Stream::new("stderr", reader.into());
        let mut buffer = Vec::new();
        writer.write_all(b"one\ntw").unwrap();
        assert!(stream.pump(&mut log, &mut buffer));
        writer.write_all(b"o\n\n").unwrap();
        writer.write_all(&vec![b'x'; LINE_LEN_MAX + 5]).unwrap();
        writer.write_all(b"\nend").unwrap();
        assert!(stream.pump(&mut log, &mut buffer));
        drop(writer);
        assert!(!stream.pump(&mut log, &mut buffer));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.splitn(4, ' ').collect::<Vec<_>>()).collect();
        let kinds: Vec<_> = lines.iter().map(|line| (line[1], line[2], line[3].len())).collect();
        assert_eq!(
            kinds,
            [
                ("stderr", "F", 3),
                ("stderr", "F", 3),
                ("stderr", "F", 0),
                ("stderr", "P", LINE_LEN_MAX),
                ("stderr", "F", 5),
                ("stderr", "P", 3)
            ]
        );
    }
}
