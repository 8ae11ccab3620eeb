//! What a function is made of: an archive for a runtime, or an image. Each has fields that the other has no use for.

use crate::Errors;
use object::json::{items, text};
use object::path::Path;
use serde_json::Value;

/// Arguments in a list of `imageConfig`, as AWS Lambda has it.
const WORDS_MAX: usize = 1500;

pub(super) fn validate(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    match text(&spec["packageType"]) {
        "Image" => image(spec, at, errors),
        _ => archive(spec, at, errors),
    }
}

fn archive(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    if text(&spec["runtime"]).is_empty() {
        errors.required(&at.field("runtime"), "");
    }
    for field in ["image", "imageConfig"] {
        if spec[field].as_object().is_some_and(|members| !members.is_empty()) {
            errors.forbidden(&at.field(field), "only for packageType Image");
        }
    }
}

fn image(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    for field in ["runtime", "handler", "layers", "code"] {
        let empty = match &spec[field] {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        if !empty {
            errors.forbidden(&at.field(field), "not for packageType Image");
        }
    }
    let (own, here) = (&spec["image"], at.field("image"));
    if text(&own["uri"]).is_empty() {
        errors.required(&here.field("uri"), "the name of the image");
    }
    let digest = text(&own["digest"]);
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    match digest.strip_prefix("sha256:") {
        _ if digest.is_empty() => errors.required(
            &here.field("digest"),
            "the digest of its manifest, which is what runs: a name may move (aws lambda create-function looks it up)",
        ),
        Some(digits) if digits.len() == 64 && digits.bytes().all(hex) => {}
        _ => errors.invalid_text(
            &here.field("digest"),
            digest,
            "must be sha256: and 64 lowercase hexadecimal digits",
        ),
    }
    let (config, here) = (&spec["imageConfig"], at.field("imageConfig"));
    for field in ["entryPoint", "command"] {
        let count = items(&config[field]).len();
        if count > WORDS_MAX {
            errors.too_many(&here.field(field), count, WORDS_MAX);
        }
    }
    let dir = text(&config["workingDirectory"]);
    if !dir.is_empty() && !dir.starts_with('/') {
        errors.invalid_text(&here.field("workingDirectory"), dir, "must be an absolute path");
    }
}
