//! The rules of a Job's specification that hold in a CronJob's template too.

use super::{pod_template, policy};
use crate::Errors;
use object::json::text;
use object::name;
use object::path::Path;
use serde_json::Value;

/// Caps the length of `status.completedIndexes` and `status.failedIndexes` (upstream's figures).
const INDEXES_MAX: i64 = 100_000;
/// The same for Jobs of more completions that have a backoff limit per index.
const INDEXES_OF_MANY_MAX: i64 = 10_000;
const MANAGED_BY_BYTES_MAX: usize = 63;

/// All but the selector, which a template must not have.
pub(crate) fn validate_spec(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        errors.non_negative(&at.field(field), &spec[field]);
    }
    if !spec["maxFailedIndexes"].is_null() && spec["backoffLimitPerIndex"].is_null() {
        errors.required(&at.field("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(name) = spec["managedBy"].as_str() {
        managed_by(name, &at.field("managedBy"), errors);
    }
    if !spec["scheduling"].is_null() {
        let why = "scheduling pods as a group is not supported by this server: leave it out";
        errors.forbidden(&at.field("scheduling"), why);
    }
    match spec["completionMode"].as_str() {
        Some("Indexed") => indexed(spec, at, errors),
        None | Some("NonIndexed") => not_indexed(spec, at, errors),
        Some(other) => errors.unsupported(&at.field("completionMode"), other, &["NonIndexed", "Indexed"]),
    }
    policy::failure(spec, &at.field("podFailurePolicy"), errors);
    policy::success(spec, &at.field("successPolicy"), errors);
    replacement(spec, &at.field("podReplacementPolicy"), errors);
    pod_template(spec, at, errors);
}

fn indexed(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let number = |field: &str| spec[field].as_i64();
    let (completions, failed_max) = (number("completions"), number("maxFailedIndexes"));
    if completions.is_none() {
        errors.required(&at.field("completions"), "when completion mode is Indexed");
    }
    let mut at_most = |field: &str, max: i64, why: &str| {
        if number(field).is_some_and(|n| n > max) {
            errors.invalid(&at.field(field), &spec[field], &format!("must be less than or equal to {why}"));
        }
    };
    at_most("parallelism", INDEXES_MAX, &format!("{INDEXES_MAX} when completion mode is Indexed"));
    if let Some(completions) = completions {
        at_most("maxFailedIndexes", completions, "completions");
    }
    at_most("maxFailedIndexes", INDEXES_MAX, &INDEXES_MAX.to_string());
    let many = completions.is_some_and(|n| n > INDEXES_MAX) && !spec["backoffLimitPerIndex"].is_null();
    if !many {
        return;
    }
    let why = format!(
        "{INDEXES_OF_MANY_MAX} when completions are above {INDEXES_MAX} and used with backoff limit per index"
    );
    at_most("parallelism", INDEXES_OF_MANY_MAX, &why);
    at_most("maxFailedIndexes", INDEXES_OF_MANY_MAX, &why);
    if failed_max.is_none() {
        let why = format!("must be specified when completions is above {INDEXES_MAX}");
        errors.required(&at.field("maxFailedIndexes"), &why);
    }
}

fn not_indexed(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if !spec[field].is_null() {
            errors.invalid(&at.field(field), &spec[field], "requires indexed completion mode");
        }
    }
}

fn replacement(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let allowed: &[&str] =
        if spec["podFailurePolicy"].is_null() { &["Failed", "TerminatingOrFailed"] } else { &["Failed"] };
    errors.one_of(at, &spec["podReplacementPolicy"], allowed);
}

/// Who manages the Job: a path that begins with a domain.
fn managed_by(name: &str, at: &Path<'_>, errors: &mut Errors) {
    match name.split_once('/') {
        _ if name.is_empty() => errors.required(at, ""),
        Some((host, path)) if !host.is_empty() && !path.is_empty() => {
            errors.check(at, host, name::check_subdomain);
            if !path.bytes().all(|c| c.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&c)) {
                let why = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
                errors.invalid_text(at, path, why);
            }
        }
        _ => errors.invalid_text(at, name, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
    if name.len() > MANAGED_BY_BYTES_MAX {
        errors.too_long(at, MANAGED_BY_BYTES_MAX);
    }
}

/// Whether a specification is of an Indexed Job.
pub(super) fn is_indexed(spec: &Value) -> bool {
    text(&spec["completionMode"]) == "Indexed"
}

/// The number of completions, 0 when it is not said or nonsense.
pub(super) fn completions(spec: &Value) -> u32 {
    spec["completions"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}
