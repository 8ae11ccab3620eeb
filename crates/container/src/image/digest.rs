//! SHA-256 digests, and readers and writers that count and hash what passes through them.

use std::fmt;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// `sha256:` and 64 lower-case hex digits: the name of some bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Reads a digest; other algorithms are not known here.
    pub fn parse(text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("sha256:")?;
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (hex.len() == 64 && hex.bytes().all(lower)).then(|| Digest(hex.to_owned()))
    }

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::from(Sha256::new_with_prefix(bytes))
    }

    /// The digits alone.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl From<Sha256> for Digest {
    fn from(hash: Sha256) -> Digest {
        use fmt::Write as _;
        hash.finalize().iter().fold(Digest(String::with_capacity(64)), |mut digest, byte| {
            write!(digest.0, "{byte:02x}").expect("a string takes all");
            digest
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Digest, String> {
        Digest::parse(&text).ok_or_else(|| format!("{text:?} is not a sha256 digest"))
    }
}

/// Hashes and counts what is read or written through it.
pub(crate) struct Hashed<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Hashed<T> {
    pub(crate) fn new(inner: T) -> Hashed<T> {
        Hashed { inner, hash: Sha256::new(), bytes: 0 }
    }

    pub(crate) fn finish(self) -> (T, Digest, u64) {
        (self.inner, Digest::from(self.hash), self.bytes)
    }

    fn count(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.count(&into[..n]);
        Ok(n)
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.count(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_read_and_written() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        assert_eq!(Digest::parse(ABC), Some(Digest::of(b"abc")));
        for text in ["", "sha256:", &ABC[..70], &ABC.to_uppercase(), &ABC.replace("256", "512")] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_passes_is_hashed_and_counted() {
        let mut reader = Hashed::new(&b"abc"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!(reader.finish().1, Digest::of(b"abc"));
        let mut writer = Hashed::new(Vec::new());
        writer.write_all(b"abc").unwrap();
        assert_eq!(writer.finish(), (b"abc".to_vec(), Digest::of(b"abc"), 3));
    }
}
