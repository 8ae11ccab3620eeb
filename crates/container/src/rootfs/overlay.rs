//! Layers of an image, under a private writable one where something is to be written. Layers appear by path in `/proc/<pid>/mountinfo`: that is how the
//! image store knows that they are in use.
use crate::mount::Tree;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags};
use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The two directories of a writable layer.
struct Writable {
    upper: PathBuf,
    work: PathBuf,
}

/// Mounts `lower` (lowest first), read-only or under a fresh layer in `private`. `volatile` everywhere: no sync of the
/// whole host disk when the container goes; its layer is thrown away then anyway.
pub(super) fn mount(lower: &[PathBuf], private: Option<&Path>, mountpoint: &Path) -> io::Result<()> {
    let writable = private.map(|dir| Writable { upper: dir.join("upper"), work: dir.join("work") });
    if let Some(Writable { upper, work }) = &writable {
        std::fs::create_dir_all(upper)?;
        std::fs::create_dir_all(work)?;
    }
    match one_by_one(lower, writable.as_ref(), mountpoint) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => at_once(lower, writable.as_ref(), mountpoint),
        other => other,
    }
}

/// Names one layer after the other (Linux 6.8): any number, any path.
fn one_by_one(lower: &[PathBuf], writable: Option<&Writable>, mountpoint: &Path) -> io::Result<()> {
    use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen};
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in lower.iter().rev() {
        fsconfig_set_string(fs.as_fd(), "lowerdir+", layer)?;
    }
    if let Some(Writable { upper, work }) = writable {
        fsconfig_set_string(fs.as_fd(), "upperdir", upper)?;
        fsconfig_set_string(fs.as_fd(), "workdir", work)?;
        fsconfig_set_flag(fs.as_fd(), "volatile")?;
    }
    fsconfig_create(fs.as_fd())?;
    let tree = fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let place = rustix::fs::open(mountpoint, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Tree::from(tree).attach(place.as_fd())
}

/// Names all layers in one string, which the kernel limits to a page: relative to the directory they share.
fn at_once(lower: &[PathBuf], writable: Option<&Writable>, mountpoint: &Path) -> io::Result<()> {
    let shared = shared_directory(lower);
    rustix::process::chdir(&shared)?;
    let relative = |layer: &PathBuf| escape(layer.strip_prefix(&shared).unwrap_or(layer));
    let lower = lower.iter().rev().map(relative).collect::<Vec<_>>().join(&b':');
    let mut options = [b"lowerdir=", lower.as_slice()].concat();
    if let Some(Writable { upper, work }) = writable {
        options.extend(
            [b",upperdir=", escape(upper).as_slice(), b",workdir=", escape(work).as_slice()].concat(),
        );
    }
    // Kernels before 5.10 do not know "volatile".
    let ends = if writable.is_some() { &[",volatile", ""][..] } else { &[""][..] };
    for end in ends {
        let options = CString::new([options.as_slice(), end.as_bytes()].concat())?;
        match rustix::mount::mount("overlay", mountpoint, "overlay", MountFlags::empty(), options.as_c_str())
        {
            Err(rustix::io::Errno::INVAL) => {}
            other => return Ok(other?),
        }
    }
    Err(rustix::io::Errno::INVAL.into())
}

/// The deepest directory that holds all of them.
fn shared_directory(paths: &[PathBuf]) -> PathBuf {
    let mut shared = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new("/")).to_owned();
    while !paths.iter().all(|path| path.starts_with(&shared)) && shared.pop() {}
    shared
}

fn escape(path: &Path) -> Vec<u8> {
    path.as_os_str()
        .as_bytes()
        .iter()
        .flat_map(|byte| match byte {
            b':' | b',' | b'\\' => vec![b'\\', *byte],
            byte => vec![*byte],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_directory_is_the_deepest() {
        let paths = ["/d/layers/aa/fs", "/d/layers/ab/fs"].map(PathBuf::from);
        assert_eq!(shared_directory(&paths), Path::new("/d/layers"));
        assert_eq!(shared_directory(&paths[..1]), Path::new("/d/layers/aa"));
    }

    #[test]
    fn separators_are_escaped() {
        assert_eq!(escape(Path::new("/a:b,c\\d")), b"/a\\:b\\,c\\\\d");
    }
}
