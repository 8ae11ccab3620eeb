//! Pulling an image into the store: what `registry` fetches, `container` checks and unpacks. Used by nodes and by the
//! image commands.
use container::image::{BadName, Image, Name, Store};
use registry::{Credentials, Pulled, Reference};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// Not an image name.
    #[error("couldn't parse image name: {0}")]
    Name(#[from] BadName),
    /// The registry did not give it.
    #[error("failed to pull and unpack image \"{name}\": {error}")]
    Registry {
        /// The image, in full.
        name: String,
        /// Why.
        error: registry::Error,
    },
    /// The store did not take it.
    #[error("failed to pull and unpack image \"{name}\": {error}")]
    Store {
        /// The image, in full.
        name: String,
        /// Why.
        error: container::image::Error,
    },
    /// The archive between the two could not be kept.
    #[error("failed to pull and unpack image \"{name}\": {error}")]
    Disk {
        /// The image, in full.
        name: String,
        /// Why.
        error: io::Error,
    },
}

/// Pulls of one store: an image that is being pulled is not pulled twice at a time.
#[derive(Debug, Default)]
pub struct Pulls(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Pulls {
    /// The turn of one name.
    fn turn(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Fetches what the registry has under a name, unless the store holds just that; gives the image, and the bytes
    /// fetched. `missing_only` leaves alone what came meanwhile.
    pub async fn pull(
        &self,
        images: &Arc<Store>,
        name: &str,
        credentials: &[Credentials],
        missing_only: bool,
    ) -> Result<(Image, u64), PullError> {
        let parsed = Name::parse(name)?;
        let full = parsed.to_string();
        let turn = self.turn(&full);
        let _turn = turn.lock().await;
        let here = images.resolve(&full).ok();
        match here {
            Some(image) if missing_only => Ok((image, 0)),
            here => fetch(images, &parsed, credentials, here).await,
        }
    }
}

async fn fetch(
    images: &Arc<Store>,
    parsed: &Name,
    credentials: &[Credentials],
    here: Option<Image>,
) -> Result<(Image, u64), PullError> {
    let name = || parsed.to_string();
    let disk = |error| PullError::Disk { name: name(), error };
    let mut archive = scratch(images).map_err(disk)?;
    let reference =
        Reference { host: parsed.api_host(), path: parsed.path().to_owned(), version: parsed.version() };
    let have = here.as_ref().map(|image| image.digest.to_string());
    let pulled = registry::pull(&reference, credentials, have.as_deref(), &archive).await;
    let bytes = match (pulled, here) {
        (Ok(Pulled::Current), Some(image)) => return Ok((image, 0)),
        (Ok(Pulled::Fetched { bytes }), _) => bytes,
        (Ok(Pulled::Current), None) => 0,
        (Err(error), _) => return Err(PullError::Registry { name: name(), error }),
    };
    let (images, full) = (images.clone(), name());
    let taken = tokio::task::spawn_blocking(move || {
        archive.rewind().map_err(|error| PullError::Disk { name: full.clone(), error })?;
        images
            .take_pulled(&mut archive, &full)
            .map_err(|error| PullError::Store { name: full.clone(), error })
    });
    match taken.await {
        Ok(image) => Ok((image?, bytes)),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A file that is gone as soon as nobody holds it.
fn scratch(images: &Store) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let dir = images.dir().join("tmp");
    std::fs::create_dir_all(&dir)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("pull-{}-{count}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
