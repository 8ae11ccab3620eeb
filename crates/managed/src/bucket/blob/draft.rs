//! Bytes on their way into a file. Hashing and writing happen on threads that may block, while the next bytes are gathered:
//! of an object of any size, two blocks are in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{Blobs, Fresh};
use crate::bucket::Algorithm;
use crate::bucket::checksum::{Digests, Sums};

/// So much is gathered before it is written.
const BLOCK_BYTES: usize = 512 * 1024;

/// Bytes that are written between two looks at how much room is left, and also how much more there must be.
const LOOK_EVERY_BYTES: u64 = 8 << 20;

/// An object or a part that is being written.
pub struct Draft {
    blobs: Arc<Blobs>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    size: u64,
    work: Work,
}

/// Where the file is: here, or on a thread that writes to it.
enum Work {
    Here(Box<Writing>),
    There(JoinHandle<io::Result<Box<Writing>>>),
    Failed,
}

struct Writing {
    id: String,
    file: Option<Unfinished>,
    digests: Digests,
    unseen_bytes: u64,
}

/// A file that goes when it is dropped without being named, on whichever thread.
struct Unfinished {
    path: PathBuf,
    file: File,
    named: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.named {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// What was written, synced and named; nothing refers to it yet.
pub(in crate::bucket) struct Finished {
    pub(in crate::bucket) fresh: Fresh,
    pub(in crate::bucket) sums: Sums,
}

impl Draft {
    pub(in crate::bucket) fn new(blobs: Arc<Blobs>, algorithms: &[Algorithm]) -> Draft {
        let writing = Writing {
            id: Blobs::new_id(),
            file: None,
            digests: Digests::new(algorithms),
            // The first look comes before the first byte.
            unseen_bytes: LOOK_EVERY_BYTES,
        };
        let work = Work::Here(Box::new(writing));
        Draft { blobs, gathered: Vec::new(), gathered_bytes: 0, size: 0, work }
    }

    /// How many bytes were taken.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes bytes. After an error nothing more can be written.
    pub async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes < BLOCK_BYTES {
            return Ok(());
        }
        let mut writing = self.writing().await?;
        let (blobs, gathered) = (self.blobs.clone(), std::mem::take(&mut self.gathered));
        self.gathered_bytes = 0;
        self.work = Work::There(tokio::task::spawn_blocking(move || {
            writing.write(&blobs, &gathered)?;
            Ok(writing)
        }));
        Ok(())
    }

    /// Everything is there: it is on the disk, under its name, when this returns.
    pub(in crate::bucket) async fn finish(mut self) -> io::Result<Finished> {
        let mut writing = self.writing().await?;
        let (blobs, gathered, size) = (self.blobs.clone(), std::mem::take(&mut self.gathered), self.size);
        let done = tokio::task::spawn_blocking(move || {
            writing.write(&blobs, &gathered)?;
            writing.finish(&blobs, size)
        });
        done.await.map_err(io::Error::other)?
    }

    async fn writing(&mut self) -> io::Result<Box<Writing>> {
        match std::mem::replace(&mut self.work, Work::Failed) {
            Work::Here(writing) => Ok(writing),
            Work::There(task) => task.await.map_err(io::Error::other)?,
            Work::Failed => Err(io::Error::other("the file could not be written")),
        }
    }
}

impl Writing {
    fn write(&mut self, blobs: &Arc<Blobs>, gathered: &[Bytes]) -> io::Result<()> {
        for bytes in gathered {
            self.unseen_bytes += bytes.len() as u64;
            if self.unseen_bytes >= LOOK_EVERY_BYTES {
                self.unseen_bytes = 0;
                let more = LOOK_EVERY_BYTES.min(bytes.len() as u64);
                if !blobs.has_room(more)? {
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
            self.digests.update(bytes);
            self.open(blobs)?.file.write_all(bytes)?;
        }
        Ok(())
    }

    fn open(&mut self, blobs: &Blobs) -> io::Result<&mut Unfinished> {
        let unfinished = match self.file.take() {
            Some(unfinished) => unfinished,
            None => {
                let path = blobs.unfinished(&self.id);
                let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
                Unfinished { path, file, named: false }
            }
        };
        Ok(self.file.insert(unfinished))
    }

    fn finish(mut self, blobs: &Arc<Blobs>, size: u64) -> io::Result<Finished> {
        self.open(blobs)?;
        let Writing { id, file, digests, .. } = self;
        let Some(mut unfinished) = file else { return Err(io::Error::other("there is no file")) };
        unfinished.file.sync_data()?;
        let fresh = blobs.name(&unfinished.path, &id)?;
        unfinished.named = true;
        Ok(Finished { fresh, sums: digests.end(size) })
    }
}
