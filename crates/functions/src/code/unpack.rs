//! Unpacking a zip archive that a stranger made: names that lead outside, links that do, and archives that grow without
//! end are refused before they can do harm. Called by the code store only.

use super::{CodeError, FILES_MAX, UNZIPPED_BYTES_MAX};
use std::fs::{self, OpenOptions};
use std::io::{Cursor, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use zip::ZipArchive;

/// The longest target of a symbolic link (`PATH_MAX` of Linux).
const LINK_BYTES_MAX: u64 = 4096;

/// Unpacks into `root`, an empty directory. Files come out 0644 or, where the archive says that anyone may execute
/// them, 0755: the instance runs as a user that owns none of them.
pub(super) fn unpack(zip: &[u8], root: &Path) -> Result<(), CodeError> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(CodeError::NotZip)?;
    if archive.len() > FILES_MAX {
        return Err(CodeError::TooLarge(format!("The archive holds more than {FILES_MAX} files")));
    }
    let mut left = UNZIPPED_BYTES_MAX;
    let mut links = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(CodeError::NotZip)?;
        let name = entry.name().map_err(CodeError::NotZip)?.into_owned();
        let path =
            inside(&name).ok_or_else(|| CodeError::Entry(format!("the name {name:?} leads outside")))?;
        if entry.is_dir() {
            fs::create_dir_all(root.join(path))?;
        } else if entry.is_symlink() {
            let mut target = String::new();
            let read = entry.by_ref().take(LINK_BYTES_MAX).read_to_string(&mut target);
            read.map_err(|_| CodeError::Entry(format!("the link {name:?} has no readable target")))?;
            links.push((path, target));
        } else if !is_plain(entry.unix_mode()) {
            return Err(CodeError::Entry(format!("{name:?} is neither a file nor a directory nor a link")));
        } else {
            let mode = if entry.unix_mode().unwrap_or(0o644) & 0o111 != 0 { 0o755 } else { 0o644 };
            write_file(&mut entry, &root.join(path), mode, &mut left)?;
        }
    }
    make_links(root, links)
}

/// The path below the root that a name means, or nothing if it means anything else.
fn inside(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!path.as_os_str().is_empty() && !name.contains('\0')).then_some(path)
}

/// Whether an entry is a file. Archives made on other systems say nothing, and mean one.
fn is_plain(mode: Option<u32>) -> bool {
    const KIND: u32 = 0o170_000;
    const FILE: u32 = 0o100_000;
    matches!(mode.unwrap_or(0) & KIND, 0 | FILE)
}

/// Counts what really comes out: the size that an archive declares is the word of whoever made it.
fn write_file(entry: &mut impl Read, path: &Path, mode: u32, left: &mut u64) -> Result<(), CodeError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(|error| CodeError::Entry(format!("{}: {error}", path.display())))?;
    let written =
        std::io::copy(&mut entry.take(*left + 1), &mut file).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::InvalidInput => CodeError::NotZip(error.into()),
            _ => CodeError::Io(error),
        })?;
    if written > *left {
        return Err(CodeError::TooLarge(format!(
            "Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes"
        )));
    }
    *left -= written;
    Ok(())
}

/// Links come last, when every directory is there, so that nothing is ever written through one.
fn make_links(root: &Path, links: Vec<(PathBuf, String)>) -> Result<(), CodeError> {
    for (path, target) in &links {
        if !stays_inside(path, target) {
            return Err(CodeError::Entry(format!(
                "the link {} leads outside, to {target:?}",
                path.display()
            )));
        }
        if let Some(parent) = root.join(path).parent() {
            fs::create_dir_all(parent)?;
        }
    }
    for (path, target) in links {
        symlink(&target, root.join(&path))
            .map_err(|error| CodeError::Entry(format!("the link {}: {error}", path.display())))?;
    }
    Ok(())
}

/// A link may climb at most to the root, and only at its beginning: `a/../..` could climb further than it looks when
/// `a` is a link too.
fn stays_inside(path: &Path, target: &str) -> bool {
    let depth = path.components().count() - 1;
    let mut climbed = 0;
    let mut descending = false;
    for component in Path::new(target).components() {
        match component {
            Component::ParentDir if !descending => climbed += 1,
            Component::Normal(_) => descending = true,
            Component::CurDir => {}
            _ => return false,
        }
    }
    !target.is_empty() && climbed <= depth
}
