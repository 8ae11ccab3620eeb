//! Verifying: finds the signature in headers or query, checks date, scope and signature, and words each refusal as AWS
//! words it. Decides nothing about permissions; called by every door that speaks AWS.

use crate::canonical::{self, Hex};
use crate::secret::SecretKey;
use crate::sign::{amz_date, same, signature};
use crate::{ALGORITHM, CLOCK_SKEW_MINUTES, Caller, PRESIGNED_SECONDS_MAX, Secret, UNSIGNED_PAYLOAD};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, header::AsHeaderName};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz::Offset};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::sync::Arc;

// A name in this form is looked up without being read first.
static DATE: HeaderName = HeaderName::from_static("x-amz-date");
static TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(crate) static BODY_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Why a request was refused. The text is what AWS answers; [`VerifyError::code`] is its error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Neither an `Authorization` header nor presigned query parameters.
    #[error("Missing Authentication Token")]
    Missing,
    /// A signature is there but lacks parts, or its parts are not well formed.
    #[error("{0}")]
    Incomplete(String),
    /// The access key id, or its session token, is not one that this server issued.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session has ended.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// The signature is well formed and wrong.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
    /// The request is older or younger than the clocks may differ, or a presigned request has run out.
    #[error("{0}")]
    Expired(String),
    /// Headers of S3, named here, are there and are not signed. Only S3 minds.
    #[error("There were headers present in the request which were not signed")]
    Unsigned(String),
}

impl VerifyError {
    /// The error code: with `json`, as the REST and JSON services spell it, else as the query services (STS, IAM) do.
    pub fn code(&self, json: bool) -> &'static str {
        match (self, json) {
            (VerifyError::Missing, true) => "MissingAuthenticationTokenException",
            (VerifyError::Missing, false) => "MissingAuthenticationToken",
            (VerifyError::Incomplete(_), true) => "IncompleteSignatureException",
            (VerifyError::Incomplete(_), false) => "IncompleteSignature",
            (VerifyError::UnknownKey, true) => "UnrecognizedClientException",
            (VerifyError::UnknownKey, false) => "InvalidClientTokenId",
            (VerifyError::ExpiredToken, true) => "ExpiredTokenException",
            (VerifyError::ExpiredToken, false) => "ExpiredToken",
            (VerifyError::Unsigned(_), _) => "AccessDenied",
            (VerifyError::Mismatch | VerifyError::Expired(_), true) => "InvalidSignatureException",
            (VerifyError::Mismatch | VerifyError::Expired(_), false) => "SignatureDoesNotMatch",
        }
    }

    /// The HTTP status: 400 for a malformed signature, 403 for all else.
    pub fn status(&self) -> u16 {
        if matches!(self, VerifyError::Incomplete(_)) { 400 } else { 403 }
    }
}

/// Finds the secret of an access key id and the session token that came with it.
pub type Lookup<'a> = &'a dyn Fn(&str, Option<&str>) -> Result<Secret, VerifyError>;

/// Checks the signature of a request whose whole body is at hand. `lookup` finds the secret of an access key id and the
/// session token that came with it; [`Keys::find`](crate::Keys::find) is one.
pub fn verify(parts: &Parts, body: &[u8], lookup: Lookup<'_>, now: Timestamp) -> Result<Caller, VerifyError> {
    let claim = Claim::read(parts)?;
    check(parts, &claim, || body_hash(parts, body, &claim), lookup, now, CLOCK_SKEW_MINUTES)
        .map(|checked| checked.caller)
}

/// A signature that held, and what is needed to sign on.
pub(crate) struct Checked {
    pub(crate) caller: Caller,
    pub(crate) secret: Arc<SecretKey>,
}

/// Checks a claim; `stated` is what the request says of its body.
pub(crate) fn check<S: AsRef<str>>(
    parts: &Parts,
    claim: &Claim<'_>,
    stated: impl FnOnce() -> Result<S, VerifyError>,
    lookup: Lookup<'_>,
    now: Timestamp,
    skew_minutes: i64,
) -> Result<Checked, VerifyError> {
    let (access_key_id, scope) = claim.split_credential()?;
    let [day, region, service] = split_scope(scope)?;
    check_date(claim, day, now, skew_minutes)?;
    if !claim.signed_headers.split(';').any(|name| name == "host") {
        return Err(VerifyError::Incomplete(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    let secret = lookup(access_key_id, claim.session_token.as_deref())?;
    let stated = stated()?;
    let leave_out = claim.presigned.then_some("X-Amz-Signature");
    let canonical = canonical::request(parts, &claim.signed_headers, stated.as_ref(), service, leave_out);
    let expected = signature(&secret.key.signing(scope), &claim.date, scope, &canonical);
    if !same(&expected, &claim.signature) {
        return Err(VerifyError::Mismatch);
    }
    let caller = Caller {
        access_key_id: access_key_id.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        principal: secret.principal,
    };
    Ok(Checked { caller, secret: secret.key })
}

/// What a request says about its own signature, wherever it says it.
pub(crate) struct Claim<'a> {
    credential: Cow<'a, str>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    pub(crate) date: Cow<'a, str>,
    session_token: Option<Cow<'a, str>>,
    pub(crate) presigned: bool,
    expires_seconds: Option<u64>,
}

impl<'a> Claim<'a> {
    /// The access key id and the scope, `day/region/service/aws4_request`.
    pub(crate) fn split_credential(&self) -> Result<(&str, &str), VerifyError> {
        self.credential.split_once('/').ok_or_else(|| bad_credential(&self.credential))
    }

    fn is_for_s3(&self) -> bool {
        self.credential.ends_with("/s3/aws4_request")
    }

    pub(crate) fn read(parts: &'a Parts) -> Result<Claim<'a>, VerifyError> {
        match header(parts, AUTHORIZATION) {
            Some(value) => Claim::from_header(parts, value),
            None => Claim::from_query(parts.uri.query().unwrap_or("")),
        }
    }

    fn from_header(parts: &'a Parts, value: &'a str) -> Result<Claim<'a>, VerifyError> {
        let Some(fields) = value.trim().strip_prefix(ALGORITHM) else {
            return Err(VerifyError::Incomplete(format!(
                "Unsupported AWS 'algorithm': '{}'.",
                value.split_whitespace().next().unwrap_or("")
            )));
        };
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .map(Cow::Borrowed)
        };
        let date = header(parts, &DATE).map(Cow::Borrowed);
        let found = [field("Credential"), field("Signature"), field("SignedHeaders"), date];
        let [Some(credential), Some(signature), Some(signed_headers), Some(date)] = found else {
            return Err(VerifyError::Incomplete(lacking(&found, value)));
        };
        let session_token = header(parts, &TOKEN).map(Cow::Borrowed);
        Ok(Claim {
            credential,
            signed_headers,
            signature,
            date,
            session_token,
            presigned: false,
            expires_seconds: None,
        })
    }

    fn from_query(query: &'a str) -> Result<Claim<'a>, VerifyError> {
        let field = |name: &str| {
            query.split('&').find_map(|pair| {
                let value = pair.strip_prefix(name)?.strip_prefix('=')?;
                Some(percent_decode_str(value).decode_utf8_lossy())
            })
        };
        let Some(signature) = field("X-Amz-Signature") else { return Err(VerifyError::Missing) };
        if field("X-Amz-Algorithm").as_deref() != Some(ALGORITHM) {
            return Err(VerifyError::Incomplete(format!("X-Amz-Algorithm must be '{ALGORITHM}'.")));
        }
        let need = |name: &str| {
            field(name).ok_or_else(|| {
                VerifyError::Incomplete(format!("AWS query-string parameters must include '{name}'."))
            })
        };
        let expires_seconds = need("X-Amz-Expires")?.parse().ok().filter(|&s| s <= PRESIGNED_SECONDS_MAX);
        if expires_seconds.is_none() {
            return Err(VerifyError::Incomplete(format!(
                "X-Amz-Expires must be a number of seconds up to {PRESIGNED_SECONDS_MAX}."
            )));
        }
        Ok(Claim {
            credential: need("X-Amz-Credential")?,
            signed_headers: need("X-Amz-SignedHeaders")?,
            signature,
            date: need("X-Amz-Date")?,
            session_token: field("X-Amz-Security-Token"),
            presigned: true,
            expires_seconds,
        })
    }
}

/// AWS lists every part that an `Authorization` header lacks, one sentence each.
fn lacking(found: &[Option<Cow<'_, str>>; 4], value: &str) -> String {
    let names = ["Credential", "Signature", "SignedHeaders"];
    let mut text = String::new();
    for (name, _) in names.iter().zip(found).filter(|(_, found)| found.is_none()) {
        text.push_str(&format!("Authorization header requires '{name}' parameter. "));
    }
    if found[3].is_none() {
        text.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        );
    }
    // The header may hold a signature; only its kind goes back to the caller.
    text + "Authorization=" + value.split_whitespace().next().unwrap_or("")
}

fn split_scope(scope: &str) -> Result<[&str; 3], VerifyError> {
    let mut parts = scope.split('/');
    match [(); 5].map(|()| parts.next()) {
        [Some(day), Some(region), Some(service), Some("aws4_request"), None] => Ok([day, region, service]),
        [_, _, _, Some(_), None] => Err(VerifyError::Incomplete(
            "Credential should be scoped with a valid terminator: 'aws4_request'.".to_owned(),
        )),
        _ => Err(bad_credential(scope)),
    }
}

fn bad_credential(credential: &str) -> VerifyError {
    VerifyError::Incomplete(format!(
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
         '{credential}'"
    ))
}

/// A header request may be some minutes old or early; a presigned one lives as long as it says.
fn check_date(claim: &Claim, day: &str, now: Timestamp, skew_minutes: i64) -> Result<(), VerifyError> {
    let date = read_date(&claim.date).ok_or_else(|| {
        VerifyError::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            claim.date
        ))
    })?;
    if claim.date[..8] != *day {
        return Err(VerifyError::Expired(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{day}' != \
             '{}', from '{}'.",
            &claim.date[..8],
            claim.date
        )));
    }
    let skew = SignedDuration::from_mins(skew_minutes);
    let seconds = |seconds: u64| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let allowed_age = claim.expires_seconds.map_or(skew, seconds);
    let age = now.duration_since(date);
    if age > allowed_age {
        let at = amz_date(now);
        let oldest = amz_date(now.checked_sub(allowed_age).unwrap_or(Timestamp::MIN));
        let minutes = allowed_age.as_mins();
        return Err(VerifyError::Expired(format!(
            "Signature expired: {} is now earlier than {oldest} ({at} - {minutes} min.)",
            claim.date
        )));
    }
    if -age > skew {
        let at = amz_date(now);
        let youngest = amz_date(now.checked_add(skew).unwrap_or(Timestamp::MAX));
        return Err(VerifyError::Expired(format!(
            "Signature not yet current: {} is still later than {youngest} ({at} + {skew_minutes} min.)",
            claim.date
        )));
    }
    Ok(())
}

/// `20260101T000000Z`
fn read_date(text: &str) -> Option<Timestamp> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(day, 8) || !digits(time, 6) {
        return None;
    }
    let two = |text: &str, at: usize| text[at..at + 2].parse().ok();
    let (year, month, day) = (day[..4].parse().ok()?, two(day, 4)?, two(day, 6)?);
    let civil = DateTime::new(year, month, day, two(time, 0)?, two(time, 2)?, two(time, 4)?, 0).ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}

/// What a client must have signed of the body.
enum BodyHash {
    Unsigned,
    Sha256(Hex),
}

impl AsRef<str> for BodyHash {
    fn as_ref(&self) -> &str {
        match self {
            BodyHash::Unsigned => UNSIGNED_PAYLOAD,
            BodyHash::Sha256(hash) => hash.as_str(),
        }
    }
}

/// A hash that the client states must be the body's own.
fn body_hash(parts: &Parts, body: &[u8], claim: &Claim<'_>) -> Result<BodyHash, VerifyError> {
    if claim.presigned && claim.is_for_s3() {
        return Ok(BodyHash::Unsigned);
    }
    match header(parts, &BODY_SHA256) {
        Some(UNSIGNED_PAYLOAD) => Ok(BodyHash::Unsigned),
        Some(stated) if stated.starts_with("STREAMING-") => Err(VerifyError::Incomplete(format!(
            "x-amz-content-sha256 '{stated}' is not supported: sign the whole body."
        ))),
        stated => {
            let hash = canonical::sha256(body);
            match stated {
                Some(stated) if stated != hash.as_str() => Err(VerifyError::Mismatch),
                _ => Ok(BodyHash::Sha256(hash)),
            }
        }
    }
}

pub(crate) fn header(parts: &Parts, name: impl AsHeaderName) -> Option<&str> {
    parts.headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
