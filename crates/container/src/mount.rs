//! What is mounted into a root file system: binds of host paths and fresh file systems. Says nothing about
//! Kubernetes volumes: `node` turns those into these.
pub(crate) mod target;
pub(crate) mod tree;

pub use tree::Tree;

use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use target::Missing;
use tree::Change;

/// One mount inside a container. The target is resolved inside the root file system: symlinks that the image
/// brings along cannot lead it outside. Missing targets are created.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside the container.
    pub target: PathBuf,
    /// What is mounted there.
    pub kind: MountKind,
    /// Whether writes are refused, also below nested mounts of the source.
    pub read_only: bool,
    /// How later mounts travel between host and container.
    #[serde(default)]
    pub propagation: Propagation,
}

/// The source of a mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A file or directory of the host (sub paths already resolved by the caller).
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
    },
    /// A fresh memory file system that dies with the container.
    Tmpfs {
        /// Limit in bytes; `None` leaves the kernel's default (half of the memory).
        size_bytes: Option<u64>,
        /// Permission bits of its root directory.
        mode: u32,
    },
}

/// Kubernetes' `mountPropagation`, in the kernel's terms. `Bidirectional` is not supported: a container's mounts
/// never reach the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// `None`: nothing travels (private).
    #[default]
    Private,
    /// `HostToContainer`: later mounts of the host are seen inside (slave).
    HostToContainer,
    /// `Bidirectional`: refused when the mount is made.
    Bidirectional,
}

impl Mount {
    /// A bind mount of a host path.
    pub fn bind(source: impl Into<PathBuf>, target: impl Into<PathBuf>, read_only: bool) -> Mount {
        let kind = MountKind::Bind { source: source.into() };
        Mount { target: target.into(), kind, read_only, propagation: Propagation::Private }
    }

    /// A fresh, writable memory file system.
    pub fn tmpfs(target: impl Into<PathBuf>, size_bytes: Option<u64>, mode: u32) -> Mount {
        let kind = MountKind::Tmpfs { size_bytes, mode };
        Mount { target: target.into(), kind, read_only: false, propagation: Propagation::Private }
    }
}

/// A mount that is made and not attached yet.
pub(crate) struct Prepared {
    tree: Tree,
    missing: Missing,
}

impl Prepared {
    /// Attaches it at `target` inside `root`.
    pub(crate) fn attach(self, root: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
        self.tree.attach(target::open(root, target, self.missing)?.as_fd())
    }
}

impl Mount {
    /// Makes the mount inside `root`. `devices` says whether device files on it work.
    pub(crate) fn apply(&self, root: BorrowedFd<'_>, devices: bool) -> io::Result<()> {
        self.prepare(devices)?.attach(root, &self.target)
    }

    /// Makes the mount, for attaching it later and perhaps in another mount namespace.
    pub(crate) fn prepare(&self, devices: bool) -> io::Result<Prepared> {
        let nodev = if devices { 0 } else { libc::MOUNT_ATTR_NODEV };
        let read_only = if self.read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
        let propagation = match self.propagation {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::HostToContainer => libc::MS_SLAVE,
            Propagation::Bidirectional => {
                let text =
                    "mount propagation Bidirectional is not supported: mounts of a container stay in it";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        let (tree, missing) = match &self.kind {
            MountKind::Bind { source } => {
                let tree = Tree::of(source)?;
                let missing = if tree.is_directory()? { Missing::Directory } else { Missing::File };
                (tree, missing)
            }
            MountKind::Tmpfs { size_bytes, mode } => {
                let (bytes, mode) = (size_bytes.unwrap_or(0), format!("{mode:o}"));
                let (size, inodes) = (bytes.to_string(), inodes(bytes).to_string());
                let options = [("mode", mode.as_str()), ("size", &size), ("nr_inodes", &inodes)];
                let options = if size_bytes.is_some() { &options[..] } else { &options[..1] };
                let attributes = rustix::mount::MountAttrFlags::MOUNT_ATTR_NOSUID;
                (Tree::fresh("tmpfs", options, attributes)?, Missing::Directory)
            }
        };
        tree.change(Change { set: nodev | read_only, propagation, recursive: true })?;
        Ok(Prepared { tree, missing })
    }
}

/// Files in a file system of so many bytes: one per 16 KiB, which is what ext4 offers, and a few for the smallest. The
/// kernel keeps about a kilobyte for each, whatever the size says.
fn inodes(size_bytes: u64) -> u64 {
    (size_bytes / (16 << 10)).max(1024)
}

/// A mount's source as people name it.
impl std::fmt::Display for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match &self.kind {
            MountKind::Bind { source } => source.as_path(),
            MountKind::Tmpfs { .. } => Path::new("tmpfs"),
        };
        write!(f, "mounting \"{}\" to rootfs at \"{}\"", source.display(), self.target.display())
    }
}
