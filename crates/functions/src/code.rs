//! The code store: zip archives kept by their SHA-256, each unpacked once into a tree that instances mount read-only.
//! Owns `code/` below the room's directory; never runs anything. Called by `Functions`.
//!
//! `code/<sha256>/code.zip` is the archive as uploaded, `code/<sha256>/task/` its files. Layers of functions are archives
//! like any other; `merge` makes one tree of several.

mod merge;
mod unpack;

pub(crate) use merge::merged_name;

use bytes::Bytes;
use sigv4::hex_sha256;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The largest archive that comes inside a request, which whoever takes it checks: AWS's limit for direct uploads. One that
/// comes from elsewhere may be as large as what it unpacks to.
pub const ZIP_BYTES_MAX: usize = 50 * 1024 * 1024;

/// The most that an archive may unpack to: AWS's limit, 250 MiB.
pub const UNZIPPED_BYTES_MAX: u64 = 262_144_000;

/// The most files in one archive. Enough for any `node_modules`; keeps a crafted archive from filling the inodes.
pub const FILES_MAX: usize = 100_000;

/// A code archive in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The SHA-256 of the zip archive, in lower-case hexadecimal.
    pub sha256: String,
    /// The size of the zip archive in bytes.
    pub size: u64,
}

/// Why an archive was refused. The first three are the uploader's to mend.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Not a zip archive, or a damaged one.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again.")]
    NotZip(#[source] zip::result::ZipError),
    /// It holds something that must not be unpacked.
    #[error("The uploaded file holds an entry that cannot be unpacked: {0}")]
    Entry(String),
    /// Over [`UNZIPPED_BYTES_MAX`] or [`FILES_MAX`].
    #[error("{0}")]
    TooLarge(String),
    /// The disk refused.
    #[error("cannot write to the code store")]
    Io(#[from] io::Error),
}

pub(crate) struct Codes {
    dir: PathBuf,
}

impl Codes {
    pub(crate) fn open(dir: PathBuf) -> io::Result<Codes> {
        fs::create_dir_all(&dir)?;
        // What a crash left half unpacked was never acknowledged.
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Codes { dir })
    }

    /// Where the files of an archive are, if it is in the store.
    pub(crate) fn task(&self, sha256: &str) -> Option<PathBuf> {
        let path = self.dir.join(sha256).join("task");
        (is_sha256(sha256) && path.is_dir()).then_some(path)
    }

    /// The archive as it was uploaded.
    pub(crate) fn archive(&self, sha256: &str) -> Option<PathBuf> {
        let path = self.dir.join(sha256).join("code.zip");
        (is_sha256(sha256) && path.is_file()).then_some(path)
    }

    /// Checks and stores an archive. Blocks. What is acknowledged survives a loss of power.
    pub(crate) fn put(&self, zip: &Bytes) -> Result<Code, CodeError> {
        if zip.len() as u64 > UNZIPPED_BYTES_MAX {
            return Err(CodeError::TooLarge(format!(
                "Zipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes"
            )));
        }
        let sha256 = hex_sha256(zip);
        let code = Code { sha256: sha256.clone(), size: zip.len() as u64 };
        let finished = self.dir.join(&sha256);
        if finished.is_dir() {
            return Ok(code);
        }
        let unfinished = self.dir.join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()));
        let result = self.write(zip, &unfinished, &finished);
        if result.is_err() {
            // Best effort: the next start sweeps what could not be removed now.
            drop(fs::remove_dir_all(&unfinished));
        }
        result.map(|()| code)
    }

    fn write(&self, zip: &Bytes, unfinished: &Path, finished: &Path) -> Result<(), CodeError> {
        let task = unfinished.join("task");
        fs::create_dir_all(&task)?;
        unpack::unpack(zip, &task)?;
        fs::write(unfinished.join("code.zip"), zip)?;
        // One flush of the file system instead of one for each of perhaps thousands of files.
        rustix::fs::syncfs(fs::File::open(&self.dir)?).map_err(io::Error::from)?;
        match fs::rename(unfinished, finished) {
            Ok(()) => {}
            // Someone else has just stored the same archive.
            Err(_) if finished.is_dir() => fs::remove_dir_all(unfinished)?,
            Err(error) => return Err(error.into()),
        }
        fs::File::open(&self.dir)?.sync_all()?;
        Ok(())
    }

    /// Removes the archives that `keep` does not name. Blocks.
    pub(crate) fn sweep(&self, keep: &HashSet<String>) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_sha256(&name) && !keep.contains(&name) {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

const UNFINISHED: &str = ".unfinished-";

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests;
