//! How images leave the store: the name first, then everything that no remaining name needs. What a running
//! container has mounted is never taken.

use std::collections::BTreeSet;
use std::fs;

use super::Removed;
use super::digest::Digest;
use super::error::Error;
use super::find::find;
use super::keep::is_kept;
use super::layout::{Layout, Writing};
use super::mounted::in_use;
use super::name::Name;
use super::oci::{Descriptor, ImageConfig, Index, Manifest, REF_NAME};

pub(crate) fn remove(layout: &Layout, text: &str) -> Result<Removed, Error> {
    let writing = layout.write()?;
    let mut index = layout.index()?;
    let mut found = find(layout, &index, text)?;
    let kept = index.manifests.iter().any(|other| is_kept(other) && other.digest == found[0].digest);
    found.retain(|descriptor| !is_kept(descriptor));
    if found.is_empty() {
        return Err(Error::Kept { id: text.to_owned() });
    }
    let names: Vec<String> = found.iter().map(|descriptor| familiar(descriptor)).collect();
    if names.len() > 1 {
        return Err(Error::SeveralNames { id: text.to_owned(), names });
    }
    let gone = found[0].clone();
    index.manifests.retain(|other| other.annotation(REF_NAME) != gone.annotation(REF_NAME));
    let (_, needed) = needs(layout, &index);
    let (_, mut dying) = image_needs(layout, &gone);
    dying.retain(|layer| !needed.contains(layer));
    if let Some(user) = in_use(&dying).first() {
        return Err(Error::InUse { name: names[0].clone(), pid: user.pid });
    }
    writing.put_index(&index)?;
    let removed = collect(&writing, layout, &index)?;
    Ok(Removed { names, kept, ..removed })
}

pub(crate) fn familiar(descriptor: &Descriptor) -> String {
    let full = descriptor.annotation(REF_NAME).unwrap_or_default();
    Name::parse(full).map_or_else(|_| full.to_owned(), |name| name.familiar())
}

/// Takes away blobs and layers that no name of the index stands for.
pub(crate) fn collect(writing: &Writing<'_>, layout: &Layout, index: &Index) -> Result<Removed, Error> {
    let (blobs, layers) = needs(layout, index);
    let mut removed = Removed::default();
    for digest in layout.digests("blobs/sha256")?.difference(&blobs) {
        let path = layout.blob(digest);
        removed.size_bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
        writing.discard(&path)?;
        removed.blobs.push(digest.clone());
    }
    let dead: BTreeSet<Digest> = layout.digests("layers")?.difference(&layers).cloned().collect();
    let used: BTreeSet<Digest> = in_use(&dead).into_iter().map(|user| user.layer).collect();
    for layer in dead.difference(&used) {
        writing.discard(&layout.layer(layer))?;
    }
    Ok(removed)
}

fn needs(layout: &Layout, index: &Index) -> (BTreeSet<Digest>, BTreeSet<Digest>) {
    let mut all = (BTreeSet::new(), BTreeSet::new());
    for descriptor in &index.manifests {
        let (blobs, layers) = image_needs(layout, descriptor);
        all.0.extend(blobs);
        all.1.extend(layers);
    }
    all
}

/// Blobs and unpacked layers of an image. A damaged image needs what can still be read of it.
fn image_needs(layout: &Layout, descriptor: &Descriptor) -> (BTreeSet<Digest>, BTreeSet<Digest>) {
    let mut blobs = BTreeSet::from([descriptor.digest.clone()]);
    let Ok(manifest) = layout.json::<Manifest>(&descriptor.digest) else { return (blobs, BTreeSet::new()) };
    blobs.insert(manifest.config.digest.clone());
    blobs.extend(manifest.layers.into_iter().map(|layer| layer.digest));
    let config = layout.json::<ImageConfig>(&manifest.config.digest);
    (blobs, config.map(|config| config.rootfs.diff_ids.into_iter().collect()).unwrap_or_default())
}
