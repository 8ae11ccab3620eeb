//! The `Status` object: the only error that crosses the Kubernetes door.
//!
//! Constructors give code, reason and the message in the words that clients match on. Used by every room that
//! answers API requests.

use serde_json::{Map, Value, json};

/// One failed (or, for deletes, successful) answer of the API: `meta/v1 Status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// The machine-readable reason (`NotFound`, `Conflict`, …).
    pub reason: &'static str,
    /// What a person reads.
    pub message: String,
    /// Which object, and why in detail.
    pub details: Option<Box<Details>>,
    /// For an expired list: the token with which the client may carry on, inconsistently.
    pub continue_token: Option<String>,
}

/// The object that a `Status` speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Object name, or empty.
    pub name: String,
    /// API group, empty for core.
    pub group: String,
    /// Resource (plural), or for invalid objects the kind, as upstream has it.
    pub kind: String,
    /// Object uid, or empty.
    pub uid: String,
    /// One entry per broken rule.
    pub causes: Vec<Cause>,
    /// Seconds after which the client should retry, 0 = not said.
    pub retry_after_seconds: u32,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldManagerConflict`, …
    pub reason: &'static str,
    /// What a person reads.
    pub message: String,
    /// Path of the field, `spec.containers[0].name`.
    pub field: String,
}

fn about(group: &str, kind: &str, name: &str) -> Option<Box<Details>> {
    Some(Box::new(Details {
        name: name.into(),
        group: group.into(),
        kind: kind.into(),
        ..Details::default()
    }))
}

/// `deployments.apps`, or `pods` for the core group.
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl Status {
    /// A `Failure` with the given code, reason and message and without details.
    pub fn failure(code: u16, reason: &'static str, message: impl Into<String>) -> Status {
        Status { code, reason, message: message.into(), details: None, continue_token: None }
    }

    /// 404 for an object that is not there.
    pub fn not_found(group: &str, plural: &str, name: &str) -> Status {
        Status {
            details: about(group, plural, name),
            ..Status::failure(404, "NotFound", format!("{} \"{name}\" not found", qualified(group, plural)))
        }
    }

    /// 404 for a path that names no resource that is served.
    pub fn no_such_resource() -> Status {
        Status {
            details: Some(Box::default()),
            ..Status::failure(404, "NotFound", "the server could not find the requested resource")
        }
    }

    /// 409 for a create of what is already there.
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Status {
        Status {
            details: about(group, plural, name),
            ..Status::failure(
                409,
                "AlreadyExists",
                format!("{} \"{name}\" already exists", qualified(group, plural)),
            )
        }
    }

    /// 409 with the given explanation.
    pub fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Status {
        Status {
            details: about(group, plural, name),
            ..Status::failure(
                409,
                "Conflict",
                format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, plural)),
            )
        }
    }

    /// 409 for a write with an old resourceVersion.
    pub fn modified(group: &str, plural: &str, name: &str) -> Status {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(group, plural, name, why)
    }

    /// 422 for an object that breaks rules; `kind` is the kind (`Deployment`), not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Status {
        let what = qualified(group, kind);
        let list = match causes.as_slice() {
            [] => "<nil>".to_owned(),
            [one] => cause_text(one),
            many => {
                let mut seen: Vec<String> = Vec::new();
                for text in many.iter().map(cause_text) {
                    if !seen.contains(&text) {
                        seen.push(text);
                    }
                }
                if seen.len() == 1 { seen.remove(0) } else { format!("[{}]", seen.join(", ")) }
            }
        };
        let mut status = Status::failure(422, "Invalid", format!("{what} \"{name}\" is invalid: {list}"));
        status.details = about(group, kind, name);
        if let Some(details) = &mut status.details {
            details.causes = causes;
        }
        status
    }

    /// 400 for a request that cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::failure(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Status {
        Status::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 403; `why` is what the authorizer or admission says (`User "x" cannot list resource …`).
    pub fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Status {
        let what = qualified(group, plural);
        let message = match (what.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{what} is forbidden: {why}"),
            (false, false) => format!("{what} \"{name}\" is forbidden: {why}"),
        };
        Status { details: about(group, plural, name), ..Status::failure(403, "Forbidden", message) }
    }

    /// 405.
    pub fn method_not_allowed(group: &str, plural: &str, verb: &str) -> Status {
        let message =
            format!("{verb} is not supported on resources of kind \"{}\"", qualified(group, plural));
        Status { details: about(group, plural, ""), ..Status::failure(405, "MethodNotAllowed", message) }
    }

    /// 406: none of the asked media types can be made.
    pub fn not_acceptable(offers: &[&str]) -> Status {
        let message = format!("only the following media types are accepted: {}", offers.join(", "));
        Status::failure(406, "NotAcceptable", message)
    }

    /// 410: the revision asked for is compacted away.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::failure(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Status {
        Status::failure(413, "RequestEntityTooLarge", message)
    }

    /// 415.
    pub fn unsupported_media_type(offers: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            offers.join(", ")
        );
        Status::failure(415, "UnsupportedMediaType", message)
    }

    /// 429.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Status {
        let details = Details { retry_after_seconds, ..Details::default() };
        Status { details: Some(Box::new(details)), ..Status::failure(429, "TooManyRequests", message) }
    }

    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Status {
        let text = message.to_string();
        let mut status = Status::failure(500, "InternalError", format!("Internal error occurred: {text}"));
        let cause = Cause { reason: "", message: text, field: String::new() };
        status.details = Some(Box::new(Details { causes: vec![cause], ..Details::default() }));
        status
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Status {
        Status::failure(503, "ServiceUnavailable", message)
    }

    /// 504.
    pub fn timeout(message: impl Into<String>) -> Status {
        Status::failure(504, "Timeout", message)
    }

    /// The answer to a delete that removed the object at once.
    pub fn deleted(group: &str, plural: &str, name: &str, uid: &str) -> Value {
        let mut details = Map::new();
        details.insert("name".into(), name.into());
        if !group.is_empty() {
            details.insert("group".into(), group.into());
        }
        details.insert("kind".into(), plural.into());
        details.insert("uid".into(), uid.into());
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    }

    /// The object as it goes over the wire.
    pub fn to_json(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(token) = &self.continue_token {
            metadata.insert("continue".into(), token.as_str().into());
        }
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        status.insert("metadata".into(), Value::Object(metadata));
        status.insert("status".into(), "Failure".into());
        status.insert("message".into(), self.message.as_str().into());
        status.insert("reason".into(), self.reason.into());
        if let Some(details) = &self.details {
            status.insert("details".into(), details.to_json());
        }
        status.insert("code".into(), self.code.into());
        Value::Object(status)
    }
}

impl Details {
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (key, value) in
            [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)]
        {
            if !value.is_empty() {
                out.insert(key.into(), value.as_str().into());
            }
        }
        if !self.causes.is_empty() {
            out.insert("causes".into(), self.causes.iter().map(Cause::to_json).collect());
        }
        if self.retry_after_seconds > 0 {
            out.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(out)
    }
}

impl Cause {
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (key, value) in
            [("reason", self.reason), ("message", self.message.as_str()), ("field", self.field.as_str())]
        {
            if !value.is_empty() {
                out.insert(key.into(), value.into());
            }
        }
        Value::Object(out)
    }
}

fn cause_text(cause: &Cause) -> String {
    if cause.field.is_empty() { cause.message.clone() } else { format!("{}: {}", cause.field, cause.message) }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
