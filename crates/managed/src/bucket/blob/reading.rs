//! Bytes on their way out: pieces of files, one after the other, a block at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Blobs, Pinned};

/// So much is read at a time, and is in memory of an object that is being read.
const BLOCK_BYTES: u64 = 512 * 1024;

/// A run of bytes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bucket) struct Piece {
    pub(in crate::bucket) id: String,
    pub(in crate::bucket) from: u64,
    pub(in crate::bucket) size: u64,
}

/// An object, or a part of it, that is being read. What is read stays there until this is dropped, whoever deletes it.
pub struct Reading {
    blobs: Arc<Blobs>,
    pieces: VecDeque<Piece>,
    file: Option<File>,
    size: u64,
    _pinned: Pinned,
}

impl Reading {
    pub(in crate::bucket) fn new(blobs: Arc<Blobs>, pieces: VecDeque<Piece>, pinned: Pinned) -> Reading {
        let size = pieces.iter().map(|piece| piece.size).sum();
        Reading { blobs, pieces, file: None, size, _pinned: pinned }
    }

    /// How many bytes come at all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes; `None` when there are no more.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        while self.pieces.front().is_some_and(|piece| piece.size == 0) {
            self.pieces.pop_front();
            self.file = None;
        }
        let piece = self.pieces.front_mut()?;
        let size = piece.size.min(BLOCK_BYTES);
        let (from, path, file) = (piece.from, self.blobs.path(&piece.id), self.file.take());
        piece.from += size;
        piece.size -= size;
        let read = tokio::task::spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => File::open(path)?,
            };
            let mut block = vec![0; usize::try_from(size).unwrap_or(0)];
            file.read_exact_at(&mut block, from)?;
            Ok((file, Bytes::from(block)))
        });
        match read.await.map_err(io::Error::other).and_then(|read| read) {
            Ok((file, bytes)) => {
                self.file = Some(file);
                Some(Ok(bytes))
            }
            Err(error) => {
                self.pieces.clear();
                Some(Err(error))
            }
        }
    }
}
