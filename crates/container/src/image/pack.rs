//! Makes the tar of a layer from files of the host, so that the same files always give the same bytes: sorted,
//! owned by root, dated 1970. Reads only.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::elf;
use super::error::{Error, failed};

/// The folder of a program that is an image by itself.
pub(crate) const PROGRAM_FOLDER: &str = "app";

/// Accounts that programs look up; images of one program hold nothing else.
const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnobody:x:65534:\n";

/// An image of one program: the program, two accounts, a place for temporary files. Gives its path inside.
pub(crate) fn program(source: &Path, to: &mut dyn Write) -> Result<String, Error> {
    let refuse = |problem: String| Error::Source { path: source.into(), problem };
    let name = source.file_name().and_then(OsStr::to_str);
    let name = name.ok_or_else(|| refuse("its name is not text: rename it".into()))?;
    let bytes = fs::read(source).map_err(failed("reading", source))?;
    elf::check_static(&bytes).map_err(refuse)?;
    let path = format!("{PROGRAM_FOLDER}/{name}");
    let mut tar = Builder::new(to);
    let wrote = (|| {
        folder(&mut tar, "app/", 0o755)?;
        file(&mut tar, &path, 0o755, &bytes)?;
        folder(&mut tar, "etc/", 0o755)?;
        file(&mut tar, "etc/group", 0o644, GROUP.as_bytes())?;
        file(&mut tar, "etc/passwd", 0o644, PASSWD.as_bytes())?;
        folder(&mut tar, "tmp/", 0o1777)?;
        tar.finish()
    })();
    wrote.map_err(failed("packing", source))?;
    Ok(format!("/{path}"))
}

fn folder(tar: &mut Builder<&mut dyn Write>, path: &str, mode: u32) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Directory, mode, 0), path, io::empty())
}

fn file(tar: &mut Builder<&mut dyn Write>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Regular, mode, bytes.len() as u64), path, bytes)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// The content of a directory, as the root of an image.
pub(crate) fn directory(source: &Path, to: &mut dyn Write) -> Result<(), Error> {
    let mut pack = Pack { tar: Builder::new(to), source, links: HashMap::new() };
    let mut found = Vec::new();
    walk(source, Path::new(""), &mut found)?;
    found.sort_by(|a, b| a.0.as_os_str().as_bytes().cmp(b.0.as_os_str().as_bytes()));
    for (path, meta) in &found {
        pack.add(path, meta)?;
    }
    pack.tar.finish().map_err(failed("packing", source))
}

fn walk(source: &Path, below: &Path, found: &mut Vec<(PathBuf, Metadata)>) -> Result<(), Error> {
    let folder = source.join(below);
    for entry in fs::read_dir(&folder).map_err(failed("reading", &folder))? {
        let name = entry.map_err(failed("reading", &folder))?.file_name();
        let path = below.join(&name);
        let meta =
            fs::symlink_metadata(source.join(&path)).map_err(failed("reading", &source.join(&path)))?;
        let is_directory = meta.is_dir();
        found.push((path.clone(), meta));
        if is_directory {
            walk(source, &path, found)?;
        }
    }
    Ok(())
}

struct Pack<'a> {
    tar: Builder<&'a mut dyn Write>,
    source: &'a Path,
    /// Files with several names: the first of them, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Pack<'_> {
    fn add(&mut self, path: &Path, meta: &Metadata) -> Result<(), Error> {
        let full = self.source.join(path);
        let refuse = |problem: &str| Error::Source { path: full.clone(), problem: problem.to_owned() };
        if path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".wh.")) {
            return Err(refuse("names that start with .wh. mean deletions in an image: rename it"));
        }
        let fail = failed("packing", &full);
        let kind = meta.file_type();
        if kind.is_dir() {
            let name = path.join("");
            return self
                .tar
                .append_data(&mut header(EntryType::Directory, meta.mode(), 0), name, io::empty())
                .map_err(fail);
        }
        if kind.is_symlink() {
            let to = fs::read_link(&full).map_err(failed("reading", &full))?;
            return self.tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, to).map_err(fail);
        }
        if !kind.is_file() {
            return Err(refuse("it is a device, socket or pipe, which an image does not hold: take it out"));
        }
        if meta.nlink() > 1 {
            let first = self.links.entry((meta.dev(), meta.ino())).or_insert_with(|| path.to_path_buf());
            if first != path {
                let mut header = header(EntryType::Link, meta.mode(), 0);
                return self.tar.append_link(&mut header, path, first.as_path()).map_err(fail);
            }
        }
        self.file(path, meta, &full)
    }

    fn file(&mut self, path: &Path, meta: &Metadata, full: &Path) -> Result<(), Error> {
        let file = File::open(full).map_err(failed("reading", full))?;
        if let Some(value) = capability(&file).map_err(failed("reading the capabilities of", full))? {
            let record = [("SCHILY.xattr.security.capability", value.as_slice())];
            self.tar.append_pax_extensions(record).map_err(failed("packing", full))?;
        }
        let mut content = file.take(meta.len());
        let mut header = header(EntryType::Regular, meta.mode(), meta.len());
        self.tar.append_data(&mut header, path, &mut content).map_err(failed("packing", full))?;
        if content.limit() > 0 {
            let problem = "it became shorter while it was read: try again when nothing writes to it".into();
            return Err(Error::Source { path: full.into(), problem });
        }
        Ok(())
    }
}

/// The file capabilities, which a program like `ping` needs.
fn capability(file: &File) -> io::Result<Option<Vec<u8>>> {
    use rustix::io::Errno;
    let mut value = [0; 64];
    match rustix::fs::fgetxattr(file, "security.capability", &mut value[..]) {
        Ok(n) => Ok(Some(value[..n].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
