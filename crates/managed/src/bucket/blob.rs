//! The bytes of objects, in files: written under another name, synced and then named; removed when nothing names them any
//! more and nobody reads them. Knows no objects.

mod draft;
mod reading;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use draft::Draft;
pub(in crate::bucket) use draft::Finished;
pub(in crate::bucket) use reading::Piece;
pub use reading::Reading;

/// Free room that is left to the databases of the platform and to its host: a thirty-second part of the file system, and no
/// more than this.
const RESERVE_BYTES_MAX: u64 = 1 << 30;
const RESERVE_SHARE: u64 = 32;

/// What a disk that is full says.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// All files of one directory.
pub(in crate::bucket) struct Blobs {
    dir: PathBuf,
    /// Those that are read now.
    pins: Mutex<HashMap<String, Pin>>,
}

#[derive(Default)]
struct Pin {
    readers: usize,
    /// Nothing names it any more.
    doomed: bool,
}

/// A file that nothing names yet: it is removed unless it is kept.
pub(in crate::bucket) struct Fresh {
    blobs: Arc<Blobs>,
    id: String,
    kept: bool,
}

impl Fresh {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Something durable names it now, or may.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept {
            self.blobs.unlink(&self.id);
        }
    }
}

/// Files that are not removed while this is held.
pub(in crate::bucket) struct Pinned {
    blobs: Arc<Blobs>,
    ids: Vec<String>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut doomed = Vec::new();
        let mut pins = self.blobs.pins();
        for id in self.ids.drain(..) {
            let Some(pin) = pins.get_mut(&id) else { continue };
            pin.readers -= 1;
            if pin.readers == 0 {
                doomed.extend(pins.remove(&id).filter(|pin| pin.doomed).map(|_| id));
            }
        }
        drop(pins);
        doomed.iter().for_each(|id| self.blobs.unlink(id));
    }
}

impl Blobs {
    /// Makes the directories where they are missing. What was being written when the platform ended goes.
    pub(super) fn open(dir: PathBuf) -> io::Result<Arc<Blobs>> {
        for number in 0..=u8::MAX {
            fs::create_dir_all(dir.join(format!("{number:02x}")))?;
        }
        let unfinished = dir.join(UNFINISHED);
        fs::create_dir_all(&unfinished)?;
        for entry in fs::read_dir(&unfinished)? {
            fs::remove_file(entry?.path())?;
        }
        File::open(&dir)?.sync_all()?;
        Ok(Arc::new(Blobs { dir, pins: Mutex::default() }))
    }

    /// Removes files that nothing names: a crash came before it did, or before they were removed.
    pub(super) fn sweep(&self, named: &HashSet<String>) -> io::Result<usize> {
        let mut removed = 0;
        for number in 0..=u8::MAX {
            for entry in fs::read_dir(self.dir.join(format!("{number:02x}")))? {
                let entry = entry?;
                if !named.contains(entry.file_name().to_string_lossy().as_ref()) {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(id.get(..2).unwrap_or_default()).join(id)
    }

    fn unfinished(&self, id: &str) -> PathBuf {
        self.dir.join(UNFINISHED).join(id)
    }

    fn new_id() -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    /// Whether so many bytes more leave the reserve alone.
    pub(super) fn has_room(&self, bytes: u64) -> io::Result<bool> {
        let disk = rustix::fs::statvfs(&self.dir)?;
        let reserve = (disk.f_blocks * disk.f_frsize / RESERVE_SHARE).min(RESERVE_BYTES_MAX);
        Ok(disk.f_bavail * disk.f_frsize >= reserve.saturating_add(bytes))
    }

    /// Gives a finished file its name. Blocks.
    fn name(self: &Arc<Self>, unfinished: &Path, id: &str) -> io::Result<Fresh> {
        let path = self.path(id);
        fs::rename(unfinished, &path)?;
        let fresh = Fresh { blobs: self.clone(), id: id.to_owned(), kept: false };
        self.sync_parent(&path)?;
        Ok(fresh)
    }

    /// Another name for the same bytes. Blocks.
    pub(super) fn link(self: &Arc<Self>, id: &str) -> io::Result<Fresh> {
        let copy = Blobs::new_id();
        let path = self.path(&copy);
        fs::hard_link(self.path(id), &path)?;
        let fresh = Fresh { blobs: self.clone(), id: copy, kept: false };
        self.sync_parent(&path)?;
        Ok(fresh)
    }

    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        File::open(path.parent().unwrap_or(&self.dir))?.sync_all()
    }

    /// Keeps files from being removed. Who pins must look afterwards whether something still names them.
    pub(super) fn pin(self: &Arc<Self>, ids: impl Iterator<Item = String>) -> Pinned {
        let ids: Vec<String> = ids.collect();
        let mut pins = self.pins();
        ids.iter().for_each(|id| pins.entry(id.clone()).or_default().readers += 1);
        drop(pins);
        Pinned { blobs: self.clone(), ids }
    }

    /// Removes files that nothing names any more, as soon as nobody reads them.
    pub(super) fn remove(self: &Arc<Self>, ids: Vec<String>) {
        if ids.is_empty() {
            return;
        }
        let mut free = Vec::new();
        let mut pins = self.pins();
        for id in ids {
            match pins.get_mut(&id) {
                Some(pin) => pin.doomed = true,
                None => free.push(id),
            }
        }
        drop(pins);
        let blobs = self.clone();
        // To remove a large file takes its time.
        tokio::task::spawn_blocking(move || free.iter().for_each(|id| blobs.unlink(id)));
    }

    fn unlink(&self, id: &str) {
        if let Err(error) = fs::remove_file(self.path(id)) {
            tracing::warn!(id, %error, "a file of a bucket is not removed until the next start");
        }
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<String, Pin>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const UNFINISHED: &str = "unfinished";
