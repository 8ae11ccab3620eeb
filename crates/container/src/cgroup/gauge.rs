//! A number that a group's file shows, asked for often: the file stays open, because finding it costs ten times what
//! reading it does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The longest number and its line end.
const DIGITS_MAX: usize = 24;

/// One file of a group.
#[derive(Debug, Default)]
pub struct Gauge(Option<File>);

impl Gauge {
    pub(super) fn open(path: &Path) -> Gauge {
        Gauge(File::open(path).ok())
    }

    /// What it shows now; 0 where the kernel does not say, or when the group is gone.
    pub fn read(&self) -> u64 {
        let mut text = [0; DIGITS_MAX];
        let length = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        std::str::from_utf8(&text[..length]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}
