//! The files of a `docker save` or OCI layout tar, and the images that they make up. Names in the archive are only
//! compared, never used as paths of the host.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::compression::{self, read_error};
use super::digest::{Digest, Hashed};
use super::entry::{self, Kind};
use super::error::{Error, failed};
use super::layout::{Draft, Writing, read_small};
use super::limits::Limits;
use super::oci::{self, Descriptor, Index, Manifest, Saved, host_architecture};

/// Links from link to link, and indexes within indexes.
const DEPTH_MAX: usize = 8;

/// What the archive is made of, spooled to files whose names are numbers.
pub(crate) struct Archive {
    spool: Draft,
    files: HashMap<String, Stored>,
    links: HashMap<String, String>,
}

/// One file of the archive.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub path: PathBuf,
    pub digest: Digest,
    pub size: u64,
}

/// One image of the archive.
pub(crate) struct Found {
    /// As the archive has them; there may be none.
    pub names: Vec<String>,
    pub manifest: Manifest,
    /// The manifest's own bytes, where the archive has them.
    pub stored: Option<Stored>,
}

impl Archive {
    pub(crate) fn spool(
        tar: &mut dyn Read,
        writing: &Writing<'_>,
        limits: &Limits,
    ) -> Result<Archive, Error> {
        let spool = writing.draft_directory()?;
        let (mut tar, _) = compression::open(tar, limits)?;
        let mut archive = Archive { files: HashMap::new(), links: HashMap::new(), spool };
        entry::each(&mut tar, limits, |entry, content| {
            let path = clean("", &String::from_utf8_lossy(&entry.path));
            match entry.kind {
                Kind::File { bytes } => {
                    let stored = archive.store(content, bytes)?;
                    archive.files.insert(path, stored);
                }
                Kind::Symlink { to } => {
                    let to = clean(parent(&path), &String::from_utf8_lossy(&to));
                    archive.links.insert(path, to);
                }
                Kind::Hardlink { to } => {
                    archive.links.insert(path, clean("", &String::from_utf8_lossy(&to)));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(archive)
    }

    fn store(&self, content: &mut dyn Read, bytes: u64) -> Result<Stored, Error> {
        let path = self.spool.path.join(self.files.len().to_string());
        let file = File::create(&path).map_err(failed("creating", &path))?;
        let mut content = Hashed::new(content);
        let copied = copy(&mut content, file).map_err(|error| match error {
            CopyError::Read(error) => read_error(error),
            CopyError::Write(error) => failed("writing", &path)(error),
        })?;
        if copied != bytes {
            return Err(Error::Archive { problem: "it ends in the middle of a file".into() });
        }
        let (_, digest, size) = content.finish();
        Ok(Stored { path, digest, size })
    }

    fn find(&self, path: &str) -> Result<&Stored, Error> {
        let mut path = clean("", path);
        for _ in 0..DEPTH_MAX {
            if let Some(stored) = self.files.get(&path) {
                return Ok(stored);
            }
            match self.links.get(&path) {
                Some(to) => path.clone_from(to),
                None => break,
            }
        }
        Err(Error::Archive { problem: format!("the file {path} is missing in it") })
    }

    /// A blob by its digest, which its content must have.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<&Stored, Error> {
        let path = format!("blobs/sha256/{}", digest.hex());
        let stored = self.find(&path)?;
        if stored.digest != *digest {
            return Err(Error::Digest { what: path, expected: digest.clone(), found: stored.digest.clone() });
        }
        Ok(stored)
    }

    /// A file of whatever name with this content.
    pub(crate) fn stored(&self, digest: &Digest) -> Result<Stored, Error> {
        let stored = self.files.values().find(|stored| stored.digest == *digest).cloned();
        stored.ok_or_else(|| Error::Archive { problem: format!("the content {digest} is missing in it") })
    }

    fn json<T: DeserializeOwned>(&self, stored: &Stored, what: &str) -> Result<T, Error> {
        let bytes = read_small(&stored.path)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Archive { problem: format!("its {what} is malformed: {error}") })
    }

    /// The images in it, for this machine.
    pub(crate) fn images(&self) -> Result<Vec<Found>, Error> {
        if let Ok(stored) = self.find("manifest.json") {
            let saved: Vec<Saved> = self.json(stored, "manifest.json")?;
            return saved.iter().map(|saved| self.saved(saved)).collect();
        }
        let Ok(stored) = self.find("index.json") else {
            let problem = "it has neither a manifest.json (docker save) nor an index.json (OCI layout); a root file \
                           system is taken in by `import`";
            return Err(Error::Archive { problem: problem.into() });
        };
        let index: Index = self.json(stored, "index.json")?;
        index.manifests.iter().map(|descriptor| self.indexed(descriptor)).collect()
    }

    /// `docker save`: files are named, and have no descriptors.
    fn saved(&self, saved: &Saved) -> Result<Found, Error> {
        let config = descriptor(oci::CONFIG, self.find(&saved.config)?);
        let layers = saved.layers.iter().map(|path| {
            let stored = self.find(path)?;
            let mut head = [0; 6];
            let read = File::open(&stored.path).and_then(|mut file| file.read(&mut head));
            let n = read.map_err(failed("reading", &stored.path))?;
            let media_type = match compression::Compression::of(&head[..n])? {
                compression::Compression::None => oci::LAYER.to_owned(),
                compression::Compression::Gzip => format!("{}+gzip", oci::LAYER),
                compression::Compression::Zstd => format!("{}+zstd", oci::LAYER),
            };
            Ok(descriptor(&media_type, stored))
        });
        let layers = layers.collect::<Result<_, Error>>()?;
        let manifest = Manifest { schema_version: 2, media_type: oci::MANIFEST.into(), config, layers };
        Ok(Found { names: saved.repo_tags.clone().unwrap_or_default(), manifest, stored: None })
    }

    /// OCI layout: from the named entry, through indexes of platforms, to a manifest.
    fn indexed(&self, named: &Descriptor) -> Result<Found, Error> {
        // A reference that is only a tag names nothing by itself.
        let full = |name: &&str| name.contains(['/', ':']);
        let name = named.annotation(oci::CONTAINERD_NAME).or(named.annotation(oci::REF_NAME).filter(full));
        let names: Vec<String> = name.into_iter().map(str::to_owned).collect();
        let mut descriptor = named.clone();
        for _ in 0..DEPTH_MAX {
            let stored = self.blob(&descriptor.digest)?;
            if descriptor.media_type != oci::INDEX && descriptor.media_type != oci::DOCKER_INDEX {
                let manifest = self.json(stored, "manifest")?;
                return Ok(Found { names, manifest, stored: Some(stored.clone()) });
            }
            let index: Index = self.json(stored, "index")?;
            descriptor = for_this_machine(index)?;
        }
        Err(Error::Archive { problem: "it has indexes within indexes without end".into() })
    }
}

fn for_this_machine(index: Index) -> Result<Descriptor, Error> {
    let platforms: Vec<String> = index
        .manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref())
        .map(|platform| format!("{}/{}", platform.os, platform.architecture))
        .collect();
    let host = format!("linux/{}", host_architecture());
    let fits = |descriptor: &Descriptor| match &descriptor.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == host_architecture(),
        None => index.manifests.len() == 1,
    };
    let found = index.manifests.iter().find(|descriptor| fits(descriptor)).cloned();
    found.ok_or_else(|| Error::Platform { found: platforms.join(", "), host })
}

fn descriptor(media_type: &str, stored: &Stored) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: stored.digest.clone(),
        size: stored.size,
        platform: None,
        annotations: None,
    }
}

/// A path from the root of the archive, `.` and `..` applied.
fn clean(base: &str, path: &str) -> String {
    let base = if path.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Which side of a copy failed.
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

pub(crate) fn copy(from: &mut dyn Read, mut to: impl io::Write) -> Result<u64, CopyError> {
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        to.write_all(&buffer[..n]).map_err(CopyError::Write)?;
        copied += n as u64;
    }
    to.flush().map_err(CopyError::Write)?;
    Ok(copied)
}
