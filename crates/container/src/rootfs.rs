//! The root file system of a new container, assembled inside its own mount namespace: layers or a directory or the
//! host's programs; `/proc`, `/dev`, `/sys`; and the step into it. Runs in the container's first process before it
//! becomes what was ordered. Nothing made here is visible on the host.
mod device;
mod host;
mod overlay;

use crate::bundle::{Bundle, RootFs};
use crate::mount::target::{self, Missing};
use crate::mount::tree::{Change, Tree, set_attributes};
use crate::process::{StartError, StartErrorKind};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Parts of `/proc` and `/sys` that say too much about the host or hold secrets: covered. The list of containerd.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Parts of `/proc` that configure the host.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const RESTRICTED: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Names the step that failed.
pub(crate) fn step<E: Into<io::Error>>(what: impl std::fmt::Display) -> impl FnOnce(E) -> StartError {
    move |error| {
        let message = format!("{what}: {}", crate::process::describe(&error.into()));
        StartError { kind: StartErrorKind::Mount, message }
    }
}

/// A root file system that is mounted but not entered.
pub(crate) struct Root {
    place: OwnedFd,
}

impl Root {
    /// Mounts everything that the bundle says. The caller is in a mount namespace of its own.
    pub(crate) fn assemble(bundle: &mut Bundle) -> Result<Root, StartError> {
        // Later mounts of the host may come in (they are how HostToContainer works); nothing gets out.
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", slave).map_err(step("leaving the host's mounts"))?;
        let mountpoint = &bundle.mountpoint;
        match &bundle.root {
            RootFs::Layers { lower, private } => overlay::mount(lower, private.as_deref(), mountpoint),
            RootFs::Dir(dir) => cover(Tree::of(dir), mountpoint),
            RootFs::Host => {
                let options = [("mode", "755"), ("size", host::ROOT_SIZE)];
                cover(Tree::fresh("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NODEV), mountpoint)
            }
        }
        .map_err(step("mounting the root file system"))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = rustix::fs::open(mountpoint, flags, Mode::empty()).map_err(step("opening the root"))?;
        let nodev = if bundle.privileged { 0 } else { libc::MOUNT_ATTR_NODEV };
        let private = Change { set: nodev, propagation: libc::MS_PRIVATE, recursive: true };
        set_attributes(place.as_fd(), private).map_err(step("closing the root off"))?;
        let root = Root { place };
        if let RootFs::Host = bundle.root {
            host::populate(&root)?;
        }
        root.system(bundle)?;
        Ok(root)
    }

    /// `/proc`, `/dev` and `/sys`.
    fn system(&self, bundle: &mut Bundle) -> Result<(), StartError> {
        self.fresh("proc", "/proc", &[], RESTRICTED)?;
        device::populate(self, bundle)?;
        if let Some(groups) = &bundle.sys {
            let read_only =
                if bundle.privileged { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
            self.fresh("sysfs", "/sys", &[], RESTRICTED | read_only)?;
            self.control_groups(groups)?;
        }
        if !bundle.privileged && !bundle.unmasked_proc {
            READ_ONLY.iter().try_for_each(|path| self.make_read_only(path))?;
            MASKED.iter().try_for_each(|path| self.mask(path))?;
        }
        Ok(())
    }

    fn control_groups(&self, groups: &[(String, std::path::PathBuf)]) -> Result<(), StartError> {
        let at = Path::new("/sys/fs/cgroup");
        if !self.exists(at) {
            return Ok(());
        }
        if groups.len() > 1 {
            self.fresh("tmpfs", "/sys/fs/cgroup", &[("mode", "755"), ("size", "64k")], RESTRICTED)?;
        }
        for (name, dir) in groups {
            let target = if name.is_empty() { at.to_owned() } else { at.join(name) };
            let bind = crate::mount::Mount::bind(dir, &target, true);
            bind.apply(self.place.as_fd(), false).map_err(step(&bind))?;
        }
        Ok(())
    }

    /// The place in which to mount.
    pub(crate) fn place(&self) -> BorrowedFd<'_> {
        self.place.as_fd()
    }

    fn exists(&self, path: &Path) -> bool {
        target::open_existing(self.place(), path).is_ok()
    }

    fn fresh(
        &self,
        kind: &str,
        at: &str,
        options: &[(&str, &str)],
        attributes: MountAttrFlags,
    ) -> Result<(), StartError> {
        self.attach(Tree::fresh(kind, options, attributes), at, Missing::Directory)
    }

    fn attach(&self, tree: io::Result<Tree>, at: &str, missing: Missing) -> Result<(), StartError> {
        let attach = |tree: Tree| tree.attach(target::open(self.place(), Path::new(at), missing)?.as_fd());
        tree.and_then(attach).map_err(step(format_args!("mounting {at}")))
    }

    fn file(&self, at: &str) -> Result<(), StartError> {
        target::open(self.place(), Path::new(at), Missing::File).map(drop).map_err(step(at))
    }

    /// Covers a file with `/dev/null`, a directory with an empty one. What does not exist needs no mask.
    fn mask(&self, path: &str) -> Result<(), StartError> {
        let Ok(place) = target::open_existing(self.place(), Path::new(path)) else { return Ok(()) };
        let masked = || {
            let stat = rustix::fs::fstat(&place)?;
            let cover = match rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
                true => {
                    Tree::fresh("tmpfs", &[("size", "0")], RESTRICTED | MountAttrFlags::MOUNT_ATTR_RDONLY)?
                }
                false => Tree::of(Path::new("/dev/null"))?,
            };
            cover.attach(place.as_fd())
        };
        masked().map_err(step(format_args!("masking {path}")))
    }

    fn make_read_only(&self, path: &str) -> Result<(), StartError> {
        let Ok(place) = target::open_existing(self.place(), Path::new(path)) else { return Ok(()) };
        let again = || {
            let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
                | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC
                | rustix::mount::OpenTreeFlags::AT_EMPTY_PATH;
            let copy = rustix::mount::open_tree(&place, "", flags)?;
            set_attributes(copy.as_fd(), Change { set: libc::MOUNT_ATTR_RDONLY, ..Change::default() })?;
            Tree::from(copy).attach(place.as_fd())
        };
        again().map_err(step(format_args!("making {path} read-only")))
    }

    /// Writes a small file.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<(), StartError> {
        let write = || -> io::Result<()> {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let parent = path.parent().unwrap_or(Path::new("/"));
            let parent = target::open(self.place(), parent, Missing::Directory)?;
            let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))?;
            io::Write::write_all(&mut std::fs::File::from(file), text.as_bytes())
        };
        write().map_err(step(format_args!("writing {}", path.display())))
    }

    /// Makes it `/` and forgets the host's.
    pub(crate) fn enter(&self) -> Result<(), StartError> {
        let enter = || -> rustix::io::Result<()> {
            rustix::process::fchdir(&self.place)?;
            rustix::process::pivot_root(".", ".")?;
            // The old root is stacked on the new one now; the current directory leads to it.
            rustix::mount::unmount(".", UnmountFlags::DETACH)?;
            rustix::process::chdir("/")
        };
        enter().map_err(step("entering the root file system"))
    }

    /// Makes the entered root file system read-only; what is mounted on it keeps its own mode.
    pub(crate) fn freeze_entered() -> Result<(), StartError> {
        let freeze = || -> io::Result<()> {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open("/", flags, Mode::empty())?;
            set_attributes(root.as_fd(), Change { set: libc::MOUNT_ATTR_RDONLY, ..Change::default() })
        };
        freeze().map_err(step("making the root read-only"))
    }
}

fn cover(tree: io::Result<Tree>, mountpoint: &Path) -> io::Result<()> {
    let place = rustix::fs::open(mountpoint, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    tree?.attach(place.as_fd())
}
