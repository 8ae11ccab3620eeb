//! One error, in the shape of the protocol that it is answered in: JSON with `x-amzn-ErrorType` for Lambda, XML for the
//! query services. Codes and statuses are those of the service models.

use crate::{Reply, query, reply};
use http::{HeaderValue, header};
use serde_json::json;

/// Whose doing it is; the `Type` of Lambda's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    User,
    Service,
}

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    pub blame: Blame,
    /// The limit that a request was throttled by, and after how many seconds there may be room.
    pub throttle: Option<(&'static str, u64)>,
}

impl Fault {
    /// An error of the caller's, as a service model names it.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Fault {
        Fault::user(status, code, message)
    }

    /// IAM's and STS's word for a parameter that is not accepted.
    pub fn malformed_input(message: impl Into<String>) -> Fault {
        Fault::user(400, "InvalidInput", message)
    }

    fn user(status: u16, code: &'static str, message: impl Into<String>) -> Fault {
        Fault { status, code, message: message.into(), blame: Blame::User, throttle: None }
    }

    pub fn invalid_parameter(message: impl Into<String>) -> Fault {
        Fault::user(400, "InvalidParameterValueException", message)
    }

    /// What the platform cannot do yet is refused in the words of a parameter that is not accepted.
    pub fn unsupported(what: &str) -> Fault {
        Fault::invalid_parameter(format!("{what} is not supported by dory."))
    }

    /// A member breaks a constraint of the model.
    pub fn validation(member: &str, value: &str, constraint: &str) -> Fault {
        Fault::user(
            400,
            "ValidationException",
            format!(
                "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
            ),
        )
    }

    /// Members break constraints of the model; the message names them all.
    pub fn constraints(message: impl Into<String>) -> Fault {
        Fault::user(400, "ValidationException", message)
    }

    pub fn recursive(message: impl Into<String>) -> Fault {
        Fault::user(400, "RecursiveInvocationException", message)
    }

    pub fn policy_too_long(message: impl Into<String>) -> Fault {
        Fault::user(400, "PolicyLengthExceededException", message)
    }

    pub fn code_storage(message: impl Into<String>) -> Fault {
        Fault::user(400, "CodeStorageExceededException", message)
    }

    pub fn serialization(message: impl Into<String>) -> Fault {
        Fault::user(400, "SerializationException", message)
    }

    pub fn not_found(message: impl Into<String>) -> Fault {
        Fault::user(404, "ResourceNotFoundException", message)
    }

    pub fn conflict(message: impl Into<String>) -> Fault {
        Fault::user(409, "ResourceConflictException", message)
    }

    pub fn precondition(message: impl Into<String>) -> Fault {
        Fault::user(412, "PreconditionFailedException", message)
    }

    pub fn too_large(message: impl Into<String>) -> Fault {
        Fault::user(413, "RequestTooLargeException", message)
    }

    pub fn bad_content(message: impl Into<String>) -> Fault {
        Fault::user(400, "InvalidRequestContentException", message)
    }

    pub fn throttled(message: impl Into<String>, limit: &'static str, retry_after_s: u64) -> Fault {
        Fault {
            throttle: Some((limit, retry_after_s)),
            ..Fault::user(429, "TooManyRequestsException", message)
        }
    }

    pub fn unknown_operation(message: impl Into<String>) -> Fault {
        Fault::user(404, "UnknownOperationException", message)
    }

    pub fn denied(message: impl Into<String>) -> Fault {
        Fault::user(403, "AccessDeniedException", message)
    }

    pub fn signature(error: &sigv4::VerifyError, json: bool) -> Fault {
        Fault::user(error.status(), error.code(json), error.to_string())
    }

    /// Signed for another region than this one.
    pub fn region(signed: &str, ours: &str) -> Fault {
        let message =
            format!("Credential should be scoped to a valid region, not '{signed}': this is '{ours}'.");
        Fault::user(403, "InvalidSignatureException", message)
    }

    pub fn service(message: impl Into<String>) -> Fault {
        let message = message.into();
        Fault { status: 500, code: "ServiceException", message, blame: Blame::Service, throttle: None }
    }

    /// As Lambda answers: the code in a header, the message in a document. Some shapes of the model spell it `Message`
    /// and some `message`, and clients read the one that their model names.
    pub fn json(&self) -> Reply {
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
        if let Some((limit, _)) = self.throttle {
            document["Reason"] = json!(limit);
        }
        let mut reply = reply::json(self.status, &document);
        reply.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        if let Some((_, retry_after_s)) = self.throttle {
            reply.headers_mut().insert(header::RETRY_AFTER, retry_after_s.into());
        }
        reply
    }

    /// As the awsJson services answer: the code is in the document.
    pub fn target(&self) -> Reply {
        let document = json!({ "__type": self.code, "message": self.message });
        let mut reply = reply::raw(self.status, "application/x-amz-json-1.1", document.to_string());
        reply.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        reply
    }

    /// As the query services answer.
    pub fn xml(&self, namespace: &str, request_id: &str) -> Reply {
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
