//! Which operation a request asks for: its method, what it is about, and a word in its query. Pure.

use super::refused::Refused;
use http::Method;

/// The words that stand for a part of a bucket, each with what its operations are called after `Get`, `Put` and `Delete`.
const OF_BUCKET: [(&str, &str, &str); 18] = [
    // The methods that dory has of it: read, write, delete.
    ("acl", "rw", "BucketAcl"),
    ("accelerate", "r", "BucketAccelerateConfiguration"),
    ("cors", "rwd", "BucketCors"),
    ("encryption", "rwd", "BucketEncryption"),
    ("lifecycle", "rwd", "BucketLifecycleConfiguration"),
    ("location", "r", "BucketLocation"),
    ("logging", "r", "BucketLogging"),
    ("notification", "rw", "BucketNotificationConfiguration"),
    ("object-lock", "r", "ObjectLockConfiguration"),
    ("ownershipControls", "rwd", "BucketOwnershipControls"),
    ("policy", "rwd", "BucketPolicy"),
    ("policyStatus", "r", "BucketPolicyStatus"),
    ("publicAccessBlock", "rwd", "PublicAccessBlock"),
    ("replication", "r", "BucketReplication"),
    ("requestPayment", "r", "BucketRequestPayment"),
    ("tagging", "rwd", "BucketTagging"),
    ("versioning", "rw", "BucketVersioning"),
    ("website", "r", "BucketWebsite"),
];

/// Words that stand for what dory does not have.
const UNKNOWN: [&str; 17] = [
    "abac",
    "analytics",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "renameObject",
    "restore",
    "retention",
    "select",
    "session",
    "torrent",
    "metadataInventoryTable",
    "metadataJournalTable",
    "encryption",
];

pub(super) fn operation(
    method: &Method,
    bucket: &str,
    key: &str,
    query: &[(String, String)],
    copies: bool,
) -> Result<&'static str, Refused> {
    let has = |word: &str| query.iter().any(|(name, _)| name == word);
    if bucket.is_empty() {
        return if *method == Method::GET { Ok("ListBuckets") } else { Err(Refused::method()) };
    }
    if key.is_empty() {
        return of_bucket(method, &has, query);
    }
    if let Some(word) = UNKNOWN.iter().find(|word| has(word)) {
        return Err(Refused::unsupported(&format!("?{word} of an object")));
    }
    let operation = match method.as_str() {
        "GET" if has("uploadId") => "ListParts",
        "GET" if has("tagging") => "GetObjectTagging",
        "GET" if has("acl") => "GetObjectAcl",
        "GET" if has("attributes") => "GetObjectAttributes",
        "GET" => "GetObject",
        "HEAD" => "HeadObject",
        "PUT" if has("uploadId") && copies => "UploadPartCopy",
        "PUT" if has("uploadId") => "UploadPart",
        "PUT" if has("tagging") => "PutObjectTagging",
        "PUT" if has("acl") => "PutObjectAcl",
        "PUT" if copies => "CopyObject",
        "PUT" => "PutObject",
        "DELETE" if has("uploadId") => "AbortMultipartUpload",
        "DELETE" if has("tagging") => "DeleteObjectTagging",
        "DELETE" => "DeleteObject",
        "POST" if has("uploads") => "CreateMultipartUpload",
        "POST" if has("uploadId") => "CompleteMultipartUpload",
        _ => return Err(Refused::method()),
    };
    Ok(operation)
}

fn of_bucket(
    method: &Method,
    has: &dyn Fn(&str) -> bool,
    query: &[(String, String)],
) -> Result<&'static str, Refused> {
    if let Some((word, methods, name)) = OF_BUCKET.iter().find(|(word, ..)| has(word)) {
        let (letter, verb) = match method.as_str() {
            "GET" => ("r", "Get"),
            "PUT" => ("w", "Put"),
            "DELETE" => ("d", "Delete"),
            _ => return Err(Refused::method()),
        };
        return match methods.contains(letter) {
            true => Ok(named(verb, name)),
            false => Err(Refused::unsupported(&format!("{verb}{name} (?{word})"))),
        };
    }
    if let Some(word) = UNKNOWN.iter().find(|word| has(word)) {
        return Err(Refused::unsupported(&format!("?{word} of a bucket")));
    }
    let second = query.iter().any(|(name, value)| name == "list-type" && value == "2");
    Ok(match method.as_str() {
        "GET" if has("versions") => "ListObjectVersions",
        "GET" if has("uploads") => "ListMultipartUploads",
        "GET" if second => "ListObjectsV2",
        "GET" => "ListObjects",
        "HEAD" => "HeadBucket",
        "PUT" => "CreateBucket",
        "DELETE" => "DeleteBucket",
        "POST" if has("delete") => "DeleteObjects",
        "POST" => return Err(Refused::unsupported("An upload from an HTML form (POST Object)")),
        _ => return Err(Refused::method()),
    })
}

/// The operations that are made of a verb and a noun.
fn named(verb: &str, noun: &str) -> &'static str {
    const ALL: [&str; 34] = [
        "GetBucketAcl",
        "PutBucketAcl",
        "GetBucketAccelerateConfiguration",
        "GetBucketCors",
        "PutBucketCors",
        "DeleteBucketCors",
        "GetBucketEncryption",
        "PutBucketEncryption",
        "DeleteBucketEncryption",
        "GetBucketLifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "DeleteBucketLifecycleConfiguration",
        "GetBucketLocation",
        "GetBucketLogging",
        "GetBucketNotificationConfiguration",
        "PutBucketNotificationConfiguration",
        "GetObjectLockConfiguration",
        "GetBucketOwnershipControls",
        "PutBucketOwnershipControls",
        "DeleteBucketOwnershipControls",
        "GetBucketPolicy",
        "PutBucketPolicy",
        "DeleteBucketPolicy",
        "GetBucketPolicyStatus",
        "GetPublicAccessBlock",
        "PutPublicAccessBlock",
        "DeletePublicAccessBlock",
        "GetBucketReplication",
        "GetBucketRequestPayment",
        "GetBucketTagging",
        "PutBucketTagging",
        "DeleteBucketTagging",
        "GetBucketVersioning",
        "PutBucketVersioning",
    ];
    let whole = format!("{verb}{noun}");
    let other = if noun == "BucketWebsite" { "GetBucketWebsite" } else { "Unknown" };
    ALL.iter().find(|name| **name == whole).copied().unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_their_operation() {
        let of = |method: Method, bucket, key, query: &str| {
            operation(&method, bucket, key, &wire::parameters(query), false).map_err(|refused| refused.code)
        };
        assert_eq!(of(Method::GET, "", "", ""), Ok("ListBuckets"));
        assert_eq!(of(Method::GET, "b", "", "list-type=2&prefix=acl"), Ok("ListObjectsV2"));
        assert_eq!(of(Method::PUT, "b", "", "versioning"), Ok("PutBucketVersioning"));
        assert_eq!(of(Method::PUT, "b", "", "website"), Err("NotImplemented"));
        assert_eq!(of(Method::PUT, "b", "k", "x-id=PutObject"), Ok("PutObject"));
        assert_eq!(of(Method::PUT, "b", "k", "retention"), Err("NotImplemented"));
        assert_eq!(of(Method::POST, "b", "", ""), Err("NotImplemented"));
        for (word, methods, noun) in OF_BUCKET {
            for (letter, verb) in [("r", "Get"), ("w", "Put"), ("d", "Delete")] {
                assert!(!methods.contains(letter) || named(verb, noun) != "Unknown", "{word}");
            }
        }
    }
}
