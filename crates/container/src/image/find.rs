//! Which image a text means: a name, a digest, an id or the start of one. Reads only, and takes no lock.

use std::collections::BTreeSet;

use super::digest::Digest;
use super::error::Error;
use super::layout::Layout;
use super::name::Name;
use super::oci::{Descriptor, Index, Manifest, REF_NAME};

/// Digits that an id must be given with; fewer are more likely a name.
const SHORT_ID_LEN_MIN: usize = 4;

/// The entries of the index that a text means: one, or all names of one image. Never none.
pub(crate) fn find<'a>(layout: &Layout, index: &'a Index, text: &str) -> Result<Vec<&'a Descriptor>, Error> {
    let not_found = || Error::NotFound { name: text.to_owned() };
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if let Some(digest) = Digest::parse(&format!("sha256:{hex}")) {
        let found = by_id(layout, index, |id, manifest| *id == digest || *manifest == digest)?;
        return if found.is_empty() { Err(not_found()) } else { Ok(found) };
    }
    let name = Name::parse(text);
    if let Ok(name) = &name
        && let Some(found) = index.manifests.iter().find(|descriptor| is_named(descriptor, name))
    {
        return Ok(vec![found]);
    }
    if hex.len() >= SHORT_ID_LEN_MIN && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        let found = by_id(layout, index, |id, _| id.hex().starts_with(hex))?;
        let images: BTreeSet<&Digest> = found.iter().map(|descriptor| &descriptor.digest).collect();
        match images.len() {
            0 => {}
            1 => return Ok(found),
            _ => return Err(Error::Ambiguous { id: text.to_owned() }),
        }
    }
    name?;
    Err(not_found())
}

fn is_named(descriptor: &Descriptor, name: &Name) -> bool {
    let Some(own) = descriptor.annotation(REF_NAME) else { return false };
    match name.digest() {
        // Also the digest of an index, which the image that was chosen from it has not.
        _ if own == name.to_string() => true,
        None => false,
        Some(digest) => {
            descriptor.digest == *digest
                && Name::parse(own).is_ok_and(|own| own.repository() == name.repository())
        }
    }
}

fn by_id<'a>(
    layout: &Layout,
    index: &'a Index,
    fits: impl Fn(&Digest, &Digest) -> bool,
) -> Result<Vec<&'a Descriptor>, Error> {
    let mut found = Vec::new();
    for descriptor in &index.manifests {
        match layout.json::<Manifest>(&descriptor.digest) {
            Ok(manifest) if fits(&manifest.config.digest, &descriptor.digest) => found.push(descriptor),
            Ok(_) => {}
            // A damaged image must not hide the others.
            Err(error) => {
                tracing::warn!(digest = %descriptor.digest, error = %error, "failed to read an image")
            }
        }
    }
    Ok(found)
}
