//! Images as the doors ask for them: those of functions, and those that runtimes are given.

use super::Functions;
use crate::definition::Definition;
use crate::images::{ImageError, TakenImage};
use crate::runtimes::{RUNTIMES, RuntimeError, RuntimeImage};
use std::collections::BTreeMap;
use std::io;
use std::sync::PoisonError;
use std::time::Instant;

/// Why a runtime was not given an image.
#[derive(Debug, thiserror::Error)]
pub enum AddRuntimeError {
    /// No such runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// No such image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image has nothing to start.
    #[error("Image {0} has neither an entry point nor a command: there is nothing to start the runtime with")]
    Empty(String),
    /// The disk refused.
    #[error("it could not be written down: {0}")]
    Io(#[from] io::Error),
}

impl Functions {
    /// Finds the image of a name. It is kept as long as a function has it, and for a while before.
    pub async fn put_image(&self, name: &str) -> Result<TakenImage, ImageError> {
        let (machine, asked) = (self.machine.clone(), name.to_owned());
        let taken = tokio::task::spawn_blocking(move || machine.images.take(&asked)).await;
        let taken = taken.unwrap_or_else(|error| {
            Err(ImageError::Unusable { name: name.to_owned(), reason: error.to_string() })
        })?;
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.insert(taken.digest.clone(), Instant::now());
        Ok(taken)
    }

    /// Functions of this runtime run in this image from their next start on.
    pub async fn add_runtime(&self, runtime: &str, image: &str) -> Result<RuntimeImage, AddRuntimeError> {
        if !RUNTIMES.contains(&runtime) {
            return Err(RuntimeError::Unknown(runtime.to_owned()).into());
        }
        let taken = self.put_image(image).await?;
        let root = self.machine.images.known(&taken.digest);
        let starts = root.is_some_and(|root| !root.entrypoint.is_empty() || !root.command.is_empty());
        if !starts && !runtime.starts_with("provided") {
            return Err(AddRuntimeError::Empty(image.to_owned()));
        }
        let given = RuntimeImage { image: image.to_owned(), digest: taken.digest };
        let (machine, runtime, written) = (self.machine.clone(), runtime.to_owned(), given.clone());
        let put = tokio::task::spawn_blocking(move || machine.runtime_images.put(&runtime, written)).await;
        put.map_err(io::Error::other)??;
        Ok(given)
    }

    /// The images that runtimes were given.
    pub fn runtime_images(&self) -> BTreeMap<String, RuntimeImage> {
        self.machine.runtime_images.all()
    }

    /// Functions of this runtime run on the host's interpreter again, if there is one. Whether the runtime had an image.
    pub async fn remove_runtime(&self, runtime: &str) -> io::Result<bool> {
        let (machine, runtime) = (self.machine.clone(), runtime.to_owned());
        let removed = tokio::task::spawn_blocking(move || machine.runtime_images.remove(&runtime)).await;
        removed.map_err(io::Error::other)?
    }

    /// A function may have come by another way than `put_image`: its image is kept from now on.
    pub(super) fn keep_image(&self, definition: &Definition) {
        for digest in definition.revision.images() {
            if self.machine.images.known(digest).is_some() {
                continue;
            }
            let (machine, digest, name) = (self.machine.clone(), digest.clone(), definition.name.clone());
            tokio::task::spawn_blocking(move || {
                if let Err(error) = machine.images.of(&digest) {
                    tracing::warn!(function = name, %error, "a function's image is not here: it cannot be started");
                }
            });
        }
    }

    /// Lets go of images that neither a function nor a runtime needs, nor anybody has just asked for (`recent`).
    pub(super) async fn sweep_images(&self, recent: impl Iterator<Item = String>) {
        let mut keep = self.catalog.images();
        keep.extend(self.runtime_images().into_values().map(|image| image.digest));
        keep.extend(recent);
        let machine = self.machine.clone();
        let swept = tokio::task::spawn_blocking(move || machine.images.keep_only(keep.iter())).await;
        match swept {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "images could not be swept"),
            Err(error) => tracing::error!(%error, "sweeping images failed"),
        }
    }
}
