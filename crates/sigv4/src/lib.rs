//! AWS Signature Version 4: the canonical request, signing, verifying, and temporary credentials. Pure: it opens nothing,
//! reads no clock and stores no keys; the caller passes the time and a lookup. Called by the AWS door (verify), the gateway (function URLs with
//! `AWS_IAM`) and the command line (sign).
//!
//! ```text
//!  canonical ─ one text for one request         "Create a signed AWS API request", IAM user guide
//!  sign      ─ key derivation, header and query signing
//!  verify    ─ the same walk from the other end, and what AWS says when it does not match
//!  payload   ─ requests of S3, whose bodies come after the signature: hashed, signed chunk by chunk, or not at all
//!  query_v2  ─ addresses that were signed with version 2, as boto3 still makes them for S3
//!  secret    ─ secret keys, and those that were derived from them last
//!  session   ─ temporary credentials, made and known again without a memory of them
//! ```
#![deny(missing_docs)]

mod canonical;
mod payload;
mod query_v2;
mod secret;
mod session;
mod sign;
mod verify;

pub use canonical::hex_sha256;
pub use payload::{ChunkSignatures, Payload, verify_head};
pub use query_v2::verify_query_v2;
pub use secret::Secret;
pub use session::{Keys, Session};
pub use sign::{presign, sign};
pub use verify::{VerifyError, verify};

/// The algorithm that the `Authorization` header and `X-Amz-Algorithm` name.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The body hash of a request whose body is not part of the signature.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// How far the clocks of client and server may differ, in minutes (AWS General Reference, "Signing AWS API requests").
pub const CLOCK_SKEW_MINUTES: i64 = 5;

/// How far they may differ for S3.
pub const S3_CLOCK_SKEW_MINUTES: i64 = 15;

/// The longest life of a presigned request, in seconds: seven days, as on AWS.
pub const PRESIGNED_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// What a client signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half, such as `AKIA…` (or `ASIA…` with a session token).
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Whom a pair of keys stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The account: whoever holds its own pair may do everything.
    Account,
    /// Whoever the session was made for.
    Session(Session),
}

/// Who signed a request, and for what: the credential scope that held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The access key id.
    pub access_key_id: String,
    /// The region of the credential scope.
    pub region: String,
    /// The service of the credential scope, such as `lambda`.
    pub service: String,
    /// Whom the pair stands for.
    pub principal: Principal,
}
