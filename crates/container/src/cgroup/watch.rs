//! Being told when a group's memory grows, without polling: thresholds on v1, the soft limit and its events on v2.
use super::group::{field, number, write};
use super::{Controller, Group};
use rustix::event::EventfdFlags;
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// What a group's memory is made of, in bytes. Cached files are in neither: the kernel takes them back when it must.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// What its processes have allocated, and what the kernel keeps for them.
    pub own_bytes: u64,
    /// Files in memory file systems, and memory that processes share.
    pub files_bytes: u64,
}

/// So much less than before also counts as a change: files were removed, and their room may be filled otherwise.
const SHRUNK_BYTES: u64 = 16 << 20;

impl Group {
    /// What its memory is made of now; `None` without a memory controller.
    pub fn memory(&self) -> Option<Memory> {
        let (dir, v2) = self.dir(Controller::Memory)?;
        let stat = |name: &str| field(&dir, "memory.stat", name);
        Some(match v2 {
            true => Memory {
                own_bytes: stat("anon") + stat("kernel").saturating_sub(stat("slab_reclaimable")),
                files_bytes: stat("shmem"),
            },
            false => Memory {
                own_bytes: stat("total_rss") + number(&dir, "memory.kmem.usage_in_bytes"),
                files_bytes: stat("total_shmem"),
            },
        })
    }

    /// A descriptor that becomes readable when the group's memory, cached files included, has grown by `bytes` from what
    /// it is now; on v1 also when it has shrunk a good deal.
    pub fn watch_memory(&self, bytes: u64) -> io::Result<OwnedFd> {
        match self.dir(Controller::Memory) {
            Some((dir, true)) => {
                let events = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
                rustix::fs::inotify::add_watch(&events, dir.join("memory.events"), WatchFlags::MODIFY)?;
                write(&dir, "memory.high", number(&dir, "memory.current") + bytes)?;
                Ok(events)
            }
            Some((dir, false)) => {
                let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
                let usage = File::open(dir.join("memory.usage_in_bytes"))?;
                let now = number(&dir, "memory.usage_in_bytes");
                for mark in [Some(now + bytes), now.checked_sub(SHRUNK_BYTES)].into_iter().flatten() {
                    let order = format!("{} {} {mark}", event.as_raw_fd(), usage.as_raw_fd());
                    write(&dir, "cgroup.event_control", order)?;
                }
                Ok(event)
            }
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "no memory controller on this host")),
        }
    }
}
