//! `/dev`: a handful of devices, bound from the host one by one. The file systems themselves refuse device nodes
//! (`nodev`), so a node that a container makes for itself opens nothing, whatever control group version the host has.
use super::{RESTRICTED, Root, step};
use crate::bundle::Bundle;
use crate::mount::target::Missing;
use crate::mount::{Mount, Tree};
use crate::process::StartError;
use rustix::mount::MountAttrFlags;
use std::path::Path;

const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// `/dev/shm` without a pod that says otherwise: Docker's 64 MiB.
const SHM_SIZE: &str = "67108864";

pub(super) fn populate(root: &Root, bundle: &mut Bundle) -> Result<(), StartError> {
    if bundle.privileged {
        let host = Mount::bind("/dev", "/dev", false);
        host.apply(root.place(), true).map_err(step(&host))?;
    } else {
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        root.fresh("tmpfs", "/dev", &[("mode", "755"), ("size", "65536k")], attributes)?;
        for device in DEVICES {
            root.attach(Tree::of(Path::new(device)), device, Missing::File)?;
        }
        let dev =
            super::target::open_existing(root.place(), Path::new("/dev")).map_err(step("opening /dev"))?;
        for (name, target) in LINKS {
            rustix::fs::symlinkat(target, &dev, name).map_err(step(format_args!("linking /dev/{name}")))?;
        }
        root.file("/dev/console")?;
    }
    let terminals = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    root.fresh("devpts", "/dev/pts", &terminals, attributes)?;
    root.fresh("mqueue", "/dev/mqueue", &[], RESTRICTED)?;
    match bundle.shm.take() {
        Some(shm) => root.attach(Ok(shm), "/dev/shm", Missing::Directory),
        None => root.fresh("tmpfs", "/dev/shm", &[("mode", "1777"), ("size", SHM_SIZE)], RESTRICTED),
    }
}
