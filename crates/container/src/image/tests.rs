//! Tests of the image store: what hostile layers cannot do, what archives mean, how images come, stay and go.

mod archives;
mod hostile;
mod life;

use std::path::Path;

use tar::{EntryType, Header};
use tempfile::TempDir;

use super::*;

/// A store in a directory of its own.
fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("images")).unwrap();
    (dir, store)
}

/// A tar made by hand, which may hold what no honest tool writes.
#[derive(Default, Clone)]
struct Tar(Vec<u8>);

impl Tar {
    fn put(mut self, kind: EntryType, path: &str, link: &str, mode: u32, content: &[u8]) -> Tar {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len().min(100)]
            .copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000_000);
        self.raw(&mut header, content)
    }

    fn raw(&mut self, header: &mut Header, content: &[u8]) -> Tar {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        std::mem::take(self)
    }

    fn file(self, path: &str, content: &str) -> Tar {
        self.put(EntryType::Regular, path, "", 0o644, content.as_bytes())
    }

    fn dir(self, path: &str) -> Tar {
        self.put(EntryType::Directory, path, "", 0o755, b"")
    }

    fn symlink(self, path: &str, to: &str) -> Tar {
        self.put(EntryType::Symlink, path, to, 0o777, b"")
    }

    fn hardlink(self, path: &str, to: &str) -> Tar {
        self.put(EntryType::Link, path, to, 0o644, b"")
    }

    fn device(mut self, kind: EntryType, path: &str, major: u32, minor: u32) -> Tar {
        let mut header = Header::new_gnu();
        header.set_path(path).unwrap();
        header.set_entry_type(kind);
        header.set_mode(0o666);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.raw(&mut header, b"")
    }

    /// Extended headers for the entry that follows.
    fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut content = Vec::new();
        for (key, value) in records {
            let bare = key.len() + value.len() + 3;
            let length =
                (1..6).map(|digits| bare + digits).find(|n| n.to_string().len() + bare == *n).unwrap();
            content.extend(format!("{length} {key}=").bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.put(EntryType::XHeader, "pax", "", 0o644, &content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// The smallest file that passes for a static program of this machine.
fn program() -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[18] = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    file
}

fn import(store: &Store, tar: Vec<u8>, name: &str) -> Result<Image, Error> {
    store.import(&mut &tar[..], name, Config::default())
}

fn read(root: &Path, path: &str) -> String {
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
