//! What AWS clients see of a function object: `FunctionConfiguration` and what goes around it. Pure.

use super::image;
use super::settings::ARCHITECTURE;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use functions::NAME_ANNOTATION;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// When the function was last changed through this door.
pub(crate) const MODIFIED_ANNOTATION: &str = "dory.dev/last-modified";
/// A new value with every change, part of the revision id.
pub(crate) const REVISION_ANNOTATION: &str = "dory.dev/revision";
/// When the function's URL was made, and last changed.
pub(crate) const URL_CREATED_ANNOTATION: &str = "dory.dev/url-created";
pub(crate) const URL_MODIFIED_ANNOTATION: &str = "dory.dev/url-last-modified";

/// An annotation of an object.
pub(crate) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

/// The function's AWS name, also of a version or an alias.
pub(crate) fn name(object: &Value) -> &str {
    let own = object["metadata"]["name"].as_str();
    let named = object["spec"]["functionName"].as_str();
    annotation(object, NAME_ANNOTATION).or(named).or(own).unwrap_or_default()
}

pub(crate) fn arn(region: &str, account_id: &str, name: &str) -> String {
    format!("arn:aws:lambda:{region}:{account_id}:function:{name}")
}

/// Lambda's form of a time in configurations: `2026-01-01T00:00:00.000+0000`.
pub(crate) fn lambda_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

/// A new id with every change, whoever made it: through this door the annotation changes, through `kubectl` the
/// object's generation.
pub(crate) fn revision_id(object: &Value) -> String {
    let metadata = &object["metadata"];
    let text = format!(
        "{} {} {}",
        metadata["uid"].as_str().unwrap_or_default(),
        metadata["generation"],
        annotation(object, REVISION_ANNOTATION).unwrap_or_default()
    );
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    uuid::Builder::from_random_bytes(id).into_uuid().to_string()
}

/// When an object was last changed, in the form of [`lambda_time`].
pub(crate) fn last_modified(object: &Value) -> String {
    if let Some(time) = annotation(object, MODIFIED_ANNOTATION) {
        return time.to_owned();
    }
    let created = object["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
    lambda_time(created.unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Hexadecimal as Kubernetes shows it, base64 as AWS does.
pub(crate) fn base64_of_hex(hex: &str) -> String {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | pair.get(1).map_or(0, |&b| digit(b)))
        .collect();
    BASE64_STANDARD.encode(bytes)
}

/// `CodeSha256`: of an archive its digest in base64, of an image its digest as it is.
pub(crate) fn code_sha256(object: &Value) -> String {
    let spec = &object["spec"];
    match image::is_image(object) {
        true => image::sha256(spec).to_owned(),
        false => base64_of_hex(spec["code"]["sha256"].as_str().unwrap_or_default()),
    }
}

/// `FunctionConfiguration` of the service model. Functions can be invoked as soon as they are written, so they are
/// `Active` in the first answer and no client ever waits.
pub(crate) fn configuration(object: &Value, region: &str, account_id: &str) -> Value {
    let spec = &object["spec"];
    let name = name(object);
    let number = |field: &str, default: u64| spec[field].as_u64().unwrap_or(default);
    let mut out = Map::new();
    let mut set = |member: &str, value: Value| {
        out.insert(member.to_owned(), value);
    };
    set("FunctionName", json!(name));
    let (arn, version) = (arn(region, account_id, name), spec["version"].as_str());
    set("FunctionArn", json!(version.map_or(arn.clone(), |version| format!("{arn}:{version}"))));
    let is_image = image::is_image(object);
    if !is_image {
        set("Runtime", spec["runtime"].clone());
        set("Handler", json!(spec["handler"].as_str().unwrap_or_default()));
    } else if let Some(config) = image::shown_config(spec) {
        set("ImageConfigResponse", config);
    }
    set("Role", json!(spec["role"].as_str().unwrap_or_default()));
    set("CodeSize", json!(spec["code"]["size"].as_u64().unwrap_or(0)));
    set("Description", json!(spec["description"].as_str().unwrap_or_default()));
    set("Timeout", json!(number("timeoutSeconds", 3)));
    set("MemorySize", json!(number("memoryMB", 128)));
    set("LastModified", json!(last_modified(object)));
    set("CodeSha256", json!(code_sha256(object)));
    set("Version", json!(version.unwrap_or("$LATEST")));
    if let Some(variables) = spec["environment"].as_object().filter(|variables| !variables.is_empty()) {
        set("Environment", json!({ "Variables": variables }));
    }
    set("TracingConfig", json!({ "Mode": spec["tracing"].as_str().unwrap_or("PassThrough") }));
    if let Some(layers) = spec["layers"].as_array().filter(|layers| !layers.is_empty()) {
        let shown = layers.iter().map(|layer| json!({ "Arn": layer["arn"], "CodeSize": layer["size"] }));
        set("Layers", shown.collect());
    }
    if let Some(arn) = spec["deadLetterArn"].as_str().filter(|arn| !arn.is_empty()) {
        set("DeadLetterConfig", json!({ "TargetArn": arn }));
    }
    set("RevisionId", json!(revision_id(object)));
    set("State", json!("Active"));
    set("LastUpdateStatus", json!("Successful"));
    set("PackageType", json!(if is_image { "Image" } else { "Zip" }));
    set("Architectures", spec["architectures"].as_array().map_or(json!([ARCHITECTURE]), |all| json!(all)));
    set("EphemeralStorage", json!({ "Size": number("ephemeralStorageMB", 512) }));
    set("SnapStart", json!({ "ApplyOn": "None", "OptimizationStatus": "Off" }));
    set("LoggingConfig", super::logging::shown(&spec["logging"], name));
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_shown_as_lambda_shows_a_function() {
        let object = json!({
            "metadata": {"name": "hello", "uid": "u", "generation": 1, "creationTimestamp": "2026-11-21T06:00:00Z"},
            "spec": {"runtime": "provided.al2023", "role": "r", "handler": "h", "code": {"sha256": "00ff", "size": 7}},
        });
        let shown = configuration(&object, "us-east-1", "000000000000");
        assert_eq!(shown["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:hello");
        assert_eq!(shown["CodeSha256"], "AP8=");
        assert_eq!(shown["LastModified"], "2026-11-21T06:00:00.000+0000");
        assert_eq!(shown["Timeout"], 3);
        assert_eq!(shown.get("Environment"), None);
        assert_eq!(shown["RevisionId"].as_str().map(str::len), Some(36));
        let mut changed = object.clone();
        changed["metadata"]["generation"] = json!(2);
        assert_ne!(revision_id(&object), revision_id(&changed));
    }
}
