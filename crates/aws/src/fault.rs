//! One error, in the shape of the protocol that it is answered in: JSON with `x-amzn-ErrorType` for Lambda, XML for the
//! query services. Codes and statuses are those of the service models.

use crate::query;
use crate::reply::{self, Reply};
use functions::Throttle;
use http::{HeaderValue, header};
use serde_json::json;

/// Whose doing it is; the `Type` of Lambda's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    User,
    Service,
}

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) blame: Blame,
    /// Why an invocation was throttled, and when there may be room.
    pub(crate) throttle: Option<Throttle>,
}

impl Fault {
    /// An error of the caller's, as a service model names it.
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Fault {
        Fault::user(status, code, message)
    }

    /// IAM's and STS's word for a parameter that is not accepted.
    pub(crate) fn malformed_input(message: impl Into<String>) -> Fault {
        Fault::user(400, "InvalidInput", message)
    }

    fn user(status: u16, code: &'static str, message: impl Into<String>) -> Fault {
        Fault { status, code, message: message.into(), blame: Blame::User, throttle: None }
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Fault {
        Fault::user(400, "InvalidParameterValueException", message)
    }

    /// What the platform cannot do yet is refused in the words of a parameter that is not accepted.
    pub(crate) fn unsupported(what: &str) -> Fault {
        Fault::invalid_parameter(format!("{what} is not supported by dory."))
    }

    /// A member breaks a constraint of the model.
    pub(crate) fn validation(member: &str, value: &str, constraint: &str) -> Fault {
        Fault::user(
            400,
            "ValidationException",
            format!(
                "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
            ),
        )
    }

    /// Members break constraints of the model; the message names them all.
    pub(crate) fn constraints(message: impl Into<String>) -> Fault {
        Fault::user(400, "ValidationException", message)
    }

    pub(crate) fn recursive(message: impl Into<String>) -> Fault {
        Fault::user(400, "RecursiveInvocationException", message)
    }

    pub(crate) fn policy_too_long(message: impl Into<String>) -> Fault {
        Fault::user(400, "PolicyLengthExceededException", message)
    }

    pub(crate) fn code_storage(message: impl Into<String>) -> Fault {
        Fault::user(400, "CodeStorageExceededException", message)
    }

    pub(crate) fn serialization(message: impl Into<String>) -> Fault {
        Fault::user(400, "SerializationException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Fault {
        Fault::user(404, "ResourceNotFoundException", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Fault {
        Fault::user(409, "ResourceConflictException", message)
    }

    pub(crate) fn precondition(message: impl Into<String>) -> Fault {
        Fault::user(412, "PreconditionFailedException", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Fault {
        Fault::user(413, "RequestTooLargeException", message)
    }

    pub(crate) fn bad_content(message: impl Into<String>) -> Fault {
        Fault::user(400, "InvalidRequestContentException", message)
    }

    pub(crate) fn throttled(message: impl Into<String>, throttle: Throttle) -> Fault {
        Fault { throttle: Some(throttle), ..Fault::user(429, "TooManyRequestsException", message) }
    }

    pub(crate) fn unknown_operation(message: impl Into<String>) -> Fault {
        Fault::user(404, "UnknownOperationException", message)
    }

    pub(crate) fn denied(message: impl Into<String>) -> Fault {
        Fault::user(403, "AccessDeniedException", message)
    }

    pub(crate) fn signature(error: &sigv4::VerifyError, json: bool) -> Fault {
        Fault::user(error.status(), error.code(json), error.to_string())
    }

    /// Signed for another region than this one.
    pub(crate) fn region(signed: &str, ours: &str) -> Fault {
        let message =
            format!("Credential should be scoped to a valid region, not '{signed}': this is '{ours}'.");
        Fault::user(403, "InvalidSignatureException", message)
    }

    pub(crate) fn service(message: impl Into<String>) -> Fault {
        let message = message.into();
        Fault { status: 500, code: "ServiceException", message, blame: Blame::Service, throttle: None }
    }

    /// As Lambda answers: the code in a header, the message in a document. Some shapes of the model spell it `Message`
    /// and some `message`, and clients read the one that their model names.
    pub(crate) fn json(&self) -> Reply {
        let kind = match self.blame {
            Blame::User => "User",
            Blame::Service => "Service",
        };
        let name = match self.code {
            "ResourceNotFoundException"
            | "ServiceException"
            | "AccessDeniedException"
            | "RecursiveInvocationException" => "Message",
            _ => "message",
        };
        // `__type` is where the clients of the JSON services look for the code; they are told that there is no such
        // service here, and Lambda's own clients do not mind.
        let mut document = match self.code {
            "UnknownOperationException" => json!({ "__type": self.code, "Type": kind, name: self.message }),
            _ => json!({ "Type": kind, name: self.message }),
        };
        if let Some(throttle) = &self.throttle {
            document["Reason"] = json!(throttle.reason.as_str());
        }
        let mut reply = reply::json(self.status, &document);
        reply.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        if let Some(throttle) = &self.throttle {
            reply.headers_mut().insert(header::RETRY_AFTER, throttle.retry_after_s.into());
        }
        reply
    }

    /// As the awsJson services answer: the code is in the document.
    pub(crate) fn target(&self) -> Reply {
        let document = json!({ "__type": self.code, "message": self.message });
        let mut reply = reply::raw(self.status, "application/x-amz-json-1.1", document.to_string());
        reply.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        reply
    }

    /// As the query services answer.
    pub(crate) fn xml(&self, namespace: &str, request_id: &str) -> Reply {
        let sender = if self.blame == Blame::User { "Sender" } else { "Receiver" };
        let text = format!(
            "<ErrorResponse xmlns=\"{namespace}\">\n  <Error>\n    <Type>{sender}</Type>\n    \
             <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  <RequestId>{request_id}</RequestId>\n\
             </ErrorResponse>\n",
            self.code,
            query::escape(&self.message)
        );
        reply::raw(self.status, "text/xml", text)
    }
}
