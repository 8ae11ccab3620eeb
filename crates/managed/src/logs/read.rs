//! Reading a log back: the last lines, then, when asked, everything new as it is written, across rotations.

use super::{Log, line};
use bytes::Bytes;
use futures::Stream;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Which part of a log is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only so many of the last lines; all that is kept when not set.
    pub lines: Option<usize>,
    /// Go on with what is written from now on.
    pub follow: bool,
}

/// Says of each stream whether its lines are wanted.
pub type StreamFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Chunks between reader and client: a slow client slows its reader, nothing else.
const CHUNKS: usize = 8;
const CHUNK_BYTES: usize = 64 * 1024;

impl Log {
    /// The log as a stream of chunks, each of whole lines as far as the file has them.
    pub fn read(
        self: &Arc<Self>,
        query: LogQuery,
        only: Option<StreamFilter>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let (chunks, receiver) = mpsc::channel(CHUNKS);
        let log = self.clone();
        tokio::task::spawn(async move {
            if let Err(error) = log.send(query, only, &chunks).await {
                // A client that has gone away does not read the reason either.
                drop(chunks.send(Err(error)).await);
            }
        });
        futures::stream::unfold(receiver, |mut receiver| async {
            let chunk = receiver.recv().await?;
            Some((chunk, receiver))
        })
    }

    async fn send(
        self: &Arc<Self>,
        query: LogQuery,
        only: Option<StreamFilter>,
        chunks: &mpsc::Sender<io::Result<Bytes>>,
    ) -> io::Result<()> {
        let mut written = self.written.subscribe();
        written.borrow_and_update();
        let log = self.clone();
        let of = only.clone();
        let (mut file, beginning) = blocking(move || log.beginning(query.lines, of.as_ref())).await?;
        for chunk in beginning {
            if chunks.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
        if !query.follow {
            return Ok(());
        }
        loop {
            if !self.wait(&mut written, chunks).await {
                return Ok(());
            }
            let log = self.clone();
            let of = only.clone();
            let (next, fresh) = blocking(move || log.fresh(file, of.as_ref())).await?;
            file = next;
            for chunk in fresh {
                if chunks.send(Ok(chunk)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Waits for new lines; false when the reader or the log is gone.
    async fn wait(
        &self,
        written: &mut watch::Receiver<u64>,
        chunks: &mpsc::Sender<io::Result<Bytes>>,
    ) -> bool {
        tokio::select! {
            changed = written.changed() => changed.is_ok(),
            () = chunks.closed() => false,
        }
    }

    /// The kept lines up to now, and the file to go on with, positioned at its end.
    fn beginning(
        &self,
        lines: Option<usize>,
        only: Option<&StreamFilter>,
    ) -> io::Result<(Option<File>, Vec<Bytes>)> {
        self.write_out();
        // Nothing is half written meanwhile.
        let _held = super::lock(&self.file);
        let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
        let mut last = None;
        for number in (0..=super::OLD_FILES).rev() {
            let file = match File::open(self.numbered(number)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                let Some(shown) = line::shown(&std::mem::take(&mut line), only) else { continue };
                kept.push_back(shown);
                if lines.is_some_and(|lines| kept.len() > lines) {
                    kept.pop_front();
                }
            }
            last = (number == 0).then(|| reader.into_inner());
        }
        let mut chunks = Vec::new();
        let mut chunk = Vec::new();
        for line in kept {
            chunk.extend_from_slice(&line);
            if chunk.len() >= CHUNK_BYTES {
                chunks.push(std::mem::take(&mut chunk).into());
            }
        }
        if !chunk.is_empty() {
            chunks.push(chunk.into());
        }
        Ok((last, chunks))
    }

    /// What was written since, oldest first: the rest of the file that was read last, then every newer one.
    fn fresh(
        &self,
        file: Option<File>,
        only: Option<&StreamFilter>,
    ) -> io::Result<(Option<File>, Vec<Bytes>)> {
        // No file is set aside while this looks at them.
        let _held = super::lock(&self.file);
        let known = file.as_ref().map(|file| file.metadata().map(|found| found.ino())).transpose()?;
        let mut newer = Vec::new();
        for number in 0..=super::OLD_FILES {
            let Ok(other) = File::open(self.numbered(number)) else { continue };
            if Some(other.metadata()?.ino()) == known {
                break;
            }
            newer.push(other);
        }
        let mut chunks = Vec::new();
        let mut last = None;
        for mut file in file.into_iter().chain(newer.into_iter().rev()) {
            read_rest(&mut file, only, &mut chunks)?;
            last = Some(file);
        }
        Ok((last, chunks))
    }

    /// The file that was set aside so many times ago; 0 is the one being written.
    pub(super) fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.into()
    }
}

fn read_rest(file: &mut File, only: Option<&StreamFilter>, chunks: &mut Vec<Bytes>) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let shown: Vec<u8> = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter_map(|line| line::shown(line, only))
        .flatten()
        .collect();
    if !shown.is_empty() {
        chunks.push(shown.into());
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
