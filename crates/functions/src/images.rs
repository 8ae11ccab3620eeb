//! The images that functions and runtimes run from. A name is looked up once, when a function gets it; from then on its
//! digest counts, and the store keeps that image whatever becomes of the name.

use sandbox::image::{Digest, Error, Store};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An image that a function was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenImage {
    /// `sha256:` and the hexadecimal digest of its manifest.
    pub digest: String,
}

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not in the store.
    #[error(
        "Source image {0} does not exist. Provide a valid source image. (Bring it here with `dory image pull`, `dory \
         image load` or `dory image build`.)"
    )]
    Missing(String),
    /// Damaged, or not a name.
    #[error("Source image {name} is not valid. Provide a valid source image. ({reason})")]
    Unusable {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What an image gives its instances.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImageRoot {
    /// Lowest first.
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_directory: String,
}

pub(crate) struct Images {
    store: Arc<Store>,
    known: Mutex<HashMap<String, Arc<ImageRoot>>>,
}

impl Images {
    pub(crate) fn new(store: Arc<Store>) -> Images {
        Images { store, known: Mutex::default() }
    }

    /// Finds the image of a name and keeps it. Blocks.
    pub(crate) fn take(&self, name: &str) -> Result<TakenImage, ImageError> {
        let image = self.store.keep(name).map_err(|error| match error {
            Error::NotFound { .. } => ImageError::Missing(name.to_owned()),
            other => ImageError::Unusable { name: name.to_owned(), reason: other.to_string() },
        })?;
        let digest = image.digest.to_string();
        self.lock().insert(digest.clone(), Arc::new(image.into()));
        Ok(TakenImage { digest })
    }

    /// The image of a digest, if it was read before. Does not block.
    pub(crate) fn known(&self, digest: &str) -> Option<Arc<ImageRoot>> {
        self.lock().get(digest).cloned()
    }

    /// The image of a digest. Blocks the first time.
    pub(crate) fn of(&self, digest: &str) -> Result<Arc<ImageRoot>, ImageError> {
        if let Some(root) = self.known(digest) {
            return Ok(root);
        }
        self.take(digest)?;
        self.known(digest).ok_or_else(|| ImageError::Missing(digest.to_owned()))
    }

    /// Keeps these and lets go of all others. Blocks.
    pub(crate) fn keep_only<'a>(&self, digests: impl Iterator<Item = &'a String>) -> Result<(), Error> {
        let digests: BTreeSet<Digest> = digests.filter_map(|text| Digest::parse(text)).collect();
        self.lock().retain(|known, _| digests.iter().any(|digest| digest.to_string() == *known));
        self.store.keep_only(&digests)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<ImageRoot>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<sandbox::image::Image> for ImageRoot {
    fn from(image: sandbox::image::Image) -> ImageRoot {
        let config = image.config;
        let variable = |entry: &String| {
            let (name, value) = entry.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        ImageRoot {
            layers: image.layers,
            environment: config.env.iter().filter_map(variable).collect(),
            entrypoint: config.entrypoint,
            command: config.cmd,
            working_directory: config.working_dir,
        }
    }
}
