//! Reading a log as events, by time, a page at a time. Files that ended before the time asked for are not opened; what
//! is read is put in order, because clients may put events late.

use super::{Log, OLD_FILES, line, lock};
use jiff::Timestamp;
use std::collections::HashMap;
use std::fs;
use std::io;

/// The most that one page holds, as on AWS: the text of its events, each with 26 bytes for what belongs to it.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
const EVENT_BYTES: usize = 26;

/// Where an event is in its log: its time, and its place among those of the same millisecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// 0 for the first of its millisecond.
    pub place: u32,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Where it is.
    pub position: LogPosition,
    /// The stream that it belongs to.
    pub stream: String,
    /// What was printed, without the end of the line.
    pub message: String,
}

/// Which streams to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Streams {
    /// All of the group.
    #[default]
    All,
    /// These.
    Named(Vec<String>),
    /// Those whose name begins like this.
    Prefix(String),
}

/// Where to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event.
    #[default]
    Head,
    /// So that the newest event is the last of the page.
    Tail,
    /// Behind this one.
    After(LogPosition),
    /// So that the last event of the page is the one before this.
    Before(LogPosition),
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Of which streams.
    pub streams: Streams,
    /// Not older than this, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Older than this.
    pub before_ms: Option<i64>,
    /// Where to begin.
    pub start: Start,
    /// How many at most.
    pub limit: usize,
}

/// Some events, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The events.
    pub events: Vec<LogEvent>,
    /// Whether there are more in the direction of reading.
    pub more: bool,
}

impl Streams {
    fn has(&self, stream: &str) -> bool {
        match self {
            Streams::All => true,
            Streams::Named(names) => names.iter().any(|name| name == stream),
            Streams::Prefix(prefix) => stream.starts_with(prefix.as_str()),
        }
    }
}

impl Log {
    /// The events that are wanted and whose text `matches`. Reads files: to be called where that may take its time.
    pub fn events(&self, query: &EventQuery, matches: &dyn Fn(&str) -> bool) -> io::Result<LogPage> {
        self.write_out();
        let from = query.from_ms.unwrap_or(0).max(self.kept_from(Timestamp::now()));
        let from = match query.start {
            Start::After(position) => from.max(position.time_ms),
            _ => from,
        };
        let until = query.before_ms.unwrap_or(i64::MAX);
        let mut places: HashMap<i64, u32> = HashMap::new();
        let mut found = Vec::new();
        for bytes in self.files(from)? {
            for line in bytes.split(|&byte| byte == b'\n').filter_map(line::read) {
                let Some(time_ms) = line.time_ms().filter(|at| *at >= from && *at < until) else { continue };
                let next = places.entry(time_ms).or_insert(0);
                let position = LogPosition { time_ms, place: *next };
                *next += 1;
                if !query.start.includes(position) || !query.streams.has(line.stream) {
                    continue;
                }
                let message = line.message();
                if matches(&message) {
                    found.push(LogEvent { position, stream: line.stream.to_owned(), message });
                }
            }
        }
        found.sort_by_key(|event| event.position);
        Ok(page(found, query))
    }

    /// The files that can have events from then on, oldest first.
    pub(super) fn files(&self, from_ms: i64) -> io::Result<Vec<Vec<u8>>> {
        let _held = lock(&self.file);
        let mut files = Vec::new();
        for number in (0..=OLD_FILES).rev() {
            let path = self.numbered(number);
            let Ok(found) = fs::metadata(&path) else { continue };
            let changed = found.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
            // The clock of the file system is coarse.
            if changed.is_some_and(|changed| changed.as_millisecond() + 1000 < from_ms) {
                continue;
            }
            files.push(fs::read(path)?);
        }
        Ok(files)
    }
}

impl Start {
    fn includes(self, position: LogPosition) -> bool {
        match self {
            Start::Head | Start::Tail => true,
            Start::After(after) => position > after,
            Start::Before(before) => position < before,
        }
    }
}

/// Cuts a page off the beginning or the end.
fn page(mut events: Vec<LogEvent>, query: &EventQuery) -> LogPage {
    let backwards = matches!(query.start, Start::Tail | Start::Before(_));
    let size = |event: &LogEvent| event.message.len() + EVENT_BYTES;
    let fits = |events: &mut dyn Iterator<Item = &LogEvent>| {
        let mut bytes = 0;
        let fitting = events.take_while(|event| {
            bytes += size(event);
            bytes <= PAGE_BYTES_MAX
        });
        // One event alone always fits.
        fitting.count().min(query.limit).max(1)
    };
    let all = events.len();
    if backwards {
        let count = fits(&mut events.iter().rev());
        events.drain(..all.saturating_sub(count));
    } else {
        let count = fits(&mut events.iter());
        events.truncate(count);
    }
    LogPage { more: events.len() < all, events }
}
