//! The body of a request, as it comes: decoded where it comes in chunks, whose signatures are checked, and counted. Never held
//! as a whole, but for the small documents that some operations take.

mod chunks;

use super::refused::Refused;
use bytes::{Bytes, BytesMut};
use chunks::Chunks;
use http::header;
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt;
use sigv4::{Payload, hex_sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::{Body, Share};

/// How long a client may send nothing.
const IDLE: Duration = Duration::from_secs(60);

/// What is read of a body that nobody wants: a client that is still sending does not look for the answer.
const DRAINED_BYTES_MAX: usize = 256 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// The largest document that an operation takes: ten thousand parts with their checksums have some 2 MiB.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// What comes with a request.
pub(super) struct Incoming {
    body: Body,
    /// Whether the client waits to be asked for the body, and was not yet.
    expects: bool,
    chunks: Option<Chunks>,
    /// What the signature says that the bytes are.
    pub(super) sha256: Option<String>,
    /// How many bytes there will be.
    pub(super) size: Option<u64>,
    taken: u64,
    trailers: BTreeMap<String, String>,
}

impl Incoming {
    pub(super) fn new(parts: &Parts, body: Body) -> Incoming {
        let expects = parts.headers.contains_key(header::EXPECT);
        Incoming {
            body,
            expects,
            chunks: None,
            sha256: None,
            size: None,
            taken: 0,
            trailers: BTreeMap::new(),
        }
    }

    /// Takes what the head said of the body.
    pub(super) fn announce(&mut self, parts: &Parts, payload: Payload) -> Result<(), Refused> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let length = |name: &str| -> Result<Option<u64>, Refused> {
            let refuse = || Refused::argument(name, header(name).unwrap_or_default(), "It must be a number.");
            header(name).map(|text| text.parse().map_err(|_| refuse())).transpose()
        };
        (self.chunks, self.sha256, self.size) = match payload {
            Payload::Chunks { signatures, trailer } => {
                let size = length("x-amz-decoded-content-length")?;
                let missing = "You must provide the x-amz-decoded-content-length HTTP header.";
                let size = size.ok_or_else(|| Refused::new(411, "MissingContentLength", missing))?;
                (Some(Chunks::new(signatures, trailer)), None, Some(size))
            }
            Payload::Sha256(hash) => (None, Some(hash), length(header::CONTENT_LENGTH.as_str())?),
            Payload::Unsigned => (None, None, length(header::CONTENT_LENGTH.as_str())?),
        };
        Ok(())
    }

    /// Takes what is left of a body whose request was answered, if that is not too much; whether nothing is left. A connection
    /// on which something is left cannot carry another request.
    pub(super) async fn drain(&mut self) -> bool {
        if self.body.is_end_stream() || self.expects {
            return self.body.is_end_stream();
        }
        let take = async {
            let mut left = DRAINED_BYTES_MAX;
            loop {
                match self.body.frame().await {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        let Some(rest) = left.checked_sub(bytes) else { return false };
                        left = rest;
                    }
                }
            }
        };
        tokio::time::timeout(DRAIN_TIME_MAX, take).await.unwrap_or(false)
    }

    /// The next bytes; `None` when all of them came, and as many as were announced.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        loop {
            if let Some(chunks) = &mut self.chunks
                && let Some(bytes) = chunks.next()?
            {
                return self.take(bytes).map(Some);
            }
            let Some(bytes) = self.frame().await? else {
                if let Some(chunks) = self.chunks.take() {
                    self.trailers = chunks.end()?;
                }
                return match self.size {
                    Some(size) if size != self.taken => Err(Refused::incomplete()),
                    _ => Ok(None),
                };
            };
            match &mut self.chunks {
                Some(chunks) => chunks.push(bytes),
                None => return self.take(bytes).map(Some),
            }
        }
    }

    fn take(&mut self, bytes: Bytes) -> Result<Bytes, Refused> {
        self.taken += bytes.len() as u64;
        match self.size {
            Some(size) if self.taken > size => Err(Refused::incomplete()),
            _ => Ok(bytes),
        }
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, Refused> {
        loop {
            self.expects = false;
            let frame = tokio::time::timeout(IDLE, self.body.frame()).await;
            let frame = frame.map_err(|_| {
                let message = "Your socket connection to the server was not read from or written to within the timeout period.";
                Refused::new(400, "RequestTimeout", message)
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(Refused::incomplete()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                    _ => {}
                },
            }
        }
    }

    /// A header that came behind the body.
    pub(super) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).map(String::as_str)
    }

    /// The whole of a small document.
    pub(super) async fn document(&mut self, share: &mut Share) -> Result<String, Refused> {
        let mut document = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if document.len() + bytes.len() > DOCUMENT_BYTES_MAX {
                return Err(Refused::new(400, "MaxMessageLengthExceeded", "Your request was too large."));
            }
            if !share.grow(bytes.len()) {
                return Err(Refused::new(503, "SlowDown", "Please reduce your request rate."));
            }
            document.extend_from_slice(&bytes);
        }
        if self.sha256.as_ref().is_some_and(|hash| *hash != hex_sha256(&document)) {
            return Err(mismatch());
        }
        String::from_utf8(document.into()).map_err(|_| Refused::malformed())
    }
}

/// The body is not the one that was signed.
pub(super) fn mismatch() -> Refused {
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    Refused::new(400, "XAmzContentSHA256Mismatch", message)
}
