//! One pull: the manifest, of an index that of this machine, then its blobs, into an archive.

use std::collections::BTreeSet;
use std::fs::File;

use serde::Deserialize;

use crate::archive::{Archive, digest};
use crate::fetch::{Registry, document};
use crate::{Credentials, Error};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// What any one layer may have, compressed: beyond it the registry is broken, or not a friend.
const BLOB_BYTES_MAX: u64 = 16 << 30;

/// An image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where the registry answers: host, and port where it is not the usual one.
    pub host: String,
    /// The repository.
    pub path: String,
    /// A tag, or a digest.
    pub version: String,
}

/// What came of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The registry has the image that is here already; the archive is empty.
    Current,
    /// The archive holds it; so many bytes were fetched.
    Fetched {
        /// Of its manifest, configuration and layers.
        bytes: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    media_type: String,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// What the specification calls this machine.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Fetches an image into `to`, unless the store has it already under the manifest digest `have`. Each of the
/// credentials is tried until one is let in; without any, the caller is nobody.
pub async fn pull(
    reference: &Reference,
    credentials: &[Credentials],
    have: Option<&str>,
    to: &File,
) -> Result<Pulled, Error> {
    let mut refused = None;
    let some = credentials.iter().map(Some);
    for one in some.chain(credentials.is_empty().then_some(None)) {
        match pull_as(reference, one, have, to).await {
            Err(error @ Error::Denied(_)) => refused = Some(error),
            other => return other,
        }
    }
    Err(refused.unwrap_or(Error::NotFound))
}

async fn pull_as(
    reference: &Reference,
    credentials: Option<&Credentials>,
    have: Option<&str>,
    to: &File,
) -> Result<Pulled, Error> {
    let mut registry = Registry::new(reference, credentials)?;
    let (mut bytes, mut manifest) = manifest(&mut registry, &reference.version).await?;
    if let Some(list) = &manifest.manifests {
        let fits = |one: &&Descriptor| {
            one.platform.as_ref().is_some_and(|own| own.os == "linux" && own.architecture == architecture())
        };
        let own = list.iter().find(fits).ok_or(Error::Platform(architecture()))?.digest.clone();
        (bytes, manifest) = self::manifest(&mut registry, &own).await?;
    }
    if have == Some(digest(&bytes).as_str()) {
        return Ok(Pulled::Current);
    }
    let config = manifest.config.ok_or_else(|| Error::Invalid("a manifest without configuration".into()))?;
    let file = to.try_clone().map_err(|error| Error::Disk(error.to_string()))?;
    let mut archive = Archive::begin(file).await?;
    archive.blob(&bytes).await?;
    let (mut seen, mut total) = (BTreeSet::new(), bytes.len() as u64);
    for one in std::iter::once(&config).chain(&manifest.layers) {
        if !is_digest(&one.digest) || one.size > BLOB_BYTES_MAX {
            return Err(Error::Invalid(format!("a blob {} of {} bytes", one.digest, one.size)));
        }
        if seen.insert(one.digest.clone()) {
            let response = registry.get(&format!("blobs/{}", one.digest), "*/*").await?;
            archive.stream(&one.digest, one.size, response.into_body()).await?;
            total += one.size;
        }
    }
    let media_type = if manifest.media_type == DOCKER_MANIFEST { DOCKER_MANIFEST } else { OCI_MANIFEST };
    archive.end(&bytes, media_type).await?;
    Ok(Pulled::Fetched { bytes: total })
}

/// A manifest or an index; one that is asked for by its digest must have it.
async fn manifest(registry: &mut Registry<'_>, version: &str) -> Result<(Vec<u8>, Document), Error> {
    let accept = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
    let response = registry.get(&format!("manifests/{version}"), &accept).await?;
    let bytes = document(response).await?;
    if is_digest(version) && digest(&bytes) != version {
        return Err(Error::Invalid(format!("the manifest is not {version}")));
    }
    let read: Document =
        serde_json::from_slice(&bytes).map_err(|error| Error::Invalid(format!("the manifest: {error}")))?;
    Ok((bytes, read))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
