//! Layers of an image, under a private writable one where something is to be written. Layers appear in
//! `/proc/<pid>/mountinfo`: that is how the image store knows that they are in use.
use crate::mount::Tree;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags};
use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// No sync of the whole host disk when the container goes; its layer is thrown away then anyway.
const VOLATILE: &str = ",volatile";

/// The kernel reads a page of options, with a zero at its end.
const OPTIONS_BYTES_MAX: usize = 4095 - VOLATILE.len();

/// The two directories of a writable layer.
struct Writable {
    upper: PathBuf,
    work: PathBuf,
}

/// Mounts `lower` (lowest first), read-only or under a fresh layer in `private`.
pub(super) fn mount(lower: &[PathBuf], private: Option<&Path>, mountpoint: &Path) -> io::Result<()> {
    let writable = private.map(|dir| Writable { upper: dir.join("upper"), work: dir.join("work") });
    if let Some(Writable { upper, work }) = &writable {
        std::fs::create_dir_all(upper)?;
        std::fs::create_dir_all(work)?;
    }
    let shared = shared_directory(lower);
    let options = options(lower, &shared, writable.as_ref());
    if options.len() > OPTIONS_BYTES_MAX {
        return one_by_one(lower, writable.as_ref(), mountpoint);
    }
    at_once(&options, &shared, writable.is_some(), mountpoint)
}

/// Names one layer after the other: any number, but only since Linux 6.8.
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

/// All layers in one string, relative to the directory they share.
fn options(lower: &[PathBuf], shared: &Path, writable: Option<&Writable>) -> Vec<u8> {
    let relative = |layer: &PathBuf| escape(layer.strip_prefix(shared).unwrap_or(layer));
    let lower = lower.iter().rev().map(relative).collect::<Vec<_>>().join(&b':');
    let mut options = [b"lowerdir=", lower.as_slice()].concat();
    if let Some(Writable { upper, work }) = writable {
        options.extend(
            [b",upperdir=", escape(upper).as_slice(), b",workdir=", escape(work).as_slice()].concat(),
        );
    }
    options
}

/// Mounts with all options in one string, as every kernel can.
fn at_once(options: &[u8], shared: &Path, writable: bool, mountpoint: &Path) -> io::Result<()> {
    rustix::process::chdir(shared)?;
    // Kernels before 5.10 do not know "volatile".
    let ends = if writable { &[VOLATILE, ""][..] } else { &[""][..] };
    for end in ends {
        let options = CString::new([options, end.as_bytes()].concat())?;
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
    fn layers_are_named_from_the_highest_and_beside_where_they_are() {
        let lower = ["/d/layers/a", "/d/layers/b"].map(PathBuf::from);
        assert_eq!(options(&lower, Path::new("/d/layers"), None), b"lowerdir=b:a");
        let writable = Writable { upper: "/d/up".into(), work: "/d/work".into() };
        let both = options(&lower, Path::new("/d/layers"), Some(&writable));
        assert_eq!(both, b"lowerdir=b:a,upperdir=/d/up,workdir=/d/work");
    }

    #[test]
    fn separators_are_escaped() {
        assert_eq!(escape(Path::new("/a:b,c\\d")), b"/a\\:b\\,c\\\\d");
    }
}
