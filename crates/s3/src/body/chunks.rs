//! `aws-chunked`: bytes in chunks, each with its size and perhaps a signature before it, and perhaps headers behind the last
//! one. Pure: bytes go in, bytes come out.

use crate::refused::Refused;
use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use sigv4::ChunkSignatures;
use std::collections::BTreeMap;

/// The longest line: a size with its signature, or a header.
const LINE_BYTES_MAX: usize = 4096;

/// Headers behind the body; AWS has one or two.
const TRAILERS_MAX: usize = 16;

pub(super) struct Chunks {
    signatures: Option<ChunkSignatures>,
    trailer: bool,
    pending: BytesMut,
    at: At,
    hash: Sha256,
    signature: String,
    trailers: BTreeMap<String, String>,
    /// As they were signed.
    signed_trailers: String,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Data(u64),
    LineEnd,
    Trailer,
    End,
}

impl Chunks {
    pub(super) fn new(signatures: Option<ChunkSignatures>, trailer: bool) -> Chunks {
        Chunks {
            signatures,
            trailer,
            pending: BytesMut::new(),
            at: At::Size,
            hash: Sha256::new(),
            signature: String::new(),
            trailers: BTreeMap::new(),
            signed_trailers: String::new(),
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        // What is pending is a part of a line at most: nearly all of what comes is taken as it is.
        match self.pending.is_empty() {
            true => self.pending = bytes.try_into_mut().unwrap_or_else(|bytes| BytesMut::from(&bytes[..])),
            false => self.pending.extend_from_slice(&bytes),
        }
    }

    /// The next bytes of the object; `None` when more must be pushed first, or everything was.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        loop {
            match self.at {
                At::Size => match self.line()? {
                    Some(line) => self.begin(&line)?,
                    None => return Ok(None),
                },
                At::Data(left) => {
                    if self.pending.is_empty() {
                        return Ok(None);
                    }
                    let size = self.pending.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let bytes = self.pending.split_to(size).freeze();
                    if self.signatures.is_some() {
                        self.hash.update(&bytes);
                    }
                    let left = left - size as u64;
                    self.at = if left > 0 { At::Data(left) } else { At::LineEnd };
                    if left == 0 {
                        self.check_chunk()?;
                    }
                    return Ok(Some(bytes));
                }
                At::LineEnd => match self.line()? {
                    Some(line) if line.is_empty() => self.at = At::Size,
                    Some(_) => return Err(malformed()),
                    None => return Ok(None),
                },
                At::Trailer => match self.line()? {
                    Some(line) if line.is_empty() => self.at = At::End,
                    Some(line) => self.header(&line)?,
                    None => return Ok(None),
                },
                At::End if self.pending.is_empty() => return Ok(None),
                At::End => return Err(malformed()),
            }
        }
    }

    /// A line without its end, if all of it is there.
    fn line(&mut self) -> Result<Option<String>, Refused> {
        let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') else {
            return if self.pending.len() > LINE_BYTES_MAX { Err(malformed()) } else { Ok(None) };
        };
        let line = self.pending.split_to(end);
        self.pending.advance(1);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        match String::from_utf8(line.to_vec()) {
            Ok(line) if line.len() <= LINE_BYTES_MAX => Ok(Some(line)),
            _ => Err(malformed()),
        }
    }

    fn begin(&mut self, line: &str) -> Result<(), Refused> {
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let size = u64::from_str_radix(size.trim(), 16).map_err(|_| malformed())?;
        self.signature = extension.trim().strip_prefix("chunk-signature=").unwrap_or_default().to_owned();
        self.at = At::Data(size);
        if size == 0 {
            self.check_chunk()?;
            self.at = At::Trailer;
        }
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), Refused> {
        let hash = std::mem::take(&mut self.hash).finalize();
        let Some(signatures) = &mut self.signatures else { return Ok(()) };
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        match signatures.chunk(&hash, &self.signature) {
            true => Ok(()),
            false => Err(Refused::signature(&sigv4::VerifyError::Mismatch, false)),
        }
    }

    fn header(&mut self, line: &str) -> Result<(), Refused> {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "x-amz-trailer-signature" {
            self.signature = value.to_owned();
            return Ok(());
        }
        if !self.trailer || self.trailers.len() >= TRAILERS_MAX {
            return Err(malformed());
        }
        self.signed_trailers.push_str(&format!("{name}:{value}\n"));
        self.trailers.insert(name, value.to_owned());
        Ok(())
    }

    /// Nothing comes any more: the headers behind the body, if everything was there.
    pub(super) fn end(mut self) -> Result<BTreeMap<String, String>, Refused> {
        // Some clients leave the last empty line out.
        if !matches!(self.at, At::End | At::Trailer) || !self.pending.is_empty() {
            return Err(Refused::incomplete());
        }
        if self.trailer
            && let Some(signatures) = &mut self.signatures
            && !signatures.trailer(&self.signed_trailers, &self.signature)
        {
            return Err(Refused::signature(&sigv4::VerifyError::Mismatch, false));
        }
        Ok(self.trailers)
    }
}

fn malformed() -> Refused {
    let message = "The body is not well-formed: it must come in chunks, each with its size before it.";
    Refused::new(400, "InvalidChunkSizeError", message).with("Encoding", "aws-chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&str], trailer: bool) -> Result<(String, BTreeMap<String, String>), Refused> {
        let mut chunks = Chunks::new(None, trailer);
        let mut text = String::new();
        for piece in pieces {
            chunks.push(Bytes::copy_from_slice(piece.as_bytes()));
            while let Some(bytes) = chunks.next()? {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        Ok((text, chunks.end()?))
    }

    #[test]
    fn chunks_come_in_any_pieces() {
        let whole =
            "5\r\nhello\r\n6;chunk-signature=x\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        let each: Vec<&str> = whole.split_inclusive("").collect();
        for pieces in [&[whole][..], &each[..]] {
            let (text, trailers) = decode(pieces, true).expect("decoded");
            assert_eq!(
                (text.as_str(), trailers["x-amz-checksum-crc32"].as_str()),
                ("hello world", "AAAAAA==")
            );
        }
        assert_eq!(decode(&["0\r\n\r\n"], false).expect("nothing").0, "");
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let long = "1".repeat(LINE_BYTES_MAX + 1);
        for bad in [
            "x\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "1\r\na",
            "1\r\na\r\n",
            &long,
            "0\r\n\r\nmore",
            "0\r\na:b\r\n\r\n",
        ] {
            assert!(decode(&[bad], false).is_err(), "{bad}");
        }
    }
}
