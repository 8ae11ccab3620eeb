//! The code of a function as requests carry it: an archive in base64, and nowhere else yet.

use super::{account, string};
use crate::door::Door;
use crate::fault::Fault;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use functions::CodeError;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// How long the address of an archive can be used, as on AWS.
const LOCATION_SECONDS: u64 = 600;

/// An address of this door that needs nothing but itself, signed with the keys that clients have.
pub(crate) fn location(door: &Door, sha256: &str) -> Result<String, Fault> {
    let credentials = door.config.keys.own();
    let credentials = credentials.ok_or_else(|| Fault::service("The door has no keys to sign with"))?;
    let endpoint = door.config.endpoint.trim_end_matches('/');
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    let request = http::Request::builder()
        .uri(format!("{endpoint}{}code/{sha256}", crate::dory::PREFIX))
        .header("host", host)
        .body(());
    let (mut parts, ()) = request.map_err(|error| Fault::service(error.to_string()))?.into_parts();
    let (region, now) = (&door.config.region, Timestamp::now());
    sigv4::presign(&mut parts, credentials, region, "lambda", now, LOCATION_SECONDS);
    Ok(parts.uri.to_string())
}

/// Stores the archive that `members` carry; the `code` of a function object's `spec`.
pub(crate) async fn store(door: &Door, members: &Map<String, Value>) -> Result<Value, Fault> {
    for elsewhere in ["S3Bucket", "S3Key", "S3ObjectVersion"] {
        if members.get(elsewhere).is_some_and(|value| !value.is_null()) {
            return Err(Fault::invalid_parameter(
                "Code in an S3 bucket is not supported by dory yet: there are no buckets. Send the archive itself as \
                 ZipFile (with the AWS CLI: --zip-file fileb://function.zip).",
            ));
        }
    }
    if members.get("SourceKMSKeyArn").is_some_and(|value| !value.is_null()) {
        return Err(Fault::unsupported("SourceKMSKeyArn"));
    }
    let Some(text) = string(members, "ZipFile")? else {
        return Err(Fault::invalid_parameter("Please provide a source for function code."));
    };
    let zip = BASE64_STANDARD.decode(text).map_err(|_| Fault::serialization("ZipFile is not base64"))?;
    if zip.is_empty() {
        return Err(Fault::invalid_parameter("Uploaded file must be a non-empty zip"));
    }
    account::check_room(door).await?;
    let code = door.config.functions.put_code(zip.into()).await.map_err(|error| match error {
        CodeError::Io(error) => Fault::service(format!("The code could not be stored: {error}")),
        other => Fault::invalid_parameter(other.to_string()),
    })?;
    Ok(json!({ "sha256": code.sha256, "size": code.size }))
}
