//! The images that runtimes were given, so that functions run in them and not on the interpreters of the host. Owns one
//! small file, which says it again after a restart.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

/// The image of a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeImage {
    /// The name that it was given by.
    pub image: String,
    /// The digest of its manifest, which is what counts.
    pub digest: String,
}

pub(crate) struct RuntimeImages {
    file: PathBuf,
    images: Mutex<BTreeMap<String, RuntimeImage>>,
}

impl RuntimeImages {
    pub(crate) fn open(file: PathBuf) -> io::Result<RuntimeImages> {
        let images = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(RuntimeImages { file, images: Mutex::new(images) })
    }

    pub(crate) fn digest(&self, runtime: &str) -> Option<String> {
        self.lock().get(runtime).map(|image| image.digest.clone())
    }

    pub(crate) fn all(&self) -> BTreeMap<String, RuntimeImage> {
        self.lock().clone()
    }

    /// What is told survives a loss of power. Blocks.
    pub(crate) fn put(&self, runtime: &str, image: RuntimeImage) -> io::Result<()> {
        let mut images = self.lock();
        let mut changed = images.clone();
        changed.insert(runtime.to_owned(), image);
        self.write(&changed)?;
        *images = changed;
        Ok(())
    }

    /// Whether it had an image. Blocks.
    pub(crate) fn remove(&self, runtime: &str) -> io::Result<bool> {
        let mut images = self.lock();
        let mut changed = images.clone();
        let had = changed.remove(runtime).is_some();
        self.write(&changed)?;
        *images = changed;
        Ok(had)
    }

    fn write(&self, images: &BTreeMap<String, RuntimeImage>) -> io::Result<()> {
        let fresh = self.file.with_extension("new");
        let mut file = fs::File::create(&fresh)?;
        io::Write::write_all(&mut file, &serde_json::to_vec_pretty(images)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.file)?;
        self.file.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, RuntimeImage>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_survive_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || RuntimeImages::open(dir.path().join("images.json")).expect("a file");
        let image = RuntimeImage { image: "ruby:1".to_owned(), digest: "sha256:ab".to_owned() };
        open().put("ruby3.4", image.clone()).expect("written");
        assert_eq!(open().all(), BTreeMap::from([("ruby3.4".to_owned(), image)]));
        assert!(open().remove("ruby3.4").expect("written"));
        assert_eq!(open().digest("ruby3.4"), None);
        assert!(!open().remove("ruby3.4").expect("written"));
    }
}
