//! Function: code that runs when it is called; dory's own kind.

mod package;

use super::{Kind, OWN, STATUS};
use crate::Errors;
use object::json::{child, entries, fill, fill_zero, items, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, integer, name_of, number, or_none, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

/// All environment variables together, as AWS Lambda has it.
const ENVIRONMENT_BYTES_MAX: usize = 4096;
/// Layers of one function, as AWS Lambda has it.
const LAYERS_MAX: usize = 5;
const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

pub(super) static KIND: Kind = Kind {
    kind: "Function",
    list_kind: "FunctionList",
    plural: "functions",
    singular: "function",
    short_names: &["fn"],
    subresources: &[STATUS],
    schema: "dev.dory.v1.Function",
    fields: &[("spec.runtime", |o| text(&o["spec"]["runtime"]).into())],
    columns: Columns {
        columns: &[
            NAME,
            column("Runtime"),
            column("Handler"),
            integer("Memory"),
            integer("Timeout"),
            AGE,
            wide("Code SHA"),
            wide("URL"),
        ],
        row,
    },
    status: true,
    keeps_status: true,
    default,
    validate,
    ..OWN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let sha = code_sha(spec);
    vec![
        name_of(object),
        runtime(spec),
        text(&spec["handler"]).into(),
        number(&spec["memoryMB"]),
        number(&spec["timeoutSeconds"]),
        age_of(object, now),
        or_none(sha.get(..12).unwrap_or(sha)),
        or_none(text(&spec["url"]["id"])),
    ]
}

/// The runtime for the table; an image has none, and is named.
pub(super) fn runtime(spec: &Value) -> Value {
    let runtime = text(&spec["runtime"]);
    if runtime.is_empty() { text(&spec["image"]["uri"]).into() } else { runtime.into() }
}

/// The digest of archive or image, in hexadecimal.
pub(super) fn code_sha(spec: &Value) -> &str {
    let image = text(&spec["image"]["digest"]).trim_start_matches("sha256:");
    if image.is_empty() { text(&spec["code"]["sha256"]) } else { image }
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    configuration_default(spec);
    url_default(spec);
}

pub(super) fn url_default(spec: &mut Value) {
    if let Some(url) = spec.get_mut("url").filter(|u| u.is_object()) {
        fill_zero(url, "authType", "NONE");
        fill_zero(url, "invokeMode", "BUFFERED");
    }
}

/// What functions and their versions have in common.
pub(super) fn configuration_default(spec: &mut Value) {
    fill(spec, "timeoutSeconds", 3);
    fill(spec, "memoryMB", 128);
    fill(spec, "ephemeralStorageMB", 512);
    fill_zero(spec, "packageType", "Zip");
    fill(spec, "architectures", vec!["x86_64"]);
}

fn validate(new: &Value, _: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    configuration(spec, &at, errors);
    errors.one_of(&at.field("recursiveLoop"), &spec["recursiveLoop"], &["Allow", "Terminate"]);
    errors.non_negative(&at.field("reservedConcurrency"), &spec["reservedConcurrency"]);
    url(&spec["url"], &at.field("url"), errors);
}

/// What functions and their versions have in common.
pub(super) fn configuration(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    package::validate(spec, at, errors);
    for (field, low, high) in
        [("timeoutSeconds", 1, 900), ("memoryMB", 128, 10_240), ("ephemeralStorageMB", 512, 10_240)]
    {
        if !spec[field].as_i64().is_some_and(|n| (low..=high).contains(&n)) {
            let why = format!("must be between {low} and {high}, inclusive");
            errors.invalid(&at.field(field), &spec[field], &why);
        }
    }
    let dead_letters = text(&spec["deadLetterArn"]);
    if !dead_letters.is_empty() && !matches!(dead_letters.split(':').nth(2), Some("sqs" | "sns")) {
        errors.invalid_text(
            &at.field("deadLetterArn"),
            dead_letters,
            "must be the ARN of an SQS queue or an SNS topic",
        );
    }
    errors.one_of(&at.field("packageType"), &spec["packageType"], &["Image", "Zip"]);
    for (i, architecture) in items(&spec["architectures"]).iter().enumerate() {
        errors.one_of(&at.field("architectures").index(i), architecture, &["arm64", "x86_64"]);
    }
    logging(&spec["logging"], &at.field("logging"), errors);
    code(&spec["code"], &at.field("code"), errors);
    environment(&spec["environment"], &at.field("environment"), errors);
    layers(&spec["layers"], &at.field("layers"), errors);
    errors.one_of(&at.field("tracing"), &spec["tracing"], &["Active", "PassThrough"]);
    let updates = at.field("runtimeManagement");
    let how = &spec["runtimeManagement"]["updateRuntimeOn"];
    errors.one_of(&updates.field("updateRuntimeOn"), how, &["Auto", "FunctionUpdate", "Manual"]);
    let version = &spec["runtimeManagement"]["runtimeVersionArn"];
    if (how == "Manual") == text(version).is_empty() {
        let why = "must be given when updateRuntimeOn is Manual, and only then";
        errors.invalid(&updates.field("runtimeVersionArn"), version, why);
    }
    event_invoke(&spec["eventInvoke"], &at.field("eventInvoke"), errors);
}

fn layers(layers: &Value, at: &Path<'_>, errors: &mut Errors) {
    let layers = items(layers);
    if layers.len() > LAYERS_MAX {
        errors.too_many(at, layers.len(), LAYERS_MAX);
    }
    for (i, layer) in layers.iter().enumerate() {
        let here = at.index(i);
        if text(&layer["arn"]).is_empty() {
            errors.required(&here.field("arn"), "");
        }
        if text(&layer["sha256"]).is_empty() {
            errors.required(&here.field("sha256"), "the archive of the layer in the code store");
        }
        code(layer, &here, errors);
    }
}

/// What becomes of events that were not waited for; the bounds are those of AWS Lambda.
pub(super) fn event_invoke(settings: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (field, low, high) in [("maximumRetryAttempts", 0, 2), ("maximumEventAgeInSeconds", 60, 21_600)] {
        if settings[field].as_i64().is_some_and(|n| !(low..=high).contains(&n)) {
            let why = format!("must be between {low} and {high}, inclusive");
            errors.invalid(&at.field(field), &settings[field], &why);
        }
    }
}

fn logging(logging: &Value, at: &Path<'_>, errors: &mut Errors) {
    const LEVELS: &[&str] = &["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];
    errors.one_of(&at.field("format"), &logging["format"], &["JSON", "Text"]);
    errors.one_of(&at.field("applicationLogLevel"), &logging["applicationLogLevel"], LEVELS);
    errors.one_of(&at.field("systemLogLevel"), &logging["systemLogLevel"], &["DEBUG", "INFO", "WARN"]);
    let group = text(&logging["logGroup"]);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_/#".contains(c);
    if group.len() > 512 || !group.chars().all(plain) {
        errors.invalid_text(
            &at.field("logGroup"),
            group,
            "must have up to 512 of a-z, A-Z, 0-9 and . - _ / #",
        );
    }
}

pub(super) fn code(code: &Value, at: &Path<'_>, errors: &mut Errors) {
    let sha = text(&code["sha256"]);
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if !sha.is_empty() && (sha.len() != 64 || !sha.bytes().all(hex)) {
        errors.invalid_text(&at.field("sha256"), sha, "must be 64 lowercase hexadecimal digits");
    }
    errors.non_negative(&at.field("size"), &code["size"]);
}

fn environment(environment: &Value, at: &Path<'_>, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in entries(environment) {
        bytes += key.len() + text(value).len();
        let mut chars = key.bytes();
        let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
        if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == b'_') {
            errors.invalid_text(
                &at.key(key),
                key,
                "must start with a letter and hold only letters, digits and '_'",
            );
        }
    }
    if bytes > ENVIRONMENT_BYTES_MAX {
        errors.too_long(at, ENVIRONMENT_BYTES_MAX);
    }
}

pub(super) fn url(url: &Value, at: &Path<'_>, errors: &mut Errors) {
    errors.one_of(&at.field("authType"), &url["authType"], &["AWS_IAM", "NONE"]);
    errors.one_of(&at.field("invokeMode"), &url["invokeMode"], &["BUFFERED", "RESPONSE_STREAM"]);
    for (i, route) in items(&url["routes"]).iter().enumerate() {
        let list = at.field("routes");
        let here = list.index(i);
        match text(route).split_once(' ') {
            Some((method, _)) if !METHODS.contains(&method) => errors.unsupported(&here, method, &METHODS),
            Some((_, path)) if path.starts_with('/') => {}
            _ => errors.invalid(&here, route, "must be a method and a path, as in \"GET /users/{userId}\""),
        }
    }
}
