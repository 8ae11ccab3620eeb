//! Signing: key derivation, the string to sign, and the two ways to carry a signature, headers and query. Used by
//! clients of the door, and by `verify`, which must come to the same signature.

use crate::canonical::{self, Hex, encode, sha256};
use crate::{ALGORITHM, Credentials, UNSIGNED_PAYLOAD};
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Uri};
use jiff::Timestamp;
use sha2::Sha256;

/// Headers that proxies and clients change on the way, and that are therefore never signed.
const UNSIGNED_HEADERS: &[&str] =
    &["authorization", "connection", "expect", "transfer-encoding", "user-agent"];

/// Signs a request with headers: sets `X-Amz-Date`, `X-Amz-Security-Token` where there is one, and `Authorization`.
/// The `Host` header must be set already. `body_sha256` is [`hex_sha256`](crate::hex_sha256) of the body.
pub fn sign(
    parts: &mut Parts,
    body_sha256: &str,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Timestamp,
) {
    let date = amz_date(now);
    set(parts, "x-amz-date", &date);
    if service == "s3" || body_sha256 == UNSIGNED_PAYLOAD {
        set(parts, "x-amz-content-sha256", body_sha256);
    }
    if let Some(token) = &credentials.session_token {
        set(parts, "x-amz-security-token", token);
    }
    let mut names: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
    names.retain(|name| !UNSIGNED_HEADERS.contains(name));
    names.sort_unstable();
    let scope = scope(&date[..8], region, service);
    let names = names.join(";");
    let canonical = canonical::request(parts, &names, body_sha256, service, None);
    let key = signing_key(&credentials.secret_access_key, &scope);
    let signature = Hex::of(&signature(&key, &date, &scope, &canonical));
    let value = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        credentials.access_key_id,
        signature.as_str()
    );
    set(parts, "authorization", &value);
}

/// Signs a request with query parameters, so that its address alone is enough for `expires_seconds`. The `Host` header
/// must be set already; it is the only header signed. The body is left out of the signature for S3.
pub fn presign(
    parts: &mut Parts,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Timestamp,
    expires_seconds: u64,
) {
    let date = amz_date(now);
    let scope = scope(&date[..8], region, service);
    let mut query = parts.uri.query().map(|query| format!("{query}&")).unwrap_or_default();
    query.push_str(&format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={date}&X-Amz-Expires={expires_seconds}",
        encode(&format!("{}/{scope}", credentials.access_key_id)),
    ));
    query.push_str("&X-Amz-SignedHeaders=host");
    if let Some(token) = &credentials.session_token {
        query.push_str(&format!("&X-Amz-Security-Token={}", encode(token)));
    }
    set_query(parts, &query);
    let nothing = sha256(b"");
    let body = if service == "s3" { UNSIGNED_PAYLOAD } else { nothing.as_str() };
    let canonical = canonical::request(parts, "host", body, service, None);
    let key = signing_key(&credentials.secret_access_key, &scope);
    let signature = Hex::of(&signature(&key, &date, &scope, &canonical));
    set_query(parts, &format!("{query}&X-Amz-Signature={}", signature.as_str()));
}

/// `20260101T000000Z`, the only form of date that signatures use.
pub(crate) fn amz_date(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn scope(day: &str, region: &str, service: &str) -> String {
    format!("{day}/{region}/{service}/aws4_request")
}

/// The signature over a canonical request with the key of its scope, which is `day/region/service/aws4_request`.
pub(crate) fn signature(key: &[u8; 32], date: &str, scope: &str, canonical: &str) -> [u8; 32] {
    let hash = sha256(canonical.as_bytes());
    hmac_of(key, [ALGORITHM, "\n", date, "\n", scope, "\n", hash.as_str()])
}

/// The key that everything of a scope is signed with.
pub(crate) fn signing_key(secret: &str, scope: &str) -> [u8; 32] {
    let mut parts = scope.split('/');
    let day = parts.next().unwrap_or_default();
    let start = hmac(format!("AWS4{secret}").as_bytes(), day.as_bytes());
    parts.fold(start, |key, part| hmac(&key, part.as_bytes()))
}

pub(crate) fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    hmac_of(key, [text])
}

/// Of a text in pieces.
fn hmac_of<T: AsRef<[u8]>>(key: &[u8], pieces: impl IntoIterator<Item = T>) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    pieces.into_iter().for_each(|piece| mac.update(piece.as_ref()));
    mac.finalize().into_bytes().into()
}

/// Compares two signatures in constant time, so that how long a refusal takes says nothing about the right one.
pub(crate) fn same(expected: &[u8; 32], given: &str) -> bool {
    let expected = Hex::of(expected);
    let expected = expected.as_str();
    expected.len() == given.len()
        && expected.bytes().zip(given.bytes()).fold(0u8, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn set(parts: &mut Parts, name: &'static str, value: &str) {
    // A value that no header may hold comes out empty, and the server will then refuse the signature.
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
    parts.headers.insert(name, value);
}

fn set_query(parts: &mut Parts, query: &str) {
    let mut uri = parts.uri.clone().into_parts();
    let path = parts.uri.path();
    uri.path_and_query = format!("{path}?{query}").parse().ok();
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
}
