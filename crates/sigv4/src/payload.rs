//! Requests of S3: the head is verified before the body is read, because the body may be of any size. What the head says of the
//! body is checked while it passes, by whoever reads it; chunks that are signed one after the other are checked here.

use crate::canonical::{Hex, sha256 as hash};
use crate::secret::SecretKey;
use crate::sign::{hmac, same};
use crate::verify::{self, BODY_SHA256, Claim, Lookup, header};
use crate::{Caller, S3_CLOCK_SKEW_MINUTES, UNSIGNED_PAYLOAD, VerifyError};
use http::HeaderName;
use http::request::Parts;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

/// Headers that say nothing of what is asked for beyond what the signature covers anyway.
const MAY_BE_UNSIGNED: [&str; 4] =
    ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent"];

const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_CHUNKS_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_CHUNKS_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What a head says of its body.
pub enum Payload {
    /// Its SHA-256, in lower-case hexadecimal.
    Sha256(String),
    /// Nothing.
    Unsigned,
    /// It comes in chunks, which are signed or not, and with headers behind them or not.
    Chunks {
        /// What checks the chunks.
        signatures: Option<ChunkSignatures>,
        /// Whether headers follow.
        trailer: bool,
    },
}

/// Verifies chunks: each signature goes on from the one before, the first from that of the head.
pub struct ChunkSignatures {
    key: [u8; 32],
    date: String,
    scope: String,
    previous: String,
}

impl ChunkSignatures {
    fn new(secret: &SecretKey, scope: &str, date: &str, seed: &str) -> ChunkSignatures {
        ChunkSignatures {
            key: secret.signing(scope),
            date: date.to_owned(),
            scope: scope.to_owned(),
            previous: seed.to_owned(),
        }
    }

    /// Whether the next chunk, of which this is the SHA-256 in hexadecimal, has this signature.
    pub fn chunk(&mut self, sha256: &str, signature: &str) -> bool {
        let empty = hash(b"");
        let text =
            ["AWS4-HMAC-SHA256-PAYLOAD", &self.date, &self.scope, &self.previous, empty.as_str(), sha256];
        self.check(&text.join("\n"), signature)
    }

    /// Whether the headers behind the last chunk, each as `name:value` and a line end, have this signature.
    pub fn trailer(&mut self, headers: &str, signature: &str) -> bool {
        let hash = hash(headers.as_bytes());
        let text = ["AWS4-HMAC-SHA256-TRAILER", &self.date, &self.scope, &self.previous, hash.as_str()];
        self.check(&text.join("\n"), signature)
    }

    fn check(&mut self, text: &str, signature: &str) -> bool {
        let expected = hmac(&self.key, text.as_bytes());
        self.previous = Hex::of(&expected).as_str().to_owned();
        same(&expected, signature)
    }
}

/// Checks the signature of a head that is signed for S3, and gives what it says of the body.
pub fn verify_head(
    parts: &Parts,
    lookup: Lookup<'_>,
    now: Timestamp,
) -> Result<(Caller, Payload), VerifyError> {
    let claim = Claim::read(parts)?;
    check_headers(parts, &claim)?;
    let stated = stated(parts, &claim)?;
    let checked = verify::check(parts, &claim, || Ok(&stated), lookup, now, S3_CLOCK_SKEW_MINUTES)?;
    let (_, scope) = claim.split_credential()?;
    let signatures = || Some(ChunkSignatures::new(&checked.secret, scope, &claim.date, &claim.signature));
    let payload = match stated.as_str() {
        UNSIGNED_PAYLOAD => Payload::Unsigned,
        SIGNED_CHUNKS => Payload::Chunks { signatures: signatures(), trailer: false },
        SIGNED_CHUNKS_TRAILER => Payload::Chunks { signatures: signatures(), trailer: true },
        UNSIGNED_CHUNKS_TRAILER => Payload::Chunks { signatures: None, trailer: true },
        hash if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Payload::Sha256(hash.to_ascii_lowercase())
        }
        _ => {
            return Err(VerifyError::Incomplete(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
                    .to_owned(),
            ));
        }
    };
    Ok((checked.caller, payload))
}

/// Whoever was given an address may not make it ask for something else: a header can turn an upload into a copy.
fn check_headers(parts: &Parts, claim: &Claim<'_>) -> Result<(), VerifyError> {
    let signed = |name: &str| claim.signed_headers.split(';').any(|signed| signed == name);
    let amz = parts.headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    let unsigned: Vec<&str> = amz.filter(|name| !signed(name) && !MAY_BE_UNSIGNED.contains(name)).collect();
    if unsigned.is_empty() { Ok(()) } else { Err(VerifyError::Unsigned(unsigned.join(", "))) }
}

/// What is signed in place of the body's hash. In an address it may be left out.
fn stated(parts: &Parts, claim: &Claim<'_>) -> Result<String, VerifyError> {
    let in_header = header(parts, &BODY_SHA256);
    if !claim.presigned {
        return in_header.map(str::to_owned).ok_or_else(|| {
            let message = "Missing required header for this request: x-amz-content-sha256";
            VerifyError::Incomplete(message.to_owned())
        });
    }
    let query = parts.uri.query().unwrap_or_default();
    let in_query = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Content-Sha256="));
    if let Some(text) = in_query {
        return Ok(percent_decode_str(text).decode_utf8_lossy().into_owned());
    }
    let signed = claim.signed_headers.split(';').any(|name| name == BODY_SHA256.as_str());
    Ok(in_header.filter(|_| signed).unwrap_or(UNSIGNED_PAYLOAD).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of "Signature calculations for the authorization header: transferring payload in multiple chunks".
    #[test]
    fn chunks_of_the_example() {
        let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let scope = "20130524/us-east-1/s3/aws4_request";
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let mut chunks = ChunkSignatures::new(&secret, scope, "20130524T000000Z", seed);
        for (bytes, signature) in [
            (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            assert!(chunks.chunk(hash(&vec![b'a'; bytes]).as_str(), signature), "{bytes}");
        }
        assert!(!chunks.chunk(hash(b"").as_str(), seed));
    }
}
