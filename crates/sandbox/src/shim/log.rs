//! A container's log file in the format of the container runtime interface: time, stream, `F` for a full line or `P`
//! for a part of one, text. Rotated by size.
use super::clock::rfc3339;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file is closed and renamed beyond this size (the kubelet's `containerLogMaxSize`).
const LOG_BYTES_MAX: u64 = 10 << 20;

/// Files kept for a container, the current one included (the kubelet's `containerLogMaxFiles`).
const LOG_FILES_MAX: usize = 5;

/// One log file and its rotated predecessors `<name>.1` (youngest) to `<name>.4`.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Log> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Log { path: path.to_owned(), file, bytes, bytes_max: LOG_BYTES_MAX })
    }

    /// Appends one line (without its end), or a part of one. Trouble (a full disk) loses the line, not the container.
    pub(super) fn line(&mut self, stream: &str, full: bool, text: &[u8]) {
        let mut line = rfc3339(SystemTime::now()).into_bytes();
        line.extend_from_slice(format!(" {stream} {} ", if full { 'F' } else { 'P' }).as_bytes());
        line.extend_from_slice(text);
        line.push(b'\n');
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.bytes_max {
            let _ = self.rotate();
        }
        if self.file.write_all(&line).is_ok() {
            self.bytes += line.len() as u64;
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..LOG_FILES_MAX - 1).rev() {
            let _ = std::fs::rename(numbered(number), numbered(number + 1));
        }
        std::fs::rename(&self.path, numbered(1))?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotates_and_keeps_a_few() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/0.log");
        let mut log = Log::open(&path).unwrap();
        log.bytes_max = 100;
        for number in 0..20 {
            log.line("stdout", true, format!("line {number}").as_bytes());
        }
        let mut names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["0.log", "0.log.1", "0.log.2", "0.log.3", "0.log.4"]);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with(" stdout F line 19\n"));
    }
}
