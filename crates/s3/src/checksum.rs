//! What a request says that its bytes come to (`Content-MD5`, `x-amz-checksum-…` before or behind them), held against what they
//! did come to; and how checksums are shown.

use super::ask::{Ask, set};
use super::body::{Incoming, mismatch};
use super::refused::Refused;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use managed::{Algorithm, Checksum, Sums};
use wire::{Reply, Share};

/// Each algorithm with its header, and the word and the element that it has in documents.
const ALGORITHMS: [(Algorithm, &str, &str, &str); 5] = [
    (Algorithm::Crc32, "x-amz-checksum-crc32", "CRC32", "ChecksumCRC32"),
    (Algorithm::Crc32c, "x-amz-checksum-crc32c", "CRC32C", "ChecksumCRC32C"),
    (Algorithm::Crc64Nvme, "x-amz-checksum-crc64nvme", "CRC64NVME", "ChecksumCRC64NVME"),
    (Algorithm::Sha1, "x-amz-checksum-sha1", "SHA1", "ChecksumSHA1"),
    (Algorithm::Sha256, "x-amz-checksum-sha256", "SHA256", "ChecksumSHA256"),
];

/// The headers that this file reads.
pub(super) const HEADERS: [&str; 6] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-sdk-checksum-algorithm",
];

pub(super) fn header(algorithm: Algorithm) -> &'static str {
    ALGORITHMS.iter().find(|one| one.0 == algorithm).map_or("", |one| one.1)
}

pub(super) fn word(algorithm: Algorithm) -> &'static str {
    ALGORITHMS.iter().find(|one| one.0 == algorithm).map_or("", |one| one.2)
}

pub(super) fn element(algorithm: Algorithm) -> &'static str {
    ALGORITHMS.iter().find(|one| one.0 == algorithm).map_or("", |one| one.3)
}

pub(super) fn read_word(text: &str) -> Result<Algorithm, Refused> {
    let found = ALGORITHMS.iter().find(|one| one.2.eq_ignore_ascii_case(text));
    found.map(|one| one.0).ok_or_else(|| {
        Refused::request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                          [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

pub(super) fn type_of(whole: bool) -> &'static str {
    if whole { "FULL_OBJECT" } else { "COMPOSITE" }
}

/// What the bytes of a request must come to.
pub(super) struct Expected {
    /// Named before the bytes, or to be named behind them.
    named: Option<Algorithm>,
    value: Option<String>,
    md5: Option<String>,
}

impl Expected {
    pub(super) fn read(ask: &Ask<'_>) -> Result<Expected, Refused> {
        let mut named = None;
        let mut value = None;
        for (algorithm, header, ..) in ALGORITHMS {
            let Some(text) = ask.header(header) else { continue };
            if named.replace(algorithm).is_some() {
                return Err(Refused::request(
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
                ));
            }
            if !algorithm.reads(text) {
                return Err(Refused::request(format!("Value for {header} header is invalid.")));
            }
            value = Some(text.to_owned());
        }
        let trailers = ask.header("x-amz-trailer").unwrap_or_default();
        for name in trailers.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let algorithm = ALGORITHMS.iter().find(|one| one.1.eq_ignore_ascii_case(name)).map(|one| one.0);
            let algorithm = algorithm.ok_or_else(|| {
                Refused::request("The value specified in the x-amz-trailer header is not supported")
            })?;
            if named.replace(algorithm).is_some() {
                return Err(Refused::request("Expecting a single x-amz-checksum- header"));
            }
        }
        if let Some(asked) = ask.header("x-amz-sdk-checksum-algorithm")
            && named != Some(read_word(asked)?)
        {
            return Err(Refused::request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers \
                 were found.",
            ));
        }
        Ok(Expected { named, value, md5: ask.header("content-md5").map(md5).transpose()? })
    }

    pub(super) fn named(&self) -> Option<Algorithm> {
        self.named
    }

    /// Everything that must be computed to say whether the bytes are right.
    pub(super) fn algorithms(&self, kept: Algorithm, incoming: &Incoming) -> Vec<Algorithm> {
        let mut all = vec![kept];
        all.extend(self.named);
        all.extend(incoming.sha256.as_ref().map(|_| Algorithm::Sha256));
        all
    }

    /// Holds what the bytes came to against what was said of them.
    pub(super) fn check(&self, incoming: &Incoming, sums: &Sums) -> Result<(), Refused> {
        if let Some(signed) = &incoming.sha256 {
            let sum = sums.others.get(&Algorithm::Sha256).and_then(|sum| BASE64_STANDARD.decode(sum).ok());
            if sum.is_none_or(|sum| hex(&sum) != *signed) {
                return Err(mismatch());
            }
        }
        if self.md5.as_ref().is_some_and(|md5| *md5 != sums.md5) {
            return Err(Refused::bad_digest("The Content-MD5 you specified did not match what we received."));
        }
        let Some(algorithm) = self.named else { return Ok(()) };
        let header = header(algorithm);
        let said = self.value.as_deref().or_else(|| incoming.trailer(header)).ok_or_else(|| {
            Refused::new(400, "MalformedTrailerError", format!("The trailer {header} did not come."))
        })?;
        match sums.others.get(&algorithm).is_some_and(|sum| sum == said) {
            true => Ok(()),
            false => Err(Refused::bad_digest(format!(
                "The {} you specified did not match the calculated checksum.",
                word(algorithm)
            ))),
        }
    }
}

fn md5(text: &str) -> Result<String, Refused> {
    let sum = BASE64_STANDARD.decode(text).ok().filter(|sum| sum.len() == 16);
    let sum =
        sum.ok_or_else(|| Refused::new(400, "InvalidDigest", "The Content-MD5 you specified was invalid."))?;
    Ok(hex(&sum))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The document of a request, which is what was said of it.
pub(super) async fn document(
    ask: &Ask<'_>,
    incoming: &mut Incoming,
    share: &mut Share,
) -> Result<String, Refused> {
    // Of this operation alone the headers are about the object, not about the document.
    if ask.operation == "CompleteMultipartUpload" {
        return incoming.document(share).await;
    }
    let expected = Expected::read(ask)?;
    let document = incoming.document(share).await?;
    let algorithms: Vec<Algorithm> = expected.named.into_iter().collect();
    let mut sums = Sums::of(document.as_bytes(), &algorithms);
    if let Some(sha256) = &incoming.sha256 {
        // It was held against the document already.
        let bytes: Vec<u8> =
            (0..32).filter_map(|at| u8::from_str_radix(sha256.get(2 * at..2 * at + 2)?, 16).ok()).collect();
        sums.others.insert(Algorithm::Sha256, BASE64_STANDARD.encode(bytes));
    }
    expected.check(incoming, &sums)?;
    Ok(document)
}

/// Shows a checksum in headers.
pub(super) fn show(reply: &mut Reply, checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        set(reply, header(checksum.algorithm), &checksum.value);
        set(reply, "x-amz-checksum-type", type_of(checksum.whole));
    }
}
