//! The files of the store: blobs, unpacked layers and the index, each appearing whole and durable by a rename; the
//! lock that writers take. Knows nothing of what an image means.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::archive::Stored;
use super::digest::{Digest, Hashed};
use super::error::{Error, failed};
use super::limits::LIMITS;
use super::oci::Index;

#[derive(Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Only root may enter: layers hold setuid programs that are not meant for the host.
    pub(crate) fn open(dir: &Path) -> Result<Layout, Error> {
        // Layers are mounted by processes that stand elsewhere.
        let dir = std::path::absolute(dir).map_err(failed("finding", dir))?;
        let layout = Layout { dir: dir.clone() };
        for folder in ["", "blobs/sha256", "layers", "tmp"] {
            let folder = dir.join(folder);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(failed("creating", &folder))?;
        }
        if !layout.index_path().exists() {
            let writing = layout.write()?;
            writing.put_file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
            if !layout.index_path().exists() {
                writing.put_index(&Index::default())?;
            }
        }
        Ok(layout)
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Where the layer with this digest of its tar is, or is to be.
    pub(crate) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join("layers").join(diff_id.hex())
    }

    pub(crate) fn index(&self) -> Result<Index, Error> {
        let path = self.index_path();
        let bytes = fs::read(&path).map_err(failed("reading", &path))?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Corrupt { path, source })
    }

    /// A JSON blob, which must be what its digest says.
    pub(crate) fn json<T: DeserializeOwned>(&self, digest: &Digest) -> Result<T, Error> {
        let path = self.blob(digest);
        let bytes = read_small(&path)?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::Digest { what: path.display().to_string(), expected: digest.clone(), found });
        }
        serde_json::from_slice(&bytes).map_err(|source| Error::Corrupt { path, source })
    }

    /// Waits for other writers, in this process and in others.
    pub(crate) fn write(&self) -> Result<Writing<'_>, Error> {
        let path = self.dir.join("lock");
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let lock = lock.map_err(failed("opening", &path))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(failed("locking", &path))?;
        let writing = Writing { layout: self, _lock: lock, next: std::cell::Cell::new(0) };
        writing.clear_tmp()?;
        Ok(writing)
    }

    /// Names of the files in a folder that are digests.
    pub(crate) fn digests(&self, folder: &str) -> Result<BTreeSet<Digest>, Error> {
        let path = self.dir.join(folder);
        let names = fs::read_dir(&path).map_err(failed("reading", &path))?;
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|hex| Digest::parse(&format!("sha256:{hex}"))).collect())
    }
}

/// A JSON file of bounded size.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = fs::metadata(path).map_err(failed("reading", path))?.len();
    if bytes > LIMITS.json_bytes {
        return Err(Error::TooLarge {
            what: "a manifest or configuration",
            max: LIMITS.json_bytes,
            unit: "bytes",
        });
    }
    fs::read(path).map_err(failed("reading", path))
}

/// The right to write: one holder at a time, which owns all of `tmp`.
pub(crate) struct Writing<'a> {
    layout: &'a Layout,
    _lock: File,
    next: std::cell::Cell<u32>,
}

/// A file or directory in `tmp`, gone with this value unless it has been moved to its place.
pub(crate) struct Draft {
    pub path: PathBuf,
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = match fs::symlink_metadata(&self.path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&self.path),
            Ok(_) => fs::remove_file(&self.path),
            Err(_) => Ok(()),
        };
    }
}

/// A blob on its way: written, synced, and named by what it turned out to be.
pub(crate) struct Blob {
    pub draft: Draft,
    pub digest: Digest,
    pub size: u64,
}

impl Writing<'_> {
    /// What writers that were killed have left.
    fn clear_tmp(&self) -> Result<(), Error> {
        let tmp = self.layout.dir.join("tmp");
        for entry in fs::read_dir(&tmp).map_err(failed("reading", &tmp))? {
            drop(Draft { path: entry.map_err(failed("reading", &tmp))?.path() });
        }
        Ok(())
    }

    fn draft(&self) -> Draft {
        self.next.set(self.next.get() + 1);
        Draft { path: self.layout.dir.join("tmp").join(self.next.get().to_string()) }
    }

    pub(crate) fn draft_directory(&self) -> Result<Draft, Error> {
        let draft = self.draft();
        DirBuilder::new().mode(0o755).create(&draft.path).map_err(failed("creating", &draft.path))?;
        Ok(draft)
    }

    /// Writes a blob with what `fill` gives.
    pub(crate) fn blob(&self, fill: impl FnOnce(&mut dyn Write) -> Result<(), Error>) -> Result<Blob, Error> {
        let draft = self.draft();
        let file = File::create_new(&draft.path).map_err(failed("creating", &draft.path))?;
        let mut writer = Hashed::new(io::BufWriter::with_capacity(1 << 16, file));
        fill(&mut writer)?;
        let (writer, digest, size) = writer.finish();
        let file = writer.into_inner().map_err(|e| failed("writing", &draft.path)(e.into_error()))?;
        file.sync_all().map_err(failed("syncing", &draft.path))?;
        Ok(Blob { draft, digest, size })
    }

    pub(crate) fn json(&self, document: &impl Serialize) -> Result<Blob, Error> {
        let bytes = serde_json::to_vec(document).expect("documents of strings and numbers can be written");
        self.blob(|writer| writer.write_all(&bytes).map_err(failed("writing", &self.layout.dir)))
    }

    pub(crate) fn put_blob(&self, blob: &Blob) -> Result<(), Error> {
        self.put(&blob.draft, &self.layout.blob(&blob.digest))
    }

    /// Puts a spooled file in its place as a blob, if it is not there.
    pub(crate) fn keep_blob(&self, stored: &Stored) -> Result<(), Error> {
        let place = self.layout.blob(&stored.digest);
        if place.exists() {
            return Ok(());
        }
        let synced = File::open(&stored.path).and_then(|file| file.sync_all());
        synced.map_err(failed("syncing", &stored.path))?;
        self.put(&Draft { path: stored.path.clone() }, &place)
    }

    pub(crate) fn has_layer(&self, diff_id: &Digest) -> bool {
        self.layout.layer(diff_id).exists()
    }

    /// Puts a layer that is unpacked and synced in its place.
    pub(crate) fn put_layer(&self, draft: &Draft, diff_id: &Digest) -> Result<(), Error> {
        let place = self.layout.layer(diff_id);
        if place.exists() { Ok(()) } else { self.put(draft, &place) }
    }

    pub(crate) fn put_index(&self, index: &Index) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(index).expect("an index can be written");
        self.put_file("index.json", &bytes)
    }

    fn put_file(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let place = self.layout.dir.join(name);
        let blob = self.blob(|writer| writer.write_all(bytes).map_err(failed("writing", &place)))?;
        self.put(&blob.draft, &place)
    }

    fn put(&self, draft: &Draft, place: &Path) -> Result<(), Error> {
        fs::rename(&draft.path, place).map_err(failed("creating", place))?;
        let folder = place.parent().expect("every place is in the store");
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing", folder))
    }

    /// Takes something out of sight at once, and away.
    pub(crate) fn discard(&self, place: &Path) -> Result<(), Error> {
        let draft = self.draft();
        fs::rename(place, &draft.path).map_err(failed("removing", place))
    }
}
