//! A directory that is being filled with what strangers have packed. Every path is resolved by the kernel inside the
//! directory (`openat2` with `RESOLVE_IN_ROOT`), so no symlink and no `..` leads out of it; the last component is
//! never followed. Knows nothing of archives.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{
    self, AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

/// Path bytes that the kernel takes, its end included (`PATH_MAX`).
const PATH_BYTES_MAX: usize = 4095;

/// Bytes of one component (`NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;

/// What overlayfs takes for "what is below is hidden".
const OPAQUE: &str = "trusted.overlay.opaque";

/// A path inside a tree: the components before the last one, and the last one. Never holds `.`, `..` or a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    parent: Vec<u8>,
    leaf: OsString,
}

impl Place {
    /// `None` is the tree's root. A leading slash means the root of the tree, as in any chroot.
    pub(crate) fn parse(path: &[u8]) -> Result<Option<Place>, &'static str> {
        if path.len() > PATH_BYTES_MAX {
            return Err("its path is longer than 4,095 bytes");
        }
        if path.contains(&0) {
            return Err("its path has a zero byte");
        }
        let mut parts = Vec::new();
        for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".") {
            if part == b".." {
                return Err("its path leads out with '..'");
            }
            if part.len() > NAME_BYTES_MAX {
                return Err("a name in its path is longer than 255 bytes");
            }
            parts.push(part);
        }
        let Some(leaf) = parts.pop() else { return Ok(None) };
        Ok(Some(Place { parent: parts.join(&b'/'), leaf: OsString::from_vec(leaf.to_vec()) }))
    }

    pub(crate) fn leaf(&self) -> &[u8] {
        self.leaf.as_bytes()
    }

    /// Another name in the same directory.
    pub(crate) fn sibling(&self, leaf: &[u8]) -> Place {
        Place { parent: self.parent.clone(), leaf: OsString::from_vec(leaf.to_vec()) }
    }

    /// The directory that holds it; `None` is the root.
    pub(crate) fn directory(&self) -> Option<Place> {
        Place::parse(&self.parent).expect("part of a place is a place")
    }

    pub(crate) fn is_below(&self, top: &[u8]) -> bool {
        self.parent.split(|b| *b == b'/').next() == Some(top)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.parent.len() + self.leaf.len()
    }
}

/// What stood where something new is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    /// It was left in place.
    Directory,
    /// It was removed, and hid what is below.
    Whiteout,
    /// It was removed.
    Other,
}

/// Who owns a thing and what may be done with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub mtime: u64,
}

pub(crate) struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// `dir` exists and is empty; it becomes what an archive that does not describe its root gets.
    pub(crate) fn open(dir: &Path) -> io::Result<Tree> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = fs::openat(CWD, dir, flags, Mode::empty())?;
        fs::fchmod(&root, Mode::from_raw_mode(0o755))?;
        Ok(Tree { root })
    }

    /// Waits until all of it is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.root)?)
    }

    /// An existing directory.
    fn directory(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        fs::openat2(&self.root, OsStr::from_bytes(path), flags, Mode::empty(), resolve)
    }

    /// The directory that holds a place; what is missing of it is made.
    fn parent(&self, place: &Place) -> io::Result<OwnedFd> {
        match self.directory(&place.parent) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            found => return Ok(found?),
        }
        let mut above = self.directory(b"")?;
        let ends = place.parent.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        for end in ends.chain([place.parent.len()]) {
            let path = &place.parent[..end];
            above = match self.directory(path) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    let start = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
                    self.make_missing(&above, OsStr::from_bytes(&path[start..]))?;
                    self.directory(path)?
                }
                found => found?,
            };
        }
        Ok(above)
    }

    fn make_missing(&self, above: &OwnedFd, name: &OsStr) -> io::Result<()> {
        match self.kind(above, name)? {
            None => plain_directory(above, name),
            Some((FileType::CharacterDevice, 0)) => {
                fs::unlinkat(above, name, AtFlags::empty())?;
                plain_directory(above, name)?;
                make_opaque(above, name)
            }
            Some((FileType::Symlink, _)) => Err(io::Error::other("a symlink to nowhere stands in its way")),
            Some(_) => Err(io::Error::other("a file stands where its directory should be")),
        }
    }

    /// What a name is, with its device number.
    fn kind(&self, above: &OwnedFd, name: &OsStr) -> io::Result<Option<(FileType, u64)>> {
        match fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((FileType::from_raw_mode(stat.st_mode), stat.st_rdev))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what is at a place, but a directory only if it is not to be kept.
    fn clear(&self, above: &OwnedFd, name: &OsStr, keep_directory: bool) -> io::Result<Before> {
        match self.kind(above, name)? {
            None => Ok(Before::Nothing),
            Some((FileType::Directory, _)) if keep_directory => Ok(Before::Directory),
            Some((FileType::Directory, _)) => {
                // Through the descriptor, so that it is this directory whatever its path has become.
                let above = format!("/proc/self/fd/{}", above.as_raw_fd());
                std::fs::remove_dir_all(Path::new(&above).join(name))?;
                Ok(Before::Other)
            }
            Some((kind, device)) => {
                fs::unlinkat(above, name, AtFlags::empty())?;
                let whiteout = kind == FileType::CharacterDevice && device == 0;
                Ok(if whiteout { Before::Whiteout } else { Before::Other })
            }
        }
    }

    /// A new, empty file, in place of whatever was there. Owner and mode are set by `finish`.
    pub(crate) fn file(&self, place: &Place) -> io::Result<File> {
        let above = self.parent(place)?;
        self.clear(&above, &place.leaf, false)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&above, &place.leaf, flags, Mode::from_raw_mode(0o600))?.into())
    }

    /// Sets what is to be set last: setting the owner takes setuid bits and capabilities away.
    pub(crate) fn finish(&self, file: &File, owner: &Owner, attributes: &[(&str, &[u8])]) -> io::Result<()> {
        fs::fchown(file, Some(uid(owner)), Some(gid(owner)))?;
        fs::fchmod(file, Mode::from_raw_mode(owner.mode))?;
        for (name, value) in attributes {
            fs::fsetxattr(file, *name, value, XattrFlags::empty())?;
        }
        Ok(fs::futimens(file, &times(owner))?)
    }

    /// A directory, new or kept; `None` is the root.
    pub(crate) fn make_directory(
        &self,
        place: Option<&Place>,
        owner: &Owner,
        attributes: &[(&str, &[u8])],
    ) -> io::Result<()> {
        let Some(place) = place else {
            return self.finish(&File::from(self.directory(b"")?), owner, attributes);
        };
        let above = self.parent(place)?;
        let before = self.clear(&above, &place.leaf, true)?;
        if before != Before::Directory {
            fs::mkdirat(&above, &place.leaf, Mode::from_raw_mode(0o700))?;
        }
        if before == Before::Whiteout {
            make_opaque(&above, &place.leaf)?;
        }
        let directory = open_directory(&above, &place.leaf)?;
        self.finish(&File::from(directory), owner, attributes)
    }

    pub(crate) fn symlink(&self, place: &Place, to: &[u8], owner: &Owner) -> io::Result<()> {
        let above = self.parent(place)?;
        self.clear(&above, &place.leaf, false)?;
        fs::symlinkat(OsStr::from_bytes(to), &above, &place.leaf)?;
        self.own(&above, place, owner)
    }

    /// A second name for something that is there already.
    pub(crate) fn hardlink(&self, place: &Place, to: &Place) -> io::Result<()> {
        let target = self.directory(&to.parent)?;
        if self.kind(&target, &to.leaf)?.is_none() {
            return Err(Errno::NOENT.into());
        }
        let above = self.parent(place)?;
        self.clear(&above, &place.leaf, false)?;
        Ok(fs::linkat(&target, &to.leaf, &above, &place.leaf, AtFlags::empty())?)
    }

    pub(crate) fn node(&self, place: &Place, kind: FileType, device: u64, owner: &Owner) -> io::Result<()> {
        let above = self.parent(place)?;
        self.clear(&above, &place.leaf, false)?;
        fs::mknodat(&above, &place.leaf, kind, Mode::from_raw_mode(0o600), device)?;
        fs::chmodat(&above, &place.leaf, Mode::from_raw_mode(owner.mode), AtFlags::empty())?;
        self.own(&above, place, owner)
    }

    /// Hides what lower layers have at a place. What this layer has there stays.
    pub(crate) fn whiteout(&self, place: &Place) -> io::Result<()> {
        let above = self.parent(place)?;
        match self.clear_nothing(&above, &place.leaf)? {
            Before::Nothing => {
                let mode = Mode::empty();
                Ok(fs::mknodat(&above, &place.leaf, FileType::CharacterDevice, mode, 0)?)
            }
            Before::Directory => make_opaque(&above, &place.leaf),
            Before::Whiteout | Before::Other => Ok(()),
        }
    }

    fn clear_nothing(&self, above: &OwnedFd, name: &OsStr) -> io::Result<Before> {
        Ok(match self.kind(above, name)? {
            None => Before::Nothing,
            Some((FileType::Directory, _)) => Before::Directory,
            Some(_) => Before::Other,
        })
    }

    /// Hides everything that lower layers have in a directory; `None` is the root.
    pub(crate) fn opaque(&self, place: Option<&Place>) -> io::Result<()> {
        let Some(place) = place else { return set_opaque(&self.directory(b"")?) };
        let above = self.parent(place)?;
        if self.clear(&above, &place.leaf, true)? != Before::Directory {
            plain_directory(&above, &place.leaf)?;
        }
        make_opaque(&above, &place.leaf)
    }

    /// The time of a directory, once nothing more is put into it. One that has been replaced since is left.
    pub(crate) fn set_time(&self, place: Option<&Place>, owner: &Owner) -> io::Result<()> {
        let found = match place {
            None => self.directory(b"").map_err(io::Error::from),
            Some(place) => self
                .directory(&place.parent)
                .map_err(io::Error::from)
                .and_then(|d| open_directory(&d, &place.leaf)),
        };
        match found {
            Ok(directory) => Ok(fs::futimens(&directory, &times(owner))?),
            Err(_) => Ok(()),
        }
    }

    fn own(&self, above: &OwnedFd, place: &Place, owner: &Owner) -> io::Result<()> {
        fs::chownat(above, &place.leaf, Some(uid(owner)), Some(gid(owner)), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(fs::utimensat(above, &place.leaf, &times(owner), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

fn open_directory(above: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(above, name, flags, Mode::empty())?)
}

/// A directory that no entry describes. The mode is set again because the umask may have taken from it.
fn plain_directory(above: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    fs::mkdirat(above, name, mode)?;
    Ok(fs::fchmod(open_directory(above, name)?, mode)?)
}

fn make_opaque(above: &OwnedFd, name: &OsStr) -> io::Result<()> {
    set_opaque(&open_directory(above, name)?)
}

fn set_opaque(directory: &OwnedFd) -> io::Result<()> {
    Ok(fs::fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())?)
}

fn uid(owner: &Owner) -> Uid {
    Uid::from_raw(owner.uid)
}

fn gid(owner: &Owner) -> Gid {
    Gid::from_raw(owner.gid)
}

fn times(owner: &Owner) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(owner.mtime).unwrap_or(i64::MAX), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
