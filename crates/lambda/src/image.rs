//! Container images as functions: which members go with which package type, the image that a request names, and how both
//! are shown. On AWS the image lies in a registry of the account; here it is one of the platform's own image store.

use super::string;
use crate::Lambda;
use functions::ImageError;
use serde_json::{Map, Value, json};
use wire::Fault;

/// Whether a function object is an image.
pub(crate) fn is_image(object: &Value) -> bool {
    object["spec"]["packageType"] == "Image"
}

/// Members of a request that carry an archive.
const ARCHIVE: [&str; 4] = ["ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion"];

fn given(members: &Map<String, Value>, names: &[&str]) -> bool {
    names.iter().any(|name| members.get(*name).is_some_and(|value| !value.is_null()))
}

/// Refuses settings that the package type has no use for. `spec` is what a request asks for.
pub(crate) fn check_settings(image: bool, spec: &Map<String, Value>) -> Result<(), Fault> {
    let asked = |field: &str| match spec.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        Some(_) => true,
    };
    if image && ["runtime", "handler", "layers"].into_iter().any(asked) {
        return Err(Fault::invalid_parameter(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
        ));
    }
    if !image && asked("imageConfig") {
        return Err(Fault::invalid_parameter(
            "Please don't provide ImageConfig when the intended function PackageType is Zip.",
        ));
    }
    Ok(())
}

/// Refuses code of a new function that its package type has no use for.
pub(crate) fn check_new(image: bool, code: &Map<String, Value>) -> Result<(), Fault> {
    match (image, given(code, &ARCHIVE), given(code, &["ImageUri"])) {
        (true, true, _) | (true, _, false) => Err(Fault::invalid_parameter(
            "Please provide ImageUri, and no archive, when the intended function PackageType is Image.",
        )),
        (false, _, true) => Err(Fault::invalid_parameter(
            "Please don't provide ImageUri when the intended function PackageType is Zip.",
        )),
        _ => Ok(()),
    }
}

/// Refuses new code that is not of the function's package type, which never changes.
pub(crate) fn check_update(image: bool, input: &Map<String, Value>) -> Result<(), Fault> {
    match (image, given(input, &ARCHIVE), given(input, &["ImageUri"])) {
        (true, true, _) | (true, _, false) => Err(Fault::invalid_parameter(
            "Please provide ImageUri when updating a function with packageType Image.",
        )),
        (false, _, true) => Err(Fault::invalid_parameter(
            "Please don't provide ImageUri when updating a function with packageType Zip.",
        )),
        _ => Ok(()),
    }
}

/// The image that `members` name, found now and kept; the `image` of a function object's `spec`.
pub(crate) async fn store(lambda: &Lambda, members: &Map<String, Value>) -> Result<Value, Fault> {
    if given(members, &["SourceKMSKeyArn"]) {
        return Err(Fault::unsupported("SourceKMSKeyArn"));
    }
    let uri = string(members, "ImageUri")?.unwrap_or_default();
    let taken = lambda.config.functions.put_image(uri).await.map_err(|error| refused(&error))?;
    Ok(json!({ "uri": uri, "digest": taken.digest }))
}

pub(crate) fn refused(error: &ImageError) -> Fault {
    Fault::invalid_parameter(error.to_string())
}

/// `ImageConfig` of a request as `imageConfig` of a spec; what is empty asks for the image's own.
pub(crate) fn config(value: &Value, spec: &mut Map<String, Value>) -> Result<(), Fault> {
    let mut config = Map::new();
    for (member, field) in [("EntryPoint", "entryPoint"), ("Command", "command")] {
        match &value[member] {
            Value::Array(words) if words.iter().all(Value::is_string) => {
                config.insert(field.to_owned(), json!(words));
            }
            Value::Null => {}
            _ => {
                return Err(Fault::serialization(format!("ImageConfig.{member} must be a list of strings")));
            }
        }
    }
    match &value["WorkingDirectory"] {
        Value::String(dir) => drop(config.insert("workingDirectory".to_owned(), json!(dir))),
        Value::Null => {}
        _ => return Err(Fault::serialization("ImageConfig.WorkingDirectory must be a string")),
    }
    config.retain(|_, value| *value != json!([]) && *value != json!(""));
    spec.insert("imageConfig".to_owned(), Value::Object(config));
    Ok(())
}

/// `ImageConfigResponse`, where the function has something of its own.
pub(crate) fn shown_config(spec: &Value) -> Option<Value> {
    let config = spec["imageConfig"].as_object().filter(|config| !config.is_empty())?;
    let mut shown = Map::new();
    for (member, field) in
        [("EntryPoint", "entryPoint"), ("Command", "command"), ("WorkingDirectory", "workingDirectory")]
    {
        if let Some(value) = config.get(field) {
            shown.insert(member.to_owned(), value.clone());
        }
    }
    Some(json!({ "ImageConfig": shown }))
}

/// The digest of the image without its algorithm: `CodeSha256` of a function that is an image.
pub(crate) fn sha256(spec: &Value) -> &str {
    let digest = spec["image"]["digest"].as_str().unwrap_or_default();
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// `Code` of `GetFunction`.
pub(crate) fn location(spec: &Value) -> Value {
    let uri = spec["image"]["uri"].as_str().unwrap_or_default();
    let digest = spec["image"]["digest"].as_str().unwrap_or_default();
    json!({ "RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": format!("{}@{digest}", repository(uri)) })
}

/// An image's name without tag and digest: `my-registry/app`.
fn repository(uri: &str) -> &str {
    let uri = uri.split('@').next().unwrap_or(uri);
    match uri.rsplit_once(':') {
        // A port of the registry is no tag.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => uri,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_name_without_tag_and_digest() {
        for (uri, expected) in [
            ("app", "app"),
            ("app:1", "app"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("localhost:5000/app:1@sha256:ab", "localhost:5000/app"),
        ] {
            assert_eq!(repository(uri), expected);
        }
    }

    #[test]
    fn what_is_empty_asks_for_the_images_own() {
        let mut spec = Map::new();
        let asked = json!({"EntryPoint": [], "Command": ["app.handler"], "WorkingDirectory": ""});
        config(&asked, &mut spec).expect("well-formed");
        assert_eq!(spec["imageConfig"], json!({"command": ["app.handler"]}));
        let shown = shown_config(&Value::Object(spec)).expect("something of its own");
        assert_eq!(shown, json!({"ImageConfig": {"Command": ["app.handler"]}}));
    }
}
