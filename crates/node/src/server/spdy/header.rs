//! Header blocks of SPDY/3: pairs of length-prefixed texts, in one zlib stream per direction with the dictionary of the
//! specification (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1).

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// The dictionary, byte for byte; its Adler-32 is known to both sides.
const DICTIONARY: &[u8] = include_bytes!("dictionary.bin");
/// What one block may unfold to.
const BLOCK_BYTES_MAX: usize = 64 << 10;

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Unfolds the blocks of one connection, in their order.
pub(super) struct Inflate(Decompress);

impl Inflate {
    pub(super) fn new() -> Inflate {
        Inflate(Decompress::new(true))
    }

    /// The headers of one block.
    pub(super) fn headers(&mut self, block: &[u8]) -> io::Result<Vec<(String, String)>> {
        parse(&self.unfold(block)?)
    }

    fn unfold(&mut self, mut block: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(BLOCK_BYTES_MAX);
        while !block.is_empty() {
            let (before, so_far) = (self.0.total_in(), text.len());
            match self.0.decompress_vec(block, &mut text, FlushDecompress::Sync) {
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(DICTIONARY).map_err(|error| invalid(error.to_string()))?;
                }
                Err(error) => return Err(invalid(error.to_string())),
            }
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(block.len());
            block = &block[taken..];
            if text.len() >= BLOCK_BYTES_MAX {
                return Err(invalid("the headers are too large"));
            }
            if taken == 0 && text.len() == so_far {
                return Err(invalid("the headers cannot be unfolded"));
            }
        }
        Ok(text)
    }
}

/// Reads the pairs.
fn parse(mut text: &[u8]) -> io::Result<Vec<(String, String)>> {
    let count = number(&mut text)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((word(&mut text)?, word(&mut text)?));
    }
    Ok(headers)
}

fn number(text: &mut &[u8]) -> io::Result<usize> {
    let (four, rest) = text.split_first_chunk::<4>().ok_or_else(|| invalid("a header block is too short"))?;
    *text = rest;
    Ok(u32::from_be_bytes(*four) as usize)
}

fn word(text: &mut &[u8]) -> io::Result<String> {
    let length = number(text)?;
    let (word, rest) = text.split_at_checked(length).ok_or_else(|| invalid("a header block is too short"))?;
    *text = rest;
    Ok(String::from_utf8_lossy(word).into_owned())
}

/// Folds the blocks of one connection, in their order.
pub(super) struct Deflate(Compress);

impl Deflate {
    pub(super) fn new() -> Deflate {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(DICTIONARY).expect("a fresh stream takes a dictionary");
        Deflate(compress)
    }

    /// A block without headers: all that replies to these clients say.
    pub(super) fn empty(&mut self) -> io::Result<Vec<u8>> {
        self.fold(&0_u32.to_be_bytes())
    }

    fn fold(&mut self, text: &[u8]) -> io::Result<Vec<u8>> {
        // A block of this side's is a few bytes; the rest is what folding adds.
        let mut block = Vec::with_capacity(text.len() + 256);
        self.0
            .compress_vec(text, &mut block, FlushCompress::Sync)
            .map_err(|error| invalid(error.to_string()))?;
        Ok(block)
    }

    #[cfg(test)]
    pub(super) fn headers(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut text = u32::try_from(headers.len()).expect("few").to_be_bytes().to_vec();
        for word in headers.iter().flat_map(|(name, value)| [name, value]) {
            text.extend_from_slice(&u32::try_from(word.len()).expect("short").to_be_bytes());
            text.extend_from_slice(word.as_bytes());
        }
        self.fold(&text).expect("folds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_one_connection_share_what_was_said() {
        let (mut fold, mut unfold) = (Deflate::new(), Inflate::new());
        for value in ["stdin", "stdout", "stdout"] {
            let block = fold.headers(&[("streamtype", value), ("port", "80")]);
            let headers = unfold.headers(&block).expect("read");
            assert_eq!(headers, [("streamtype".into(), value.into()), ("port".into(), "80".to_owned())]);
        }
        assert_eq!(unfold.headers(&fold.empty().expect("folds")).expect("read"), []);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Inflate::new().headers(b"nonsense").is_err());
        let bomb = Deflate::new().headers(&[("name", &"x".repeat(BLOCK_BYTES_MAX))]);
        assert!(bomb.len() < 1024 && Inflate::new().headers(&bomb).is_err());
        assert!(parse(&[0, 0, 0, 9]).is_err());
    }
}
