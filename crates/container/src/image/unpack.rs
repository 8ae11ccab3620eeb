//! Turns the tar of a layer into a directory that overlayfs can use as a lower one: whiteout files become its
//! character devices and opaque attributes. Decides what of an entry is kept; `tree` keeps it inside.

use std::io::{Read, Write};
use std::path::Path;

use rustix::fs::FileType;

use super::compression::read_error;
use super::entry::{self, Entry, Kind};
use super::error::{Error, failed};
use super::limits::Limits;
use super::tree::{Owner, Place, Tree};

/// Marks a name as hidden (image specification, layer changesets).
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// In a directory, hides everything in it from below.
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";

/// Names that aufs kept for itself.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// Character devices that say nothing about the host: null, zero, full, random, urandom, tty, ptmx.
const HARMLESS_DEVICES: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];

/// Unpacks into an existing, empty directory and waits until it is on the disk.
pub(crate) fn unpack(tar: &mut dyn Read, into: &Path, limits: &Limits) -> Result<(), Error> {
    let tree = Tree::open(into).map_err(failed("opening", into))?;
    let mut layer = Layer { tree, limits, bytes: 0, directories: Vec::new(), directory_name_bytes: 0 };
    entry::each(tar, limits, |entry, content| layer.take(&entry, content))?;
    // Deepest and latest first: setting one does not touch the time of another.
    for (place, owner) in layer.directories.iter().rev() {
        layer
            .tree
            .set_time(place.as_ref(), owner)
            .map_err(failed("setting the time of a directory in", into))?;
    }
    layer.tree.sync().map_err(failed("syncing", into))
}

struct Layer<'a> {
    tree: Tree,
    limits: &'a Limits,
    bytes: u64,
    directories: Vec<(Option<Place>, Owner)>,
    directory_name_bytes: u64,
}

impl Layer<'_> {
    fn take(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        let refuse = |problem: &str| refused(&entry.path, problem);
        let place = Place::parse(&entry.path).map_err(refuse)?;
        let Some(place) = place else {
            return match entry.kind {
                Kind::Directory => self.directory(None, entry),
                _ => Err(refuse("only a directory can be the root")),
            };
        };
        if place.leaf().starts_with(WHITEOUT_PREFIX) {
            return self.whiteout(&place, entry);
        }
        let owner = owner(entry);
        match &entry.kind {
            Kind::Directory => self.directory(Some(place), entry),
            Kind::File { bytes } => self.file(&place, entry, *bytes, content),
            Kind::Symlink { to } if to.is_empty() || to.contains(&0) => {
                Err(refuse("the symlink has no target"))
            }
            Kind::Symlink { to } => self.tree.symlink(&place, to, &owner).map_err(|e| write_error(entry, e)),
            Kind::Hardlink { to } => self.hardlink(&place, entry, to),
            Kind::Device { block, major, minor } => self.device(&place, entry, *block, (*major, *minor)),
            Kind::Fifo => {
                self.tree.node(&place, FileType::Fifo, 0, &owner).map_err(|e| write_error(entry, e))
            }
        }
    }

    fn directory(&mut self, place: Option<Place>, entry: &Entry) -> Result<(), Error> {
        let owner = owner(entry);
        let attributes = attributes(entry);
        self.tree.make_directory(place.as_ref(), &owner, &attributes).map_err(|e| write_error(entry, e))?;
        self.directory_name_bytes += place.as_ref().map_or(0, Place::bytes) as u64;
        let max = self.limits.directory_name_bytes;
        if self.directory_name_bytes > max {
            return Err(Error::TooLarge { what: "the names of directories in a layer", max, unit: "bytes" });
        }
        self.directories.push((place, owner));
        Ok(())
    }

    fn file(
        &mut self,
        place: &Place,
        entry: &Entry,
        bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes);
        let max = self.limits.unpacked_bytes;
        if self.bytes > max {
            return Err(Error::TooLarge { what: "the unpacked layer", max, unit: "bytes" });
        }
        let mut file = self.tree.file(place).map_err(|e| write_error(entry, e))?;
        let mut buffer = [0; 1 << 16];
        let mut left = bytes;
        while left > 0 {
            let n = content.read(&mut buffer).map_err(read_error)?;
            if n == 0 {
                return Err(refused(&entry.path, "the archive ends in the middle of it"));
            }
            file.write_all(&buffer[..n]).map_err(|e| write_error(entry, e))?;
            left = left.saturating_sub(n as u64);
        }
        self.tree.finish(&file, &owner(entry), &attributes(entry)).map_err(|e| write_error(entry, e))
    }

    fn hardlink(&mut self, place: &Place, entry: &Entry, to: &[u8]) -> Result<(), Error> {
        let refuse = |problem: &str| refused(&entry.path, problem);
        let target =
            Place::parse(to).map_err(|problem| refuse(&format!("the target of its link: {problem}")))?;
        let target = target.ok_or_else(|| refuse("a link to the root"))?;
        if target == *place {
            return Err(refuse("it is a link to itself"));
        }
        if target.leaf().starts_with(WHITEOUT_PREFIX) {
            return Err(refuse("it is a link to a whiteout"));
        }
        self.tree.hardlink(place, &target).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => refuse("it is a hard link to a file that is not in this layer"),
            std::io::ErrorKind::PermissionDenied => refuse("it is a hard link to a directory"),
            _ => write_error(entry, error),
        })
    }

    fn device(
        &mut self,
        place: &Place,
        entry: &Entry,
        block: bool,
        numbers: (u32, u32),
    ) -> Result<(), Error> {
        if (block, numbers) == (false, (0, 0)) {
            // A whiteout in overlayfs' own form.
            return self.tree.whiteout(place).map_err(|e| write_error(entry, e));
        }
        // Containers get a /dev of their own, mounted over whatever an image has there.
        if place.is_below(b"dev") {
            return Ok(());
        }
        if block || !HARMLESS_DEVICES.contains(&numbers) {
            let problem = "a device of the host outside /dev: leave it out of the image";
            return Err(refused(&entry.path, problem));
        }
        let device = rustix::fs::makedev(numbers.0, numbers.1);
        self.tree
            .node(place, FileType::CharacterDevice, device, &owner(entry))
            .map_err(|error| write_error(entry, error))
    }

    fn whiteout(&mut self, place: &Place, entry: &Entry) -> Result<(), Error> {
        if place.leaf() == OPAQUE_MARKER {
            return self.tree.opaque(place.directory().as_ref()).map_err(|e| write_error(entry, e));
        }
        if place.leaf().starts_with(AUFS_PREFIX) {
            return Ok(());
        }
        let hidden = &place.leaf()[WHITEOUT_PREFIX.len()..];
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(refused(&entry.path, "it is a whiteout of nothing"));
        }
        self.tree.whiteout(&place.sibling(hidden)).map_err(|e| write_error(entry, e))
    }
}

fn owner(entry: &Entry) -> Owner {
    Owner { uid: entry.uid, gid: entry.gid, mode: entry.mode, mtime: entry.mtime }
}

/// File capabilities, and what belongs to the user. Others have a meaning for the host: overlayfs' own above all.
fn attributes(entry: &Entry) -> Vec<(&str, &[u8])> {
    let kept = |name: &str| name == "security.capability" || name.starts_with("user.");
    let attributes = entry.attributes.iter().filter(|(name, _)| kept(name));
    attributes.map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

fn refused(path: &[u8], problem: &str) -> Error {
    let entry = String::from_utf8_lossy(path).chars().take(200).collect();
    Error::Entry { entry, problem: problem.to_owned() }
}

/// A full disk is not the entry's fault; other failures are told with its name.
fn write_error(entry: &Entry, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            Error::Io { doing: "unpacking", path: path.into(), source: error }
        }
        _ => refused(&entry.path, &error.to_string()),
    }
}
