//! Who asks, and whether they may. Whoever signs with keys of this account may do everything, unless the policy of the bucket
//! denies it; whoever does not sign may do what that policy allows everybody.

use super::address;
use super::ask::Ask;
use super::refused::Refused;
use super::settings::blocks_public;
use crate::S3;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use iam::session::{self, Identity};
use jiff::Timestamp;
use policy::{Decision, Kind, Policy, Question};
use sigv4::{Payload, VerifyError};

/// What belongs to a signature in an address, not to the request.
const OF_SIGNATURE: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// The actions that policies call otherwise than the operations.
const ACTIONS: [(&str, &str); 29] = [
    ("ListBuckets", "ListAllMyBuckets"),
    ("HeadBucket", "ListBucket"),
    ("ListObjects", "ListBucket"),
    ("ListObjectsV2", "ListBucket"),
    ("ListObjectVersions", "ListBucketVersions"),
    ("ListMultipartUploads", "ListBucketMultipartUploads"),
    ("HeadObject", "GetObject"),
    ("CopyObject", "PutObject"),
    ("CreateMultipartUpload", "PutObject"),
    ("UploadPart", "PutObject"),
    ("UploadPartCopy", "PutObject"),
    ("CompleteMultipartUpload", "PutObject"),
    ("ListParts", "ListMultipartUploadParts"),
    ("DeleteBucketCors", "PutBucketCORS"),
    ("PutBucketCors", "PutBucketCORS"),
    ("GetBucketCors", "GetBucketCORS"),
    ("GetBucketEncryption", "GetEncryptionConfiguration"),
    ("PutBucketEncryption", "PutEncryptionConfiguration"),
    ("DeleteBucketEncryption", "PutEncryptionConfiguration"),
    ("GetBucketLifecycleConfiguration", "GetLifecycleConfiguration"),
    ("PutBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    ("DeleteBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    ("GetBucketNotificationConfiguration", "GetBucketNotification"),
    ("PutBucketNotificationConfiguration", "PutBucketNotification"),
    ("GetPublicAccessBlock", "GetBucketPublicAccessBlock"),
    ("PutPublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("DeletePublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("DeleteBucketTagging", "PutBucketTagging"),
    ("DeleteObjects", "DeleteObject"),
];

/// With a version named, these are other actions.
const OF_VERSIONS: [&str; 9] = [
    "GetObject",
    "DeleteObject",
    "GetObjectTagging",
    "PutObjectTagging",
    "DeleteObjectTagging",
    "GetObjectAcl",
    "PutObjectAcl",
    "GetObjectAttributes",
    "HeadObject",
];

/// Checks the signature. What an address says in place of headers becomes headers.
pub(super) async fn authenticate(s3: &S3, parts: &mut Parts) -> Result<(Option<Identity>, Payload), Refused> {
    let now = Timestamp::now();
    let find = |id: &str, token: Option<&str>| s3.config.keys.find(id, token, now);
    let query = parts.uri.query().unwrap_or_default();
    let presigned = query.contains("X-Amz-Signature=");
    let region = &s3.config.region;
    let second = sigv4::verify_query_v2(parts, address::by_host(parts, region), region, &find, now);
    let verified = match second {
        Some(verified) => verified.map(|caller| (caller, Payload::Unsigned)),
        None if !presigned && !parts.headers.contains_key(AUTHORIZATION) => {
            return Ok((None, Payload::Unsigned));
        }
        None => sigv4::verify_head(parts, &find, now),
    };
    let presigned = presigned || query.contains("AWSAccessKeyId=");
    let refuse = |error: VerifyError| Refused::signature(&error, presigned);
    let (caller, payload) = verified.map_err(refuse)?;
    let caller = session::at_home(parts, caller).map_err(refuse)?;
    if caller.region != *region {
        let message = format!(
            "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
            caller.region
        );
        let refused = Refused::new(400, "AuthorizationHeaderMalformed", message).with("Region", region);
        return Err(refused.header("x-amz-bucket-region", region));
    }
    let who = session::of(&s3.config.iam, &caller, true).await;
    let who = who.map_err(|_| refuse(VerifyError::UnknownKey))?;
    if presigned {
        hoist(parts);
    }
    Ok((Some(who), payload))
}

/// Headers of S3 may stand in an address that is signed.
fn hoist(parts: &mut Parts) {
    let query = wire::parameters(parts.uri.query().unwrap_or_default());
    for (name, value) in query {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || OF_SIGNATURE.contains(&name.as_str()) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes()))
        {
            parts.headers.entry(name).or_insert(value);
        }
    }
}

/// Whether the caller may do what it asks for.
pub(super) fn authorize(ask: &Ask<'_>) -> Result<(), Refused> {
    let account = &ask.s3.config.account_id;
    let expected = |header: &str| ask.header(header).is_some_and(|owner| owner != account);
    if expected("x-amz-expected-bucket-owner") || expected("x-amz-source-expected-bucket-owner") {
        return Err(Refused::denied());
    }
    let Some(bucket) = ask.buckets().get(&ask.name) else {
        // Whoever is not known is told nothing.
        return if ask.who.is_some() { Ok(()) } else { Err(Refused::denied()) };
    };
    let settings = bucket.settings();
    let key = Some(ask.key.as_str()).filter(|key| !key.is_empty());
    match decide(ask, settings.kept.get("policy").and_then(|text| text.as_str()), &ask.name, key, None) {
        // The account itself is never locked out of the policy.
        Decision::Denied if is_root(ask) && ask.operation.ends_with("BucketPolicy") => Ok(()),
        Decision::Denied => Err(Refused::denied()),
        Decision::Allowed if ask.who.is_some() || !blocks_public(&settings, "RestrictPublicBuckets") => {
            Ok(())
        }
        _ if ask.who.is_some() => Ok(()),
        _ => Err(Refused::denied()),
    }
}

/// The same, for an object or a bucket that another operation reads or deletes on the way.
pub(super) fn authorize_also(
    ask: &Ask<'_>,
    bucket: &str,
    key: Option<&str>,
    action: &str,
) -> Result<(), Refused> {
    let Some(found) = ask.buckets().get(bucket) else { return Ok(()) };
    let settings = found.settings();
    let text = settings.kept.get("policy").and_then(|text| text.as_str());
    match decide(ask, text, bucket, key, Some(action)) {
        Decision::Denied => Err(Refused::denied()),
        Decision::Silent if ask.who.is_none() => Err(Refused::denied()),
        _ => Ok(()),
    }
}

fn is_root(ask: &Ask<'_>) -> bool {
    ask.who.as_ref().is_some_and(|who| who.arn.ends_with(":root"))
}

fn decide(
    ask: &Ask<'_>,
    policy: Option<&str>,
    bucket: &str,
    key: Option<&str>,
    action: Option<&str>,
) -> Decision {
    let Some(policy) = policy.and_then(|text| Policy::read(text, Kind::Resource).ok()) else {
        return Decision::Silent;
    };
    let account = &ask.s3.config.account_id;
    let root = format!("arn:aws:iam::{account}:root");
    let mut principals: Vec<(&str, &str)> = Vec::new();
    let mut context = vec![("aws:SecureTransport", "true")];
    if let Some(who) = &ask.who {
        principals.extend([("AWS", who.arn.as_str()), ("AWS", root.as_str()), ("AWS", account.as_str())]);
        principals.extend(who.role_arn.iter().map(|arn| ("AWS", arn.as_str())));
        context.extend([("aws:PrincipalAccount", account.as_str()), ("aws:PrincipalArn", who.arn.as_str())]);
    }
    for (parameter, name) in
        [("prefix", "s3:prefix"), ("delimiter", "s3:delimiter"), ("versionId", "s3:VersionId")]
    {
        context.extend(ask.parameter(parameter).map(|value| (name, value)));
    }
    for (header, name) in
        [("x-amz-acl", "s3:x-amz-acl"), ("x-amz-server-side-encryption", "s3:x-amz-server-side-encryption")]
    {
        context.extend(ask.header(header).map(|value| (name, value)));
    }
    let action = action.map_or_else(|| self::action(ask), |action| format!("s3:{action}"));
    let resource = match key {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    };
    policy.decide(&Question {
        principals: &principals,
        action: &action,
        resource: &resource,
        context: &context,
    })
}

fn action(ask: &Ask<'_>) -> String {
    let named = ACTIONS.iter().find(|(operation, _)| *operation == ask.operation).map(|(_, action)| *action);
    let action = named.unwrap_or(ask.operation);
    if OF_VERSIONS.contains(&ask.operation) && ask.parameter("versionId").is_some() {
        return format!("s3:{}", action.replacen("Object", "ObjectVersion", 1));
    }
    format!("s3:{action}")
}
