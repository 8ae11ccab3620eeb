//! Addresses signed with version 2 (`AWSAccessKeyId`, `Expires`, `Signature`): what boto3 makes of `generate_presigned_url` in
//! us-east-1 unless it is told otherwise. Nothing else of version 2 is known. The rules: "Signing and authenticating REST
//! requests (AWS signature version 2)", S3 user guide.

use crate::verify::Lookup;
use crate::{Caller, VerifyError};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use sha1::Sha1;
use std::collections::BTreeMap;

/// What headers of S3 begin with; in an address they stand as parameters.
const AMZ: &str = "x-amz-";

/// Parameters that are part of what is signed.
const SIGNED: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Words that ask for another operation and are no part of what is signed: addresses cannot have them.
const NEVER_SIGNED: [&str; 5] =
    ["attributes", "encryption", "ownershipControls", "policyStatus", "publicAccessBlock"];

/// Checks an address; `bucket` is the one that its host names, if it does. None when it is not signed like this at all.
pub fn verify_query_v2(
    parts: &Parts,
    bucket: Option<&str>,
    region: &str,
    lookup: Lookup<'_>,
    now: Timestamp,
) -> Option<Result<Caller, VerifyError>> {
    let all = parts.uri.query()?;
    let query: BTreeMap<String, String> = all.split('&').map(pair).collect();
    let field = |name: &str| query.get(name).map(String::as_str);
    let (id, expires, signature) = (field("AWSAccessKeyId")?, field("Expires")?, field("Signature")?);
    let token = field("x-amz-security-token");
    Some((|| {
        if let Some(word) = NEVER_SIGNED.iter().find(|word| query.contains_key(**word)) {
            return Err(VerifyError::Incomplete(format!("Use signature version 4 for ?{word}.")));
        }
        // Whoever reads the address would find another value than is signed.
        let hidden = |name: &String| name.starts_with(AMZ) && parts.headers.contains_key(name.as_str());
        if all.split('&').count() != query.len() || query.keys().any(hidden) {
            return Err(VerifyError::Mismatch);
        }
        let until: i64 = expires.parse().map_err(|_| {
            VerifyError::Incomplete("Invalid date (should be seconds since epoch)".to_owned())
        })?;
        if now.as_second() > until {
            return Err(VerifyError::Expired("Request has expired".to_owned()));
        }
        let secret = lookup(id, token)?;
        let text = text(parts, &query, bucket, expires);
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.key.text().as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        // The comparison takes as long wherever the first difference is.
        let given = BASE64_STANDARD.decode(signature).map_err(|_| VerifyError::Mismatch)?;
        mac.verify_slice(&given).map_err(|_| VerifyError::Mismatch)?;
        Ok(Caller {
            access_key_id: id.to_owned(),
            region: region.to_owned(),
            service: "s3".to_owned(),
            principal: secret.principal,
        })
    })())
}

/// A parameter as those who act on it read it: decoded, its name too. Names of headers are so in capitals too.
fn pair(text: &str) -> (String, String) {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let name = decode(name);
    let lower = name.to_ascii_lowercase();
    (if lower.starts_with(AMZ) { lower } else { name }, decode(value))
}

/// The string to sign.
fn text(parts: &Parts, query: &BTreeMap<String, String>, bucket: Option<&str>, expires: &str) -> String {
    let mut amz: BTreeMap<String, String> = BTreeMap::new();
    let plain = |name: &str| {
        let header = parts.headers.get(name).and_then(|value| value.to_str().ok());
        header.map(str::trim).or_else(|| query.get(name).map(String::as_str)).unwrap_or_default().to_owned()
    };
    for (name, value) in &parts.headers {
        if name.as_str().starts_with(AMZ) {
            let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
            amz.entry(name.as_str().to_owned())
                .and_modify(|all| *all = format!("{all},{value}"))
                .or_insert(value);
        }
    }
    let named = query.iter().filter(|(name, _)| name.starts_with(AMZ));
    amz.extend(named.map(|(name, value)| (name.clone(), value.clone())));
    let amz: String = amz.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut resource = bucket.map(|bucket| format!("/{bucket}")).unwrap_or_default();
    resource.push_str(parts.uri.path());
    let signed: Vec<String> = query
        .iter()
        .filter(|(name, _)| SIGNED.contains(&name.as_str()))
        .map(|(name, value)| if value.is_empty() { name.clone() } else { format!("{name}={value}") })
        .collect();
    if !signed.is_empty() {
        resource.push('?');
        resource.push_str(&signed.join("&"));
    }
    let (md5, kind) = (plain("content-md5"), plain("content-type"));
    format!("{}\n{md5}\n{kind}\n{expires}\n{amz}{resource}", parts.method)
}
