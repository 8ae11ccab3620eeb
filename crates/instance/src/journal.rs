//! What one instance writes into its function's log: its own output, cut into lines, and the platform's lines around
//! each invocation, in one order. Keeps the end of an invocation's lines for callers who asked for them.

use crate::lines::Lines;
use crate::logging::Logging;
use crate::telemetry::{Category, Telemetry};
use bytes::Bytes;
use futures::FutureExt;
use managed::Log;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

/// How much of an invocation's log `LogType=Tail` returns, as on Lambda.
pub const TAIL_BYTES: usize = 4096;

/// The most that is read at once, so that a function that prints without end cannot hold up its own END line.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

pub(crate) struct Journal {
    log: Arc<Log>,
    /// The log stream: what tells the lines of this instance from those of others.
    stream: String,
    logging: Logging,
    telemetry: Arc<Telemetry>,
    output: OnceLock<Receiver>,
    inner: Mutex<Inner>,
    /// The outputs of extensions.
    sources: Mutex<Vec<Arc<Source>>>,
    /// Whether [`Journal::follow`] has come to the end of the output.
    ended: watch::Sender<bool>,
}

/// The output of one extension.
struct Source {
    output: Receiver,
    lines: Mutex<Lines>,
}

struct Inner {
    lines: Lines,
    /// The last lines of the start, then of an invocation whose caller wants them.
    tail: Option<VecDeque<u8>>,
}

impl Journal {
    pub(crate) fn new(
        log: Arc<Log>,
        stream: String,
        logging: Logging,
        telemetry: Arc<Telemetry>,
        output: Option<OwnedFd>,
    ) -> io::Result<Journal> {
        let output = output.map(Receiver::from_owned_fd).transpose()?;
        let ended = watch::Sender::new(output.is_none());
        Ok(Journal {
            log,
            stream,
            logging,
            telemetry,
            output: output.map(OnceLock::from).unwrap_or_default(),
            inner: Mutex::new(Inner { lines: Lines::default(), tail: Some(VecDeque::new()) }),
            sources: Mutex::default(),
            ended,
        })
    }

    /// Takes the output of a runtime that starts only now.
    pub(crate) fn attach(&self, output: OwnedFd) -> io::Result<()> {
        let output = Receiver::from_owned_fd(output)?;
        self.ended.send_replace(false);
        // There is one runtime in the life of an instance.
        drop(self.output.set(output));
        Ok(())
    }

    /// Reads the output of an extension as it comes, until the other end is closed. An extension's lines have no level.
    pub(crate) async fn follow_extension(&self, output: OwnedFd) {
        let Ok(output) = Receiver::from_owned_fd(output) else { return };
        let source = Arc::new(Source { output, lines: Mutex::default() });
        self.lock_sources().push(source.clone());
        loop {
            self.log.ready().await;
            if source.output.readable().await.is_err() {
                return;
            }
            match self.drain_extension(&source, |buffer| source.output.try_read(buffer)) {
                Drained::Empty => {}
                Drained::More => tokio::task::yield_now().await,
                Drained::Closed => return,
            }
        }
    }

    fn drain_extension(
        &self,
        source: &Source,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Drained {
        let mut lines = source.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut complete: Vec<Vec<u8>> = Vec::new();
        let drained = take_in(&mut lines, &mut complete, &mut read);
        if !complete.is_empty() {
            let lines: Vec<&[u8]> = complete.iter().map(Vec::as_slice).collect();
            self.telemetry.lines(Category::Extension, &lines);
            self.write(&mut self.lock(), lines.iter().copied());
        }
        drained
    }

    fn lock_sources(&self) -> MutexGuard<'_, Vec<Arc<Source>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads output as it comes, until the other end is closed.
    pub(crate) async fn follow(&self) {
        self.read().await;
        self.ended.send_replace(true);
    }

    /// Waits until all output is read.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this does.
        drop(self.ended.subscribe().wait_for(|ended| *ended).await);
    }

    async fn read(&self) {
        let Some(output) = self.output.get() else { return };
        loop {
            self.log.ready().await;
            if output.readable().await.is_err() {
                return;
            }
            match self.drain_by(|buffer| output.try_read(buffer)) {
                Drained::Empty => {}
                Drained::More => tokio::task::yield_now().await,
                Drained::Closed => return,
            }
        }
    }

    /// Starts an invocation: what follows up to [`Journal::end`] is its log. An instance prints little between two of them: what
    /// tokio has heard of that is taken over, and the pipe is not asked.
    pub(crate) fn begin(&self, keep_tail: bool, lines: &[String]) {
        if let Some(output) = self.output.get()
            && output.readable().now_or_never().is_some()
        {
            self.drain_by(|buffer| output.try_read(buffer));
        }
        let mut inner = self.lock();
        inner.tail = keep_tail.then(VecDeque::new);
        self.write(&mut inner, bytes_of(lines));
    }

    /// Writes lines of the platform between those of the function.
    pub(crate) fn note(&self, lines: &[String]) {
        self.drain();
        self.write(&mut self.lock(), bytes_of(lines));
    }

    /// Ends an invocation; the end of its log, if [`Journal::begin`] asked to keep it.
    pub(crate) fn end(&self, lines: &[String]) -> Option<Bytes> {
        self.drain();
        let mut inner = self.lock();
        let mut last = Vec::new();
        inner.lines.finish(|line| last = line.to_vec());
        if !self.logging.keeps(&last) {
            last.clear();
        }
        let last = if last.is_empty() { &[][..] } else { &[&last[..]][..] };
        self.telemetry.lines(Category::Function, last);
        self.write(&mut inner, last.iter().copied().chain(bytes_of(lines)));
        inner.tail.take().map(|tail| Vec::from(tail).into())
    }

    /// Writes lines about the start, and ends what counts as its log: the first invocation may not come any more.
    pub(crate) fn end_start(&self, lines: &[String]) -> Bytes {
        self.end(lines).unwrap_or_default()
    }

    /// Takes over what the instance has printed up to now. This asks the pipe itself: tokio would only say what it has
    /// heard of, which may be less.
    fn drain(&self) {
        if let Some(output) = self.output.get().filter(|output| waits(output)) {
            self.drain_by(|buffer| rustix::io::read(output, buffer).map_err(io::Error::from));
        }
        let sources = self.lock_sources();
        for source in sources.iter() {
            let read = |buffer: &mut [u8]| rustix::io::read(&source.output, buffer).map_err(io::Error::from);
            self.drain_extension(source, read);
        }
    }

    fn drain_by(&self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Drained {
        let mut inner = self.lock();
        let mut complete: Vec<Vec<u8>> = Vec::new();
        let drained = take_in(&mut inner.lines, &mut complete, &mut read);
        if !complete.is_empty() {
            let kept = complete.iter().filter(|line| self.logging.keeps(line));
            let lines: Vec<&[u8]> = kept.map(Vec::as_slice).collect();
            self.telemetry.lines(Category::Function, &lines);
            self.write(&mut inner, lines.iter().copied());
        }
        drained
    }

    fn write<'a>(&self, inner: &mut Inner, lines: impl Iterator<Item = &'a [u8]> + Clone) {
        if let Some(tail) = &mut inner.tail {
            for line in lines.clone() {
                tail.extend(line.iter().copied().chain([b'\n']));
            }
            let surplus = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..surplus);
        }
        self.log.append(&self.stream, lines);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(lines: &[String]) -> impl Iterator<Item = &[u8]> + Clone {
    lines.iter().map(String::as_bytes)
}

/// Whether a pipe holds something. Most invocations print nothing, and to ask costs less than to read in vain.
fn waits(pipe: &Receiver) -> bool {
    rustix::io::ioctl_fionread(pipe).is_ok_and(|bytes| bytes > 0)
}

enum Drained {
    Empty,
    More,
    Closed,
}

/// Reads what is there, up to a limit; lines that are complete go into `complete`.
fn take_in(
    lines: &mut Lines,
    complete: &mut Vec<Vec<u8>>,
    read: &mut impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> Drained {
    let mut buffer = [0u8; 16 * 1024];
    let mut taken = 0;
    let drained = loop {
        match read(&mut buffer) {
            Ok(0) => break Drained::Closed,
            Ok(count) => {
                lines.push(&buffer[..count], |line| complete.push(line.to_vec()));
                taken += count;
                if taken >= DRAIN_BYTES_MAX {
                    break Drained::More;
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => break Drained::Empty,
                _ => break Drained::Closed,
            },
        }
    };
    if matches!(drained, Drained::Closed) {
        lines.finish(|line| complete.push(line.to_vec()));
    }
    drained
}
