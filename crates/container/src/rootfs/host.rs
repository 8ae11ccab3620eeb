//! A root file system made of the host's programs and libraries, read-only, and nothing else of the host: no home
//! directories, no `/var`, no `/run`, no sockets, of `/etc` only what programs need to start and to verify
//! certificates. For function instances.
use super::{Root, step};
use crate::mount::Mount;
use crate::mount::target::{self, Missing};
use crate::process::StartError;
use std::fs;
use std::path::Path;

/// Directories and a few small files; the instance's own data goes elsewhere.
pub(super) const ROOT_SIZE: &str = "1m";

/// Programs and libraries. On merged-`/usr` hosts all but the first are symlinks, and are made as such.
const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"];

/// What of `/etc` is not secret and is needed: certificates, the dynamic linker, alternatives, names.
const ETC: [&str; 13] = [
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
];

/// Empty directories that programs expect. Those for libraries must be there before a program starts, even when the
/// function's code comes later: the dynamic linker does not look again where there was nothing once.
const EMPTY: [&str; 8] =
    ["/tmp", "/var/task", "/var/task/lib", "/var/tmp", "/var/run", "/opt", "/opt/lib", "/run"];

pub(super) fn populate(root: &Root) -> Result<(), StartError> {
    for path in PROGRAMS.iter().chain(&ETC) {
        let path = Path::new(path);
        let Ok(meta) = fs::symlink_metadata(path) else { continue };
        if meta.is_symlink() {
            link(root, path).map_err(step(format_args!("linking {}", path.display())))?;
        } else {
            let bind = Mount::bind(path, path, true);
            bind.apply(root.place(), false).map_err(step(&bind))?;
        }
    }
    for path in EMPTY {
        target::open(root.place(), Path::new(path), Missing::Directory).map_err(step(path))?;
    }
    Ok(())
}

fn link(root: &Root, path: &Path) -> std::io::Result<()> {
    let to = fs::read_link(path)?;
    let parent = target::open(root.place(), path.parent().unwrap_or(Path::new("/")), Missing::Directory)?;
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(rustix::fs::symlinkat(to, parent, name)?)
}
