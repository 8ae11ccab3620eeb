//! The images of one data directory: content-addressed blobs, layers unpacked for overlayfs, and names.
//!
//! The directory is an OCI image layout that other tools can read, with two folders more:
//! ```text
//! index.json, oci-layout   names → manifests
//! blobs/sha256/HEX         manifests, configurations, layers as they came
//! layers/HEX/              layers unpacked, by the digest of their tar; lower directories for overlayfs
//! tmp/, lock               what is being written, by whoever holds the lock
//! ```
//! Several processes may use it at once: writers take the lock, readers need none, because every file appears whole
//! by a rename. All calls block. Never runs anything; called by `sandbox`, and through it by the image commands.

mod add;
mod archive;
mod compression;
mod digest;
mod elf;
mod entry;
mod error;
mod find;
mod keep;
mod layout;
mod limits;
mod mounted;
mod name;
mod oci;
mod pack;
mod remove;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use layout::Layout;
use limits::{LIMITS, Limits};
use oci::{Descriptor, ImageConfig, Index, Manifest};

pub use digest::Digest;
pub use error::Error;
pub use name::{BadName, Name};

/// What a container of an image runs as, unless its pod says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments after the entrypoint, or the whole command if there is none.
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; empty is root.
    pub user: String,
    /// Where to start; empty is `/`.
    pub working_dir: String,
    /// `8080/tcp`. Only a note to people.
    pub exposed_ports: Vec<String>,
    /// The signal that asks to stop: a name or a number; `None` is SIGTERM.
    pub stop_signal: Option<String>,
}

/// An image that is ready to be mounted.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of the configuration: what `docker images` calls the id.
    pub id: Digest,
    /// The digest of the manifest.
    pub digest: Digest,
    /// What a container of it runs as.
    pub config: Config,
    /// It came from its registry, which may have another by now; what was made or loaded here has none to ask.
    pub pulled: bool,
    /// Unpacked layers, lowest first, whiteouts in overlayfs form.
    pub layers: Vec<PathBuf>,
}

/// One line of a list of images.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its name, as people write it; empty for one that is kept for its digest alone.
    pub name: String,
    /// The digest of the configuration.
    pub id: Digest,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Bytes of its blobs.
    pub size_bytes: u64,
    /// When it was made, or, where it does not say, when it came here.
    pub created: SystemTime,
    /// Why it cannot be used, if it is damaged; then its id is that of its manifest.
    pub problem: Option<String>,
}

/// What a removal did.
#[derive(Debug, Clone, Default)]
pub struct Removed {
    /// Names that are gone.
    pub names: Vec<String>,
    /// Blobs that are gone, because no other image needs them.
    pub blobs: Vec<Digest>,
    /// The space of them.
    pub size_bytes: u64,
    /// The image stays without the name, because it is kept for its digest.
    pub kept: bool,
}

/// How often a reader starts over while names move under it; each time takes a writer some milliseconds.
const READS_MAX: usize = 16;

/// The images of one directory. Holds no state of its own, so any number of them may be open.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    limits: Limits,
}

impl Store {
    /// Opens the store in `dir`, and makes it if it is not there.
    pub fn open(dir: &Path) -> Result<Store, Error> {
        Ok(Store { layout: Layout::open(dir)?, limits: LIMITS })
    }

    /// Where the store lives. A rename in this directory tells of a new or removed name.
    pub fn dir(&self) -> &Path {
        self.layout.dir()
    }

    /// Makes an image from a directory, whose content becomes the root file system, or from one static binary, which
    /// becomes `/app/<file name>` and, unless `config` has one, the entrypoint. All files belong to root. The same
    /// input gives the same digest. A name that exists is moved to the new image.
    pub fn build(&self, source: &Path, name: &str, config: Config) -> Result<Image, Error> {
        let name = add::new_name(name)?;
        add::build(&self.layout, source, &name, config, &self.limits)?;
        self.resolve(&name.to_string())
    }

    /// Makes an image of one layer from a root file system tar: plain, gzip or zstd.
    pub fn import(&self, tar: &mut dyn Read, name: &str, config: Config) -> Result<Image, Error> {
        let name = add::new_name(name)?;
        add::import(&self.layout, tar, &name, config, &self.limits)?;
        self.resolve(&name.to_string())
    }

    /// Takes in the images of a `docker save` or OCI layout tar, plain, gzip or zstd. `name` names the one image of
    /// an archive, in place of the name in there.
    pub fn load(&self, tar: &mut dyn Read, name: Option<&str>) -> Result<Vec<Summary>, Error> {
        let name = name.map(add::new_name).transpose()?;
        let names = add::load(&self.layout, tar, name.as_ref(), false, &self.limits)?;
        let familiar: Vec<String> = names.iter().map(Name::familiar).collect();
        Ok(self.list()?.into_iter().filter(|summary| familiar.contains(&summary.name)).collect())
    }

    /// Takes in the one image of an OCI layout tar that came from a registry under this name, which may hold a digest.
    pub fn take_pulled(&self, tar: &mut dyn Read, name: &str) -> Result<Image, Error> {
        let name = Name::parse(name)?;
        add::load(&self.layout, tar, Some(&name), true, &self.limits)?;
        self.resolve(&name.to_string())
    }

    /// Every name and its image, sorted by name.
    pub fn list(&self) -> Result<Vec<Summary>, Error> {
        let summaries = |index: &Index| -> Result<Vec<Summary>, Error> {
            let named = |digest: &Digest| {
                index.manifests.iter().any(|other| other.digest == *digest && !keep::is_kept(other))
            };
            let listed = |other: &&Descriptor| !keep::is_kept(other) || !named(&other.digest);
            Ok(index.manifests.iter().filter(listed).map(|descriptor| self.summary(descriptor)).collect())
        };
        let mut all = self.read(summaries, |all| all.iter().all(|summary| summary.problem.is_none()))?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Keeps the image of a name, a digest or an id, whatever becomes of its names, until [`Store::keep_only`] says
    /// otherwise.
    pub fn keep(&self, name: &str) -> Result<Image, Error> {
        let digest = keep::keep(&self.layout, name)?;
        self.resolve(&digest.to_string())
    }

    /// Keeps the images of these digests, as far as they are here, and no longer the others that were kept.
    pub fn keep_only(&self, digests: &BTreeSet<Digest>) -> Result<(), Error> {
        keep::keep_only(&self.layout, digests)
    }

    /// Takes away a name (or the one name of an id), and everything that no other image needs. An image that some
    /// container runs on is refused; one that is kept for its digest stays without the name.
    pub fn remove(&self, name: &str) -> Result<Removed, Error> {
        remove::remove(&self.layout, name)
    }

    /// The image of a name, a digest, an id or the start of one.
    pub fn resolve(&self, name: &str) -> Result<Image, Error> {
        self.read(|index| self.image(find::find(&self.layout, index, name)?[0]), |_| true)
    }

    /// Reads without the lock, and again if what failed may have failed because a name has moved in between.
    fn read<T>(
        &self,
        f: impl Fn(&Index) -> Result<T, Error>,
        sound: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let mut index = self.layout.index()?;
        for _ in 0..READS_MAX {
            let result = f(&index);
            if result.as_ref().is_ok_and(&sound) {
                return result;
            }
            let now = self.layout.index()?;
            if now == index {
                return result;
            }
            index = now;
        }
        // Writers are too busy to be overtaken: they wait for once.
        let _writing = self.layout.write()?;
        f(&self.layout.index()?)
    }

    fn image(&self, descriptor: &Descriptor) -> Result<Image, Error> {
        let digest = &descriptor.digest;
        let (manifest, config) = self.documents(digest)?;
        let mut layers: Vec<PathBuf> = Vec::new();
        for diff_id in &config.rootfs.diff_ids {
            let layer = self.layout.layer(diff_id);
            // Overlayfs takes a directory once. The upper one of two equal layers shows all of the lower one.
            layers.retain(|other| *other != layer);
            layers.push(layer);
        }
        if let Some(missing) = layers.iter().find(|layer| !layer.is_dir()) {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::Io { doing: "finding the layer", path: missing.clone(), source });
        }
        Ok(Image {
            id: manifest.config.digest,
            digest: digest.clone(),
            pulled: descriptor.annotation(oci::PULLED).is_some(),
            config: config.config.unwrap_or_default().into(),
            layers,
        })
    }

    fn documents(&self, digest: &Digest) -> Result<(Manifest, ImageConfig), Error> {
        let manifest: Manifest = self.layout.json(digest)?;
        let config = self.layout.json(&manifest.config.digest)?;
        Ok((manifest, config))
    }

    fn summary(&self, descriptor: &Descriptor) -> Summary {
        let added = descriptor.annotation(oci::ADDED).and_then(time).unwrap_or(SystemTime::UNIX_EPOCH);
        let name = remove::familiar(descriptor);
        let digest = descriptor.digest.clone();
        match self.documents(&descriptor.digest) {
            Ok((manifest, config)) => Summary {
                name,
                digest,
                id: manifest.config.digest,
                size_bytes: manifest.config.size
                    + manifest.layers.iter().map(|layer| layer.size).sum::<u64>(),
                created: config.created.as_deref().and_then(time).unwrap_or(added),
                problem: None,
            },
            Err(error) => Summary {
                name,
                id: digest.clone(),
                digest,
                size_bytes: 0,
                created: added,
                problem: Some(error.to_string()),
            },
        }
    }
}

fn time(text: &str) -> Option<SystemTime> {
    Some(text.parse::<jiff::Timestamp>().ok()?.into())
}
