//! Reads the entries of a tar, extended headers applied, without trusting any of it: every header is bounded, and
//! what could be read in two ways is refused. Touches no file system.

use std::collections::BTreeMap;
use std::io::Read;

use tar::{EntryType, Header};

use super::compression::read_error;
use super::error::Error;
use super::limits::Limits;

/// One file, directory, link or node of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it is in the archive: not yet known to be safe.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    pub attributes: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Directory,
    File {
        bytes: u64,
    },
    Symlink {
        to: Vec<u8>,
    },
    Hardlink {
        to: Vec<u8>,
    },
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// Extended attributes travel under this name in extended headers.
const ATTRIBUTE_PREFIX: &str = "SCHILY.xattr.";

/// Calls `each` for every entry, with its content.
pub(crate) fn each(
    source: &mut dyn Read,
    limits: &Limits,
    mut each: impl FnMut(Entry, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut archive = tar::Archive::new(source);
    let mut extended = Extended::default();
    let mut count = 0;
    // Raw, because the library would read extended headers of any size into memory.
    for raw in archive.entries().map_err(read_error)?.raw(true) {
        let mut raw = raw.map_err(read_error)?;
        count += 1;
        if count > limits.entries {
            return Err(Error::TooLarge {
                what: "the number of entries",
                max: limits.entries,
                unit: "entries",
            });
        }
        let kind = raw.header().entry_type();
        if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader) {
            extended.take(kind, &content(&mut raw, limits)?)?;
        } else if kind != EntryType::XGlobalHeader {
            let entry = entry(raw.header(), std::mem::take(&mut extended))?;
            each(entry, &mut raw)?;
        }
    }
    Ok(())
}

/// The headers before an entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: BTreeMap<String, Vec<u8>>,
}

impl Extended {
    fn take(&mut self, kind: EntryType, bytes: &[u8]) -> Result<(), Error> {
        let name = || bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        match kind {
            EntryType::GNULongName => self.path = Some(name()),
            EntryType::GNULongLink => self.link = Some(name()),
            _ => self.pax.extend(records(bytes).ok_or_else(|| malformed("an extended header is malformed"))?),
        }
        Ok(())
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.pax.get(key) else { return Ok(None) };
        // Times have fractions, and may be before 1970.
        let text = std::str::from_utf8(text).unwrap_or_default();
        let whole = text.split('.').next().unwrap_or_default();
        if whole.starts_with('-') && key == "mtime" {
            return Ok(Some(0));
        }
        whole.parse().map(Some).map_err(|_| malformed(&format!("{key} is not a number: {text:?}")))
    }
}

fn malformed(problem: &str) -> Error {
    Error::Archive { problem: problem.to_owned() }
}

fn content(raw: &mut impl Read, limits: &Limits) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    raw.take(limits.header_bytes + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > limits.header_bytes {
        return Err(Error::TooLarge { what: "an extended header", max: limits.header_bytes, unit: "bytes" });
    }
    Ok(bytes)
}

/// Records of an extended header: `LENGTH KEY=VALUE\n`, where the length counts all of it.
fn records(mut bytes: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|b| *b == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|b| *b == b'=')?;
        let key = String::from_utf8(record[..equals].to_vec()).ok()?;
        records.insert(key, record[equals + 1..].to_vec());
        bytes = &bytes[length..];
    }
    Some(records)
}

fn entry(header: &Header, mut extended: Extended) -> Result<Entry, Error> {
    let size = header.entry_size().map_err(read_error)?;
    if extended.number("size")?.is_some_and(|other| other != size) {
        return Err(malformed("an entry has two sizes"));
    }
    if extended.pax.keys().any(|key| key.starts_with("GNU.sparse.")) {
        return Err(malformed("sparse files are not read: make the archive without --sparse"));
    }
    let (uid, gid, mtime) = (extended.number("uid")?, extended.number("gid")?, extended.number("mtime")?);
    let id = |given: Option<u64>, plain: std::io::Result<u64>| {
        let id = given.map_or(plain, Ok).map_err(read_error)?;
        u32::try_from(id).map_err(|_| malformed(&format!("{id} is not a user or group id")))
    };
    let path =
        extended.pax.remove("path").or(extended.path.take()).unwrap_or_else(|| header.path_bytes().to_vec());
    let link = extended.pax.remove("linkpath").or(extended.link.take());
    let link = link.or_else(|| header.link_name_bytes().map(|name| name.to_vec())).unwrap_or_default();
    let attributes = extended
        .pax
        .into_iter()
        .filter_map(|(key, value)| key.strip_prefix(ATTRIBUTE_PREFIX).map(|name| (name.to_owned(), value)));
    Ok(Entry {
        kind: kind(header, &path, link, size)?,
        path,
        mode: header.mode().map_err(read_error)? & 0o7777,
        uid: id(uid, header.uid())?,
        gid: id(gid, header.gid())?,
        mtime: mtime.or(header.mtime().ok()).unwrap_or_default(),
        attributes: attributes.collect(),
    })
}

fn kind(header: &Header, path: &[u8], to: Vec<u8>, bytes: u64) -> Result<Kind, Error> {
    let device = |block| {
        let number =
            |number: std::io::Result<Option<u32>>| number.map(Option::unwrap_or_default).map_err(read_error);
        Ok(Kind::Device {
            block,
            major: number(header.device_major())?,
            minor: number(header.device_minor())?,
        })
    };
    match header.entry_type() {
        // Archives from before POSIX mark directories by a slash.
        EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Ok(Kind::Directory),
        EntryType::Regular | EntryType::Continuous => Ok(Kind::File { bytes }),
        EntryType::Directory => Ok(Kind::Directory),
        EntryType::Symlink => Ok(Kind::Symlink { to }),
        EntryType::Link => Ok(Kind::Hardlink { to }),
        EntryType::Char => device(false),
        EntryType::Block => device(true),
        EntryType::Fifo => Ok(Kind::Fifo),
        EntryType::GNUSparse => {
            Err(malformed("sparse files are not read: make the archive without --sparse"))
        }
        other => Err(malformed(&format!("an entry has the unknown type {:?}", char::from(other.as_byte())))),
    }
}
