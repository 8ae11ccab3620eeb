//! Opens plain, gzip and zstd streams alike, by their first bytes, and stops those that swell beyond the limits.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::error::Error;
use super::limits::Limits;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the first bytes. Formats that are known but not read here are an error, not "none".
    pub(crate) fn of(head: &[u8]) -> Result<Compression, Error> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
            // A frame, or a skippable one before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
            [b'B', b'Z', b'h', ..] => Err(unread("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(unread("xz")),
            _ => Ok(Compression::None),
        }
    }
}

fn unread(format: &str) -> Error {
    Error::Archive {
        problem: format!("it is compressed with {format}: unpack it first, or use gzip or zstd"),
    }
}

/// The decompressed stream, and how it was compressed.
pub(crate) fn open<'a>(
    source: impl Read + 'a,
    limits: &Limits,
) -> Result<(Box<dyn Read + 'a>, Compression), Error> {
    let taken = Rc::new(Cell::new(0));
    let mut source = BufReader::with_capacity(1 << 16, Counted { inner: source, bytes: taken.clone() });
    let head = source.fill_buf().map_err(read_error)?;
    let compression = Compression::of(head)?;
    let inner: Box<dyn Read + 'a> = match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
        Compression::Zstd => Box::new(Frames::new(source)),
    };
    Ok((Box::new(Bounded { inner, taken, given: 0, limits: *limits }), compression))
}

/// What an error while reading an archive means.
pub(crate) fn read_error(error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Swollen>()) {
        Some(Swollen { what, max, unit }) => Error::TooLarge { what, max: *max, unit },
        None => Error::Archive { problem: format!("it cannot be read: {error}") },
    }
}

struct Counted<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.bytes.set(self.bytes.get() + n as u64);
        Ok(n)
    }
}

struct Bounded<'a> {
    inner: Box<dyn Read + 'a>,
    taken: Rc<Cell<u64>>,
    given: u64,
    limits: Limits,
}

#[derive(Debug, thiserror::Error)]
#[error("{what} exceeds the limit of {max} {unit}")]
struct Swollen {
    what: &'static str,
    max: u64,
    unit: &'static str,
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.given += n as u64;
        let Limits { unpacked_bytes, ratio, any_ratio_bytes, .. } = self.limits;
        if self.given > unpacked_bytes {
            let what = "the unpacked archive";
            return Err(io::Error::other(Swollen { what, max: unpacked_bytes, unit: "bytes" }));
        }
        if self.given > any_ratio_bytes && self.given / ratio > self.taken.get() {
            let what = "the compression of the archive";
            return Err(io::Error::other(Swollen { what, max: ratio, unit: "to one" }));
        }
        Ok(n)
    }
}

/// A zstd stream of any number of frames, skippable ones among them.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether the decoder is inside a frame.
    inside: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> Frames<R> {
        Frames { source, decoder: FrameDecoder::new(), inside: false }
    }

    /// Goes on to the next frame; false at the end of the stream.
    fn next(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            while self.inside && self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            }
            if self.inside && self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            self.inside = false;
            if !self.next()? {
                return Ok(0);
            }
        }
    }
}
