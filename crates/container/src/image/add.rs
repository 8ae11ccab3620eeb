//! How images come into the store: built, imported, loaded. Blobs first, then layers, then the name, so that a name
//! never stands for something that is not all there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::archive::{Archive, CopyError, Found, copy};
use super::compression::{self, read_error};
use super::digest::{Digest, Hashed};
use super::error::{Error, failed};
use super::layout::{Blob, Layout, Writing};
use super::limits::Limits;
use super::name::{BadName, Name};
use super::oci::{self, Descriptor, ImageConfig, Manifest, RootFs, host_architecture};
use super::{Config, pack, remove, unpack};

/// Where programs are looked up when an image does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A name that an image is to get.
pub(crate) fn new_name(text: &str) -> Result<Name, Error> {
    let name = Name::parse(text)?;
    if name.digest().is_some() {
        let problem = "a digest cannot be chosen: give a tag";
        return Err(BadName { text: text.to_owned(), problem }.into());
    }
    Ok(name)
}

pub(crate) fn build(
    layout: &Layout,
    source: &Path,
    name: &Name,
    mut config: Config,
    limits: &Limits,
) -> Result<(), Error> {
    let source = fs::canonicalize(source).map_err(failed("reading", source))?;
    let refuse = |problem: &str| Error::Source { path: source.clone(), problem: problem.to_owned() };
    let writing = layout.write()?;
    let blob = if source.is_dir() {
        if source.join("Dockerfile").is_file() {
            return Err(refuse(
                "it holds a Dockerfile, which is not run here: `docker build` and `docker save` it and load the \
                 archive, or give the directory that is to be the root file system",
            ));
        }
        let store = fs::canonicalize(layout.dir()).map_err(failed("reading", layout.dir()))?;
        if store.starts_with(&source) {
            return Err(refuse("it holds the image store itself: give a smaller directory"));
        }
        writing.blob(|to| pack::directory(&source, to))?
    } else if source.is_file() {
        writing.blob(|to| {
            let program = pack::program(&source, to)?;
            if config.entrypoint.is_empty() {
                config.entrypoint = vec![program];
            }
            Ok(())
        })?
    } else {
        return Err(refuse("it is neither a directory nor a file"));
    };
    single(&writing, layout, blob, oci::LAYER, name, config, limits)
}

pub(crate) fn import(
    layout: &Layout,
    tar: &mut dyn Read,
    name: &Name,
    config: Config,
    limits: &Limits,
) -> Result<(), Error> {
    let writing = layout.write()?;
    let mut head = Vec::new();
    tar.take(6).read_to_end(&mut head).map_err(read_error)?;
    let media_type = match compression::Compression::of(&head)? {
        compression::Compression::None => oci::LAYER.to_owned(),
        compression::Compression::Gzip => format!("{}+gzip", oci::LAYER),
        compression::Compression::Zstd => format!("{}+zstd", oci::LAYER),
    };
    let blob = writing.blob(|to| {
        let max = limits.unpacked_bytes;
        let mut whole = io::Cursor::new(head).chain(tar).take(max + 1);
        let copied = copy(&mut whole, to).map_err(|error| match error {
            CopyError::Read(error) => read_error(error),
            CopyError::Write(error) => failed("writing to", layout.dir())(error),
        })?;
        match copied {
            0 => Err(Error::Archive { problem: "it is empty".into() }),
            n if n > max => Err(Error::TooLarge { what: "the archive", max, unit: "bytes" }),
            _ => Ok(()),
        }
    })?;
    single(&writing, layout, blob, &media_type, name, config, limits)
}

/// An image of one layer.
fn single(
    writing: &Writing<'_>,
    layout: &Layout,
    layer: Blob,
    media_type: &str,
    name: &Name,
    mut config: Config,
    limits: &Limits,
) -> Result<(), Error> {
    if !config.env.iter().any(|variable| variable.starts_with("PATH=")) {
        config.env.insert(0, PATH.to_owned());
    }
    let diff_id = unpack_layer(writing, &layer.draft.path, None, limits)?;
    // No date in it: the same input is the same image.
    let document = ImageConfig {
        created: None,
        architecture: host_architecture().to_owned(),
        os: "linux".to_owned(),
        config: Some(config.into()),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
    };
    let config = writing.json(&document)?;
    let descriptor = |media_type: &str, blob: &Blob| Descriptor {
        media_type: media_type.to_owned(),
        digest: blob.digest.clone(),
        size: blob.size,
        platform: None,
        annotations: None,
    };
    let manifest = writing.json(&Manifest {
        schema_version: 2,
        media_type: oci::MANIFEST.to_owned(),
        config: descriptor(oci::CONFIG, &config),
        layers: vec![descriptor(media_type, &layer)],
    })?;
    for blob in [&layer, &config, &manifest] {
        writing.put_blob(blob)?;
    }
    set_names(writing, layout, &[(name.clone(), descriptor(oci::MANIFEST, &manifest))], false)
}

/// Gives the names that the images have got.
pub(crate) fn load(
    layout: &Layout,
    tar: &mut dyn Read,
    name: Option<&Name>,
    pulled: bool,
    limits: &Limits,
) -> Result<Vec<Name>, Error> {
    let writing = layout.write()?;
    let archive = Archive::spool(tar, &writing, limits)?;
    let images = archive.images()?;
    let mut named = Vec::new();
    for image in &images {
        let names = match name {
            Some(name) if images.len() == 1 => vec![name.clone()],
            Some(_) => return Err(Error::Nameless { images: images.len() }),
            None => image.names.iter().map(|name| new_name(name)).collect::<Result<_, _>>()?,
        };
        if names.is_empty() {
            return Err(Error::Nameless { images: images.len() });
        }
        let descriptor = take_in(&writing, layout, &archive, image, limits)?;
        named.extend(names.into_iter().map(|name| (name, descriptor.clone())));
    }
    if named.is_empty() {
        return Err(Error::Archive { problem: "it holds no image".into() });
    }
    set_names(&writing, layout, &named, pulled)?;
    Ok(named.into_iter().map(|(name, _)| name).collect())
}

fn take_in(
    writing: &Writing<'_>,
    layout: &Layout,
    archive: &Archive,
    image: &Found,
    limits: &Limits,
) -> Result<Descriptor, Error> {
    let manifest = &image.manifest;
    let fetch = |descriptor: &Descriptor| match &image.stored {
        Some(_) => archive.blob(&descriptor.digest).cloned(),
        None => archive.stored(&descriptor.digest),
    };
    writing.keep_blob(&fetch(&manifest.config)?)?;
    let config: ImageConfig = layout.json(&manifest.config.digest)?;
    let (found, host) =
        (format!("{}/{}", config.os, config.architecture), format!("linux/{}", host_architecture()));
    if found != host {
        return Err(Error::Platform { found, host });
    }
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        let problem = "its configuration has another number of layers than its manifest".into();
        return Err(Error::Archive { problem });
    }
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        writing.keep_blob(&fetch(layer)?)?;
        unpack_layer(writing, &layout.blob(&layer.digest), Some(diff_id), limits)?;
    }
    let (digest, size) = match &image.stored {
        Some(stored) => {
            writing.keep_blob(stored)?;
            (stored.digest.clone(), stored.size)
        }
        None => {
            let blob = writing.json(manifest)?;
            writing.put_blob(&blob)?;
            (blob.digest.clone(), blob.size)
        }
    };
    let media_type = oci::MANIFEST.to_owned();
    Ok(Descriptor { media_type, digest, size, platform: None, annotations: None })
}

/// Unpacks a layer if it is not there, and gives the digest of its tar, which must be the expected one.
fn unpack_layer(
    writing: &Writing<'_>,
    blob: &Path,
    expected: Option<&Digest>,
    limits: &Limits,
) -> Result<Digest, Error> {
    let file = File::open(blob).map_err(failed("reading", blob))?;
    let (tar, _) = compression::open(file, limits)?;
    let mut tar = Hashed::new(tar);
    let draft = writing.draft_directory()?;
    if !expected.is_some_and(|diff_id| writing.has_layer(diff_id)) {
        unpack::unpack(&mut tar, &draft.path, limits)?;
    }
    // What follows the end of a tar belongs to its digest.
    io::copy(&mut tar, &mut io::sink()).map_err(read_error)?;
    let (_, found, _) = tar.finish();
    if let Some(expected) = expected.filter(|expected| **expected != found) {
        return Err(Error::Digest { what: "a layer".into(), expected: expected.clone(), found });
    }
    writing.put_layer(&draft, &found)?;
    Ok(found)
}

/// Points names to manifests, and collects what no name stands for any more.
fn set_names(
    writing: &Writing<'_>,
    layout: &Layout,
    named: &[(Name, Descriptor)],
    pulled: bool,
) -> Result<(), Error> {
    let mut index = layout.index()?;
    for (name, descriptor) in named {
        let name = name.to_string();
        index.manifests.retain(|other| other.annotation(oci::REF_NAME) != Some(&name));
        let annotations = [
            (oci::CONTAINERD_NAME.to_owned(), name.clone()),
            (oci::REF_NAME.to_owned(), name),
            (oci::ADDED.to_owned(), jiff::Timestamp::now().to_string()),
        ];
        let pulled = pulled.then(|| (oci::PULLED.to_owned(), "true".to_owned()));
        let annotations = Some(annotations.into_iter().chain(pulled).collect());
        index.manifests.push(Descriptor { annotations, ..descriptor.clone() });
    }
    writing.put_index(&index)?;
    remove::collect(writing, layout, &index)?;
    Ok(())
}
