//! The code of a function or a layer: an archive in base64 that the request carries, or one that lies in a bucket.

use super::bucket::{self, NoCode};
use super::{account, string};
use crate::Lambda;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use functions::{CodeError, UNZIPPED_BYTES_MAX, ZIP_BYTES_MAX};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::Fault;

/// How long the address of an archive can be used, as on AWS.
const LOCATION_SECONDS: u64 = 600;

/// An address of this door that needs nothing but itself, signed with the keys that clients have.
pub(crate) fn location(lambda: &Lambda, sha256: &str) -> Result<String, Fault> {
    let credentials = lambda.config.keys.own();
    let credentials = credentials.ok_or_else(|| Fault::service("The door has no keys to sign with"))?;
    let endpoint = lambda.config.endpoint.trim_end_matches('/');
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    let request = http::Request::builder()
        .uri(format!("{endpoint}{}code/{sha256}", wire::OWN_PREFIX))
        .header("host", host)
        .body(());
    let (mut parts, ()) = request.map_err(|error| Fault::service(error.to_string()))?.into_parts();
    let (region, now) = (&lambda.config.region, Timestamp::now());
    sigv4::presign(&mut parts, credentials, region, "lambda", now, LOCATION_SECONDS);
    Ok(parts.uri.to_string())
}

/// Stores the archive that `members` carry or name; the `code` of a function object's `spec`.
pub(crate) async fn store(lambda: &Lambda, members: &Map<String, Value>) -> Result<Value, Fault> {
    if members.get("SourceKMSKeyArn").is_some_and(|value| !value.is_null()) {
        return Err(Fault::unsupported("SourceKMSKeyArn"));
    }
    if string(members, "S3ObjectStorageMode")?.is_some_and(|mode| mode != "COPY") {
        return Err(Fault::unsupported(
            "Code that stays in its bucket (S3ObjectStorageMode other than COPY)",
        ));
    }
    let zip = string(members, "ZipFile")?;
    let [bucket, key, version] =
        ["S3Bucket", "S3Key", "S3ObjectVersion"].map(|member| string(members, member));
    let (bucket, key, version) = (bucket?, key?, version?);
    match (zip, bucket, key) {
        (Some(_), None, None) if version.is_none() => {}
        (Some(_), ..) => {
            return Err(Fault::invalid_parameter(
                "Please do not provide other FunctionCode parameters when providing a ZipFile.",
            ));
        }
        (None, Some(bucket), Some(key)) => return from_bucket(lambda, bucket, key, version).await,
        (None, ..) => return Err(Fault::invalid_parameter("Please provide a source for function code.")),
    }
    let text = zip.unwrap_or_default();
    let zip = BASE64_STANDARD.decode(text).map_err(|_| Fault::serialization("ZipFile is not base64"))?;
    if zip.len() > ZIP_BYTES_MAX {
        return Err(Fault::invalid_parameter(format!(
            "Zipped size must be smaller than {ZIP_BYTES_MAX} bytes"
        )));
    }
    put(lambda, zip.into()).await
}

/// An archive in one of the platform's own buckets.
async fn from_bucket(
    lambda: &Lambda,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<Value, Fault> {
    match bucket::archive(lambda, bucket, key, version, UNZIPPED_BYTES_MAX).await {
        Ok(archive) => put(lambda, archive.zip.clone()).await,
        Err(NoCode::Missing(code, message)) => Err(Fault::invalid_parameter(format!(
            "Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
        ))),
        Err(NoCode::TooLarge) => Err(Fault::invalid_parameter(format!(
            "Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes"
        ))),
        Err(NoCode::Failed(error)) => Err(Fault::service(format!("The code could not be read: {error}"))),
    }
}

async fn put(lambda: &Lambda, zip: Bytes) -> Result<Value, Fault> {
    if zip.is_empty() {
        return Err(Fault::invalid_parameter("Uploaded file must be a non-empty zip"));
    }
    account::check_room(lambda).await?;
    let code = lambda.config.functions.put_code(zip).await.map_err(|error| match error {
        CodeError::Io(error) => Fault::service(format!("The code could not be stored: {error}")),
        other => Fault::invalid_parameter(other.to_string()),
    })?;
    Ok(json!({ "sha256": code.sha256, "size": code.size }))
}
