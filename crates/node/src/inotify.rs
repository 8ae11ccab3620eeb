//! Waiting for a file or directory to change, by the kernel's word instead of by looking.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Room for many events at once; what they say in detail does not matter here.
const EVENTS_BYTES: usize = 4096;

/// Tells when a watched path changes.
pub(crate) struct Watcher(pipe::Receiver);

impl Watcher {
    /// Watches nothing yet. Must be called inside a tokio runtime.
    pub(crate) fn new() -> io::Result<Watcher> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // Not a pipe, but read like one: the event loop tells when there is something.
        pipe::Receiver::from_owned_fd_unchecked(fd).map(Watcher)
    }

    /// A file's content, or the entries of a directory.
    pub(crate) fn add(&self, path: &Path) -> io::Result<()> {
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&self.0, path, flags)?;
        Ok(())
    }

    /// Waits until something changed since the last call.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        self.0.read(&mut [0; EVENTS_BYTES]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_of_writes_and_of_new_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        std::fs::write(&file, "a").expect("written");
        let mut watcher = Watcher::new().expect("a watcher");
        watcher.add(&file).expect("watched");
        let none = tokio::time::timeout(std::time::Duration::from_millis(20), watcher.changed()).await;
        assert!(none.is_err(), "nothing happened yet");
        std::fs::write(&file, "b").expect("written");
        watcher.changed().await.expect("told");
        watcher.add(dir.path()).expect("watched");
        std::fs::write(dir.path().join("other"), "c").expect("written");
        watcher.changed().await.expect("told");
    }
}
