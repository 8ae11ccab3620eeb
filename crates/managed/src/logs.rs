//! Logs: one file for each log group, written by one thread, rotated by size, read by time or as lines, and followed. Who
//! logs only appends to memory; nothing is lost and nothing is reordered, because who prints faster than the disk takes it
//! waits in [`Log::ready`].
//!
//! Each line of a file is an event: `2026-01-01T00:00:00.000Z [STREAM] text`.

mod events;
mod group;
mod line;
mod read;

pub use events::{EventQuery, LogEvent, LogPage, LogPosition, Start, Streams};
pub use group::{GroupError, LogGroup, LogStream};
pub use read::{LogQuery, StreamFilter};

use group::Meta;
use jiff::Timestamp;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::watch;

/// A file is set aside at this size; three of them are kept, so that one group stays under 40 MB.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
const OLD_FILES: u32 = 3;

/// Above this, who logs waits for the disk.
const BACKLOG_BYTES_MAX: usize = 1024 * 1024;

/// The writer gathers what comes in so short a time into one write: under load that is one wake-up for many lines.
const GATHER: Duration = Duration::from_millis(2);

/// Logs that stay open although nobody uses them, at the least: each is a descriptor. Looking for them is worth it when their
/// number has doubled.
const UNUSED_MAX: usize = 64;

/// Logs that wait for the writer. Each waits at most once, so only with more groups than this, all of them written to
/// within [`GATHER`], would somebody who appends wait for the disk.
const WAITING_MAX: usize = 4096;

/// All logs. Dropping it ends the writer's thread after the last line is written.
pub struct Logs {
    dir: PathBuf,
    open: Mutex<HashMap<String, Arc<Log>>>,
    writer: mpsc::SyncSender<Arc<Log>>,
    /// With so many open, those that nobody uses are closed.
    close_at: AtomicUsize,
}

impl Logs {
    /// Opens the logs below a directory, which is made where it is missing.
    pub fn open(dir: PathBuf) -> io::Result<Logs> {
        fs::create_dir_all(&dir)?;
        let (writer, work) = mpsc::sync_channel::<Arc<Log>>(WAITING_MAX);
        std::thread::Builder::new().name("logs".to_owned()).spawn(move || {
            while let Ok(log) = work.recv() {
                std::thread::sleep(GATHER);
                log.write_out();
                while let Ok(log) = work.try_recv() {
                    log.write_out();
                }
            }
        })?;
        Ok(Logs { dir, open: Mutex::default(), writer, close_at: AtomicUsize::new(UNUSED_MAX) })
    }

    /// The log of one group, which need not exist yet: it comes to be with its first line.
    pub fn of(&self, namespace: &str, group: &str) -> Arc<Log> {
        let file = group::file(namespace, group);
        let mut open = lock(&self.open);
        if let Some(log) = open.get(&file) {
            return log.clone();
        }
        let path = self.dir.join(&file);
        let log = Arc::new(Log {
            group: group.to_owned(),
            meta: Mutex::new(Meta::read(&path)),
            path,
            pending: Mutex::default(),
            file: Mutex::default(),
            writer: self.writer.clone(),
            written: watch::Sender::new(0),
        });
        open.insert(file, log.clone());
        if open.len() > self.close_at.load(Ordering::Relaxed) {
            // Neither who logs, nor a reader, nor the writer has it: then nothing is pending either.
            open.retain(|_, log| Arc::strong_count(log) > 1);
            self.close_at.store(2 * open.len() + UNUSED_MAX, Ordering::Relaxed);
        }
        log
    }

    /// Whether a group was made, or ever logged to, so that what a deleted function logged can still be read.
    pub fn exists(&self, namespace: &str, group: &str) -> bool {
        let file = group::file(namespace, group);
        let sidecar = group::sidecar(&self.dir.join(&file));
        let written = || sidecar.is_file();
        written() || {
            // Its first lines may be on their way, in nobody's hands but the writer's.
            let open = lock(&self.open).get(&file).cloned();
            open.inspect(|log| log.write_out()).is_some() && written()
        }
    }

    /// Writes out everything that was appended before.
    pub fn flush(&self) {
        let logs: Vec<Arc<Log>> = lock(&self.open).values().cloned().collect();
        for log in logs {
            log.write_out();
        }
    }
}

/// The log of one group.
pub struct Log {
    /// Its name, such as `/aws/lambda/hello`.
    group: String,
    /// What is known of it beside its lines, once there is something to know.
    meta: Mutex<Option<Meta>>,
    path: PathBuf,
    pending: Mutex<Pending>,
    file: Mutex<Option<(File, u64)>>,
    writer: mpsc::SyncSender<Arc<Log>>,
    /// Bytes written since the start; followers wait for it to grow.
    written: watch::Sender<u64>,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    stamp: line::Stamp,
    /// Whether the writer knows already.
    told: bool,
}

impl Log {
    /// Appends lines of one stream (an instance), which have no line ends in them.
    pub fn append<'a>(self: &Arc<Self>, stream: &str, lines: impl IntoIterator<Item = &'a [u8]>) {
        self.pend(|pending| {
            // Taken under the lock, so that times do not go back from line to line.
            let time = pending.stamp.of(Timestamp::now());
            for text in lines {
                line::write(&mut pending.bytes, time, stream, text);
            }
        });
    }

    /// Has `write` add lines, and tells the writer.
    fn pend(self: &Arc<Self>, write: impl FnOnce(&mut Pending)) {
        let tell = {
            let mut pending = lock(&self.pending);
            write(&mut pending);
            !pending.bytes.is_empty() && !std::mem::replace(&mut pending.told, true)
        };
        if tell {
            // Sent without the lock, which the writer needs to make room. The receiver lives as long as any sender,
            // unless its thread could not go on; then flush still writes.
            drop(self.writer.send(self.clone()));
        }
    }

    /// Waits until the backlog is small enough to read more output.
    pub async fn ready(&self) {
        let mut written = self.written.subscribe();
        while lock(&self.pending).bytes.len() > BACKLOG_BYTES_MAX {
            if written.changed().await.is_err() {
                return;
            }
        }
    }

    /// Writes what is pending. The file's lock is taken first, so that two writers keep the order.
    fn write_out(&self) {
        let mut file = lock(&self.file);
        let bytes = {
            let mut pending = lock(&self.pending);
            pending.told = false;
            std::mem::take(&mut pending.bytes)
        };
        if bytes.is_empty() {
            return;
        }
        if let Err(error) = self.write(&mut file, &bytes) {
            tracing::error!(path = %self.path.display(), %error, lost_bytes = bytes.len(), "a log was lost");
            *file = None;
        }
        self.written.send_modify(|written| *written += bytes.len() as u64);
    }

    fn write(&self, file: &mut Option<(File, u64)>, bytes: &[u8]) -> io::Result<()> {
        if file.as_ref().is_some_and(|(_, size)| *size >= FILE_BYTES_MAX) {
            *file = None;
            rotate(&self.path)?;
        }
        if file.is_none() {
            if let Some(dir) = self.path.parent() {
                fs::create_dir_all(dir)?;
            }
            self.known(true)?;
            let opened = OpenOptions::new().create(true).append(true).open(&self.path)?;
            let size = opened.metadata()?.len();
            *file = Some((opened, size));
        }
        let Some((opened, size)) = file else { return Ok(()) };
        opened.write_all(bytes)?;
        *size += bytes.len() as u64;
        Ok(())
    }
}

/// `hello.log` becomes `hello.log.1`, and so on; the oldest goes.
fn rotate(path: &Path) -> io::Result<()> {
    let old = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..OLD_FILES).rev() {
        if old(number).exists() {
            fs::rename(old(number), old(number + 1))?;
        }
    }
    fs::rename(path, old(1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
