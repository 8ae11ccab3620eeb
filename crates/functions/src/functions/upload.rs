//! Code and layers as the doors bring them.

use super::Functions;
use crate::code::{Code, CodeError};
use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Instant;

impl Functions {
    /// Checks and stores a zip archive. It is kept as long as a function names it, and for a while before.
    pub async fn put_code(&self, zip: Bytes) -> Result<Code, CodeError> {
        let machine = self.machine.clone();
        let stored = tokio::task::spawn_blocking(move || machine.codes.put(&zip)).await;
        let code = stored.map_err(io::Error::other)??;
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.insert(code.sha256.clone(), Instant::now());
        Ok(code)
    }

    /// Makes what functions with these layers will see at `/opt`, and gives how many bytes the layers and the function's
    /// own code take unpacked.
    pub async fn put_layers(&self, code: Option<String>, layers: Vec<String>) -> Result<u64, CodeError> {
        let machine = self.machine.clone();
        let work = move || -> Result<u64, CodeError> {
            machine.codes.merge(&layers)?;
            let all = layers.iter().chain(&code).map(|sha256| machine.codes.unzipped_bytes(sha256));
            Ok(all.sum::<io::Result<u64>>()?)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// The archive that was uploaded, as a file.
    pub fn code_archive(&self, sha256: &str) -> Option<PathBuf> {
        self.machine.codes.archive(sha256)
    }
}
