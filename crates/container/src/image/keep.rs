//! Images that are kept for their digest alone: what uses one has found it by a name once, and goes on when the name has
//! moved or is gone. An entry of the index without a name, so that everything which looks at what the index needs sees it.

use std::collections::BTreeSet;

use super::digest::Digest;
use super::error::Error;
use super::find::find;
use super::layout::Layout;
use super::oci::{Descriptor, Index, KEPT};
use super::remove::collect;

pub(crate) fn is_kept(descriptor: &Descriptor) -> bool {
    descriptor.annotation(KEPT).is_some()
}

/// Keeps the image of a name, a digest or an id from now on; gives the digest of its manifest.
pub(crate) fn keep(layout: &Layout, text: &str) -> Result<Digest, Error> {
    let writing = layout.write()?;
    let mut index = layout.index()?;
    let found = find(layout, &index, text)?[0].clone();
    if add(&mut index, &found) {
        writing.put_index(&index)?;
    }
    Ok(found.digest)
}

/// Keeps these, of which some may not be here, and no others. What nothing needs any more is taken away.
pub(crate) fn keep_only(layout: &Layout, digests: &BTreeSet<Digest>) -> Result<(), Error> {
    let writing = layout.write()?;
    let mut index = layout.index()?;
    let before = index.manifests.len();
    index.manifests.retain(|descriptor| !is_kept(descriptor) || digests.contains(&descriptor.digest));
    let let_go = index.manifests.len() < before;
    let here: Vec<Descriptor> =
        index.manifests.iter().filter(|descriptor| digests.contains(&descriptor.digest)).cloned().collect();
    let mut changed = let_go;
    for descriptor in here {
        changed |= add(&mut index, &descriptor);
    }
    if changed {
        writing.put_index(&index)?;
    }
    if let_go {
        collect(&writing, layout, &index)?;
    }
    Ok(())
}

/// Whether there was something to add.
fn add(index: &mut Index, image: &Descriptor) -> bool {
    if index.manifests.iter().any(|other| other.digest == image.digest && is_kept(other)) {
        return false;
    }
    let annotations = Some([(KEPT.to_owned(), "true".to_owned())].into());
    index.manifests.push(Descriptor { annotations, ..image.clone() });
    true
}
