//! The code of a function as requests carry it: an archive in base64, and nowhere else yet.

use super::string;
use crate::door::Door;
use crate::fault::Fault;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use functions::CodeError;
use serde_json::{Map, Value, json};

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
    for image in ["ImageUri", "SourceKMSKeyArn"] {
        if members.get(image).is_some_and(|value| !value.is_null()) {
            return Err(Fault::unsupported(image));
        }
    }
    let Some(text) = string(members, "ZipFile")? else {
        return Err(Fault::invalid_parameter("Please provide a source for function code."));
    };
    let zip = BASE64_STANDARD.decode(text).map_err(|_| Fault::serialization("ZipFile is not base64"))?;
    if zip.is_empty() {
        return Err(Fault::invalid_parameter("Uploaded file must be a non-empty zip"));
    }
    let code = door.config.functions.put_code(zip.into()).await.map_err(|error| match error {
        CodeError::Io(error) => Fault::service(format!("The code could not be stored: {error}")),
        other => Fault::invalid_parameter(other.to_string()),
    })?;
    Ok(json!({ "sha256": code.sha256, "size": code.size }))
}
