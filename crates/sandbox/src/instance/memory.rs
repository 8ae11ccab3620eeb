//! Keeps an instance to its memory while its `/tmp` is not counted: files there are memory to the kernel, which would
//! end a function of 128 MB for writing the 512 MB that it was promised. So the kernel's limit is the sum, and this
//! watches over the part that is the function's own. One descriptor per instance; nothing runs until memory has grown.
use super::{End, Spawner};
use crate::host::blocking;
use container::cgroup::{Group, Memory};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Changes smaller than this are not looked into: it bounds how often a function at its limit is looked at.
const STEP_BYTES: u64 = 256 << 10;

/// A start has better things to do with the CPU, and the kernel's limit holds meanwhile.
const ARM_AFTER: Duration = Duration::from_millis(20);

pub(super) struct Guard {
    pub(super) id: String,
    pub(super) group: Group,
    pub(super) spawner: Arc<Spawner>,
    /// What the instance may have of its own.
    pub(super) limit_bytes: u64,
    /// Set before the instance is ended for it.
    pub(super) exceeded: Arc<AtomicBool>,
}

impl Guard {
    /// Watches until the instance ends, or ends it.
    pub(super) async fn watch(self, mut end: watch::Receiver<Option<End>>) {
        tokio::time::sleep(ARM_AFTER).await;
        loop {
            let (group, limit) = (self.group.clone(), self.limit_bytes);
            let armed = blocking(move || Ok(arm(&group, limit))).await;
            let changed = match armed.map_err(io::Error::other) {
                Ok(Ok(Some(changed))) => changed,
                Ok(Ok(None)) => {
                    self.exceeded.store(true, Ordering::Release);
                    return self.spawner.kill(&self.id).await;
                }
                // Without the means to watch, files in /tmp count, which is safe.
                Ok(Err(_)) | Err(_) if end.borrow().is_some() => return,
                Ok(Err(error)) | Err(error) => {
                    tracing::warn!(instance = self.id, %error, "memory cannot be watched: /tmp counts as memory");
                    let limits = container::cgroup::Limits {
                        memory_bytes: Some(self.limit_bytes),
                        ..Default::default()
                    };
                    drop(self.group.limit(&limits));
                    return;
                }
            };
            let Ok(changed) = wakeful(changed) else { return };
            tokio::select! {
                _ = changed.readable() => {}
                _ = end.wait_for(Option::is_some) => return,
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "an OwnedFd keeps its descriptor open, which is what the other constructor asks for"
)]
fn wakeful(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// A descriptor that tells when to look again; `None` when the instance has too much already.
fn arm(group: &Group, limit_bytes: u64) -> io::Result<Option<OwnedFd>> {
    let left = |memory: Memory| limit_bytes.checked_sub(memory.own_bytes);
    let Some(before) = group.memory().and_then(left) else { return Ok(None) };
    let changed = group.watch_memory(before.max(STEP_BYTES))?;
    // What came in between was not watched.
    Ok(group.memory().and_then(left).map(|_| changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use container::cgroup::Hierarchy;
    use std::path::Path;

    const LIMIT: u64 = 10 << 20;

    /// A v2 group of plain files, in which so much is the instance's own and so much lies in `/tmp`.
    fn group(root: &Path, own: u64, tmp: u64) -> Group {
        std::fs::write(root.join("cgroup.controllers"), "memory pids\n").unwrap();
        let mounted = format!("30 22 0:25 / {} rw - cgroup2 cgroup2 rw", root.display());
        let group = Arc::new(Hierarchy::of(&mounted)).group("one");
        group.create().unwrap();
        let show = |file: &str, text: String| std::fs::write(root.join("one").join(file), text).unwrap();
        show("memory.high", String::new());
        show("memory.events", "high 0\n".into());
        show("memory.current", format!("{}\n", own + tmp));
        show("memory.stat", format!("anon {own}\nkernel 0\nshmem {tmp}\n"));
        group
    }

    #[test]
    fn what_is_left_is_watched_on_v2() {
        let check = |own: u64, tmp: u64, high: u64| {
            let root = tempfile::tempdir().unwrap();
            let armed = arm(&group(root.path(), own, tmp), LIMIT).unwrap();
            assert!(armed.is_some(), "{own} of {LIMIT}");
            let told = std::fs::read_to_string(root.path().join("one/memory.high")).unwrap();
            assert_eq!(told, high.to_string());
        };
        check(4 << 20, 0, LIMIT);
        // Files in /tmp do not count, and move the mark.
        check(4 << 20, 500 << 20, LIMIT + (500 << 20));
        // Close to the limit it is looked into by steps, not by every page.
        check(LIMIT - 1, 0, LIMIT - 1 + STEP_BYTES);
    }

    #[test]
    fn too_much_is_seen_on_v2() {
        let root = tempfile::tempdir().unwrap();
        assert!(arm(&group(root.path(), LIMIT + 1, 0), LIMIT).unwrap().is_none());
    }

    #[test]
    fn without_a_soft_limit_the_guard_says_so() {
        let root = tempfile::tempdir().unwrap();
        let group = group(root.path(), 1, 0);
        std::fs::remove_file(root.path().join("one/memory.high")).unwrap();
        assert!(arm(&group, LIMIT).is_err());
    }
}
