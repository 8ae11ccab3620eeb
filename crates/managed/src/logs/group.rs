//! Log groups and their streams: what there is, since when, and for how long it is kept. A small file beside each log has
//! the group's real name and what clients set.

use super::{Log, Logs, OLD_FILES, line, lock};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Streams that clients may make in one group, each a name in the group's file.
const STREAMS_MAX: usize = 10_000;

/// Groups that clients may make: each is a file.
const GROUPS_MAX: usize = 10_000;

/// The extension of what stands beside a log.
const SIDECAR: &str = "json";

/// Of a group's name, in the name of its file; and of its hash, so much that no two meet.
const NAME_CHARS: usize = 100;
const HASH_BYTES: usize = 8;

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Such as `/aws/lambda/hello`.
    pub name: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// After so many days its events are gone.
    pub retention_days: Option<u32>,
    /// What its files take on the disk.
    pub stored_bytes: u64,
}

/// A log stream: the events of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    /// Such as `2026/11/21/[$LATEST]8f5…`.
    pub name: String,
    /// Milliseconds since 1970, as all of these.
    pub created_ms: i64,
    /// Of its first event that is kept.
    pub first_ms: Option<i64>,
    /// Of its last one.
    pub last_ms: Option<i64>,
}

/// Why a group or stream was not made, changed or read.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// There is no such group.
    #[error("The specified log group does not exist.")]
    NoGroup,
    /// There is no such stream.
    #[error("The specified log stream does not exist.")]
    NoStream,
    /// There is one of this name.
    #[error("The specified {0} already exists")]
    Exists(&'static str),
    /// There are too many.
    #[error("Resource limit exceeded.")]
    TooMany,
    /// The disk refused.
    #[error("failed to read or write a log: {0}")]
    Disk(#[from] io::Error),
}

/// As it is stored beside the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Meta {
    pub(super) group: String,
    pub(super) created_ms: i64,
    pub(super) retention_days: Option<u32>,
    /// Streams that clients made.
    pub(super) streams: BTreeMap<String, i64>,
}

/// Where a group's log is. Names of groups are longer than those of files may be, and have slashes: so much of the name as
/// tells people which one it is, and a hash of the whole.
pub(super) fn file(namespace: &str, group: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let known: String = group.trim_start_matches('/').chars().map(plain).take(NAME_CHARS).collect();
    let mut file = format!("{namespace}/{known}-");
    for byte in &Sha256::digest(group)[..HASH_BYTES] {
        // Writing to a string cannot fail.
        let _ = write!(file, "{byte:02x}");
    }
    file + ".log"
}

pub(super) fn sidecar(log: &Path) -> PathBuf {
    log.with_extension(SIDECAR)
}

impl Meta {
    pub(super) fn read(log: &Path) -> Option<Meta> {
        serde_json::from_slice(&fs::read(sidecar(log)).ok()?).ok()
    }

    fn write(&self, log: &Path) -> io::Result<()> {
        if let Some(dir) = log.parent() {
            fs::create_dir_all(dir)?;
        }
        let fresh = log.with_extension("json.new");
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(fresh, sidecar(log))
    }
}

impl Log {
    /// What is known of the group; `create` makes it where it does not exist.
    pub(super) fn known(&self, create: bool) -> io::Result<Option<Meta>> {
        let mut meta = lock(&self.meta);
        if meta.is_none() {
            if !create {
                return Ok(None);
            }
            let created_ms = Timestamp::now().as_millisecond();
            let fresh = Meta { group: self.group.clone(), created_ms, ..Meta::default() };
            fresh.write(&self.path)?;
            *meta = Some(fresh);
        }
        Ok(meta.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Meta) -> Result<T, GroupError>) -> Result<T, GroupError> {
        self.write_out();
        let mut known = self.known(false)?.ok_or(GroupError::NoGroup)?;
        let mut meta = lock(&self.meta);
        if let Some(newest) = meta.take() {
            known = newest;
        }
        let result = change(&mut known);
        let written = known.write(&self.path);
        *meta = Some(known);
        written?;
        result
    }

    /// From when on events are kept, in milliseconds since 1970.
    pub(super) fn kept_from(&self, now: Timestamp) -> i64 {
        let days = lock(&self.meta).as_ref().and_then(|meta| meta.retention_days);
        days.map_or(0, |days| now.as_millisecond() - i64::from(days) * DAY_MS)
    }

    fn stored_bytes(&self) -> u64 {
        (0..=OLD_FILES)
            .filter_map(|number| fs::metadata(self.numbered(number)).ok())
            .map(|found| found.len())
            .sum()
    }

    /// The streams that have events or were made, by name.
    pub fn streams(&self) -> io::Result<Vec<LogStream>> {
        self.write_out();
        let kept_from = self.kept_from(Timestamp::now());
        let made = self.known(false)?.map(|meta| meta.streams).unwrap_or_default();
        let stream = |(name, created_ms)| LogStream { name, created_ms, first_ms: None, last_ms: None };
        let mut found: BTreeMap<String, LogStream> =
            made.into_iter().map(|(name, at)| (name.clone(), stream((name, at)))).collect();
        for bytes in self.files(kept_from)? {
            for line in bytes.split(|&byte| byte == b'\n').filter_map(line::read) {
                let Some(at) = line.time_ms().filter(|at| *at >= kept_from) else { continue };
                if !found.contains_key(line.stream) {
                    found.insert(line.stream.to_owned(), stream((line.stream.to_owned(), at)));
                }
                let Some(entry) = found.get_mut(line.stream) else { continue };
                entry.first_ms = Some(entry.first_ms.map_or(at, |first| first.min(at)));
                entry.last_ms = Some(entry.last_ms.map_or(at, |last| last.max(at)));
            }
        }
        Ok(found.into_values().collect())
    }
}

impl Logs {
    /// All groups of a namespace, by name.
    pub fn groups(&self, namespace: &str) -> io::Result<Vec<LogGroup>> {
        self.flush();
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(self.dir.join(namespace)).into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == SIDECAR) {
                names.extend(Meta::read(&path).map(|meta| meta.group));
            }
        }
        let group = |name: String| {
            let log = self.of(namespace, &name);
            let meta = log.known(false)?.unwrap_or_default();
            Ok(LogGroup {
                name,
                created_ms: meta.created_ms,
                retention_days: meta.retention_days,
                stored_bytes: log.stored_bytes(),
            })
        };
        names.into_iter().map(group).collect()
    }

    /// The log of a group that exists.
    pub fn group(&self, namespace: &str, group: &str) -> Result<Arc<Log>, GroupError> {
        match self.exists(namespace, group) {
            true => Ok(self.of(namespace, group)),
            false => Err(GroupError::NoGroup),
        }
    }

    /// Makes a group.
    pub fn create_group(&self, namespace: &str, group: &str) -> Result<(), GroupError> {
        if self.exists(namespace, group) {
            return Err(GroupError::Exists("log group"));
        }
        if self.groups(namespace)?.len() >= GROUPS_MAX {
            return Err(GroupError::TooMany);
        }
        self.of(namespace, group).known(true)?;
        Ok(())
    }

    /// Removes a group and all its events. A function that logs to it makes it anew.
    pub fn delete_group(&self, namespace: &str, group: &str) -> Result<(), GroupError> {
        let log = self.group(namespace, group)?;
        log.write_out();
        let mut file = lock(&log.file);
        *file = None;
        *lock(&log.meta) = None;
        let files = (0..=OLD_FILES).map(|number| log.numbered(number)).chain([sidecar(&log.path)]);
        for path in files {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Keeps a group's events for so many days; `None` = as long as there is room.
    pub fn retain(&self, namespace: &str, group: &str, days: Option<u32>) -> Result<(), GroupError> {
        self.group(namespace, group)?.change(|meta| {
            meta.retention_days = days;
            Ok(())
        })
    }

    /// Makes a stream.
    pub fn create_stream(&self, namespace: &str, group: &str, stream: &str) -> Result<(), GroupError> {
        let log = self.group(namespace, group)?;
        if log.streams()?.iter().any(|known| known.name == stream) {
            return Err(GroupError::Exists("log stream"));
        }
        log.change(|meta| {
            if meta.streams.len() >= STREAMS_MAX {
                return Err(GroupError::TooMany);
            }
            meta.streams.insert(stream.to_owned(), Timestamp::now().as_millisecond());
            Ok(())
        })
    }

    /// Adds events of a client to a stream.
    pub fn put(
        &self,
        namespace: &str,
        group: &str,
        stream: &str,
        events: &[(i64, String)],
    ) -> Result<(), GroupError> {
        let log = self.group(namespace, group)?;
        let made = log.known(false)?.is_some_and(|meta| meta.streams.contains_key(stream));
        if !made && !log.streams()?.iter().any(|known| known.name == stream) {
            return Err(GroupError::NoStream);
        }
        log.pend(|pending| {
            for (at, text) in events {
                let time = line::time(Timestamp::from_millisecond(*at).unwrap_or(Timestamp::UNIX_EPOCH));
                line::write(&mut pending.bytes, &time, stream, text.as_bytes());
            }
        });
        log.write_out();
        Ok(())
    }
}
