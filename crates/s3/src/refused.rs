//! What S3 answers when it refuses: its codes, statuses and the XML around them. One place that puts the errors of `managed`
//! and of signatures into its words.

use http::{HeaderName, HeaderValue, Method};
use managed::{BucketError, ObjectError};
use sigv4::VerifyError;
use wire::{Body, Reply, query, reply};

/// An error as S3 answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// More elements of the document.
    pub(super) more: Vec<(&'static str, String)>,
    /// Headers of the answer.
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Refused {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refused {
        Refused { status, code, message: message.into(), more: Vec::new(), headers: Vec::new() }
    }

    pub(super) fn with(mut self, element: &'static str, text: impl Into<String>) -> Refused {
        self.more.push((element, text.into()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Refused {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn argument(name: &str, value: &str, message: impl Into<String>) -> Refused {
        Refused::new(400, "InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
    }

    pub(super) fn request(message: impl Into<String>) -> Refused {
        Refused::new(400, "InvalidRequest", message)
    }

    /// What dory does not do.
    pub(super) fn unsupported(what: &str) -> Refused {
        Refused::new(501, "NotImplemented", format!("{what} is not supported by dory."))
    }

    /// A header that asks for something that dory does not do, in the words of S3.
    pub(super) fn unsupported_header(name: &str) -> Refused {
        let message = "A header you provided implies functionality that is not implemented.";
        Refused::new(501, "NotImplemented", format!("{message} dory does not support {name}."))
            .with("Header", name)
    }

    pub(super) fn malformed() -> Refused {
        let message =
            "The XML you provided was not well-formed or did not validate against our published schema";
        Refused::new(400, "MalformedXML", message)
    }

    pub(super) fn denied() -> Refused {
        Refused::new(403, "AccessDenied", "Access Denied")
    }

    pub(super) fn no_bucket(name: &str) -> Refused {
        Refused::new(404, "NoSuchBucket", "The specified bucket does not exist").with("BucketName", name)
    }

    pub(super) fn no_key(key: &str) -> Refused {
        Refused::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key)
    }

    pub(super) fn no_version(key: &str, id: &str) -> Refused {
        let message = "The specified version does not exist.";
        Refused::new(404, "NoSuchVersion", message).with("Key", key).with("VersionId", id)
    }

    pub(super) fn precondition(condition: &str) -> Refused {
        let message = "At least one of the pre-conditions you specified did not hold";
        Refused::new(412, "PreconditionFailed", message).with("Condition", condition)
    }

    pub(super) fn method() -> Refused {
        Refused::new(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    }

    pub(super) fn bad_digest(message: impl Into<String>) -> Refused {
        Refused::new(400, "BadDigest", message)
    }

    pub(super) fn incomplete() -> Refused {
        let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
        Refused::new(400, "IncompleteBody", message)
    }

    pub(super) fn too_large() -> Refused {
        let message = "Your proposed upload exceeds the maximum allowed size";
        Refused::new(400, "EntityTooLarge", message)
            .with("MaxSizeAllowed", super::OBJECT_BYTES_MAX.to_string())
    }

    pub(super) fn internal(error: &dyn std::fmt::Display) -> Refused {
        tracing::error!(%error, "a request to S3 failed");
        Refused::new(
            500,
            "InternalError",
            format!("We encountered an internal error. Please try again. ({error})"),
        )
    }

    /// A signature that did not hold; `presigned` when it was in the address.
    pub(super) fn signature(error: &VerifyError, presigned: bool) -> Refused {
        match error {
            VerifyError::Missing => Refused::denied(),
            VerifyError::UnknownKey => Refused::new(
                403,
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
            ),
            VerifyError::ExpiredToken => Refused::new(400, "ExpiredToken", "The provided token has expired."),
            VerifyError::Mismatch => Refused::new(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method.",
            ),
            VerifyError::Unsigned(names) => {
                Refused::new(403, "AccessDenied", error.to_string()).with("HeadersNotSigned", names)
            }
            VerifyError::Expired(_) if presigned => Refused::new(403, "AccessDenied", "Request has expired"),
            VerifyError::Expired(_) => Refused::new(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
            VerifyError::Incomplete(message) if presigned => {
                Refused::new(400, "AuthorizationQueryParametersError", message)
            }
            VerifyError::Incomplete(message) if message.contains("x-amz-content-sha256") => {
                Refused::request(message)
            }
            VerifyError::Incomplete(message) => Refused::new(400, "AuthorizationHeaderMalformed", message),
        }
    }

    /// As the answer to a request; to a `HEAD` without the document.
    pub(super) fn reply(&self, method: &Method, resource: &str, request_id: &str) -> Reply {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>",
            self.code,
            query::escape(&self.message)
        );
        for (element, value) in &self.more {
            text.push_str(&format!("<{element}>{}</{element}>", query::escape(value)));
        }
        text.push_str(&format!(
            "<Resource>{}</Resource><RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>",
            query::escape(resource)
        ));
        let mut reply = reply::raw(self.status, "application/xml", text);
        if *method == Method::HEAD || self.status == 304 {
            *reply.body_mut() = Body::default();
        }
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                reply.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        reply
    }
}

impl From<managed::StoreError> for Refused {
    fn from(error: managed::StoreError) -> Refused {
        Refused::internal(&error)
    }
}

impl From<BucketError> for Refused {
    fn from(error: BucketError) -> Refused {
        match &error {
            BucketError::Exists => Refused::new(
                409,
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
            ),
            BucketError::Gone => Refused::new(404, "NoSuchBucket", "The specified bucket does not exist"),
            BucketError::NotEmpty => {
                Refused::new(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")
            }
            BucketError::TooMany => {
                Refused::new(400, "TooManyBuckets", "You have attempted to create more buckets than allowed")
            }
            BucketError::Store(error) => Refused::internal(error),
        }
    }
}

impl From<ObjectError> for Refused {
    fn from(error: ObjectError) -> Refused {
        let message = error.to_string();
        match error {
            ObjectError::NoBucket => Refused::new(404, "NoSuchBucket", "The specified bucket does not exist"),
            ObjectError::NoKey => Refused::new(404, "NoSuchKey", "The specified key does not exist."),
            ObjectError::NoVersion => {
                Refused::new(404, "NoSuchVersion", "The specified version does not exist.")
            }
            ObjectError::Precondition => Refused::new(
                412,
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
            ),
            ObjectError::NoUpload => Refused::new(
                404,
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
                 or completed.",
            ),
            ObjectError::NoPart => Refused::new(
                400,
                "InvalidPart",
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or the \
                 specified entity tag may not match the part's entity tag.",
            ),
            ObjectError::SmallPart { number, size, etag } => Refused::new(
                400,
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
            )
            .with("ProposedSize", size.to_string())
            .with("MinSizeAllowed", (5u64 << 20).to_string())
            .with("PartNumber", number.to_string())
            .with("ETag", etag),
            ObjectError::BadSum => Refused::bad_digest(
                "The checksum or the size that you specified is not that of the parts together.",
            ),
            ObjectError::TooLarge => Refused::too_large(),
            ObjectError::DiskFull => Refused::new(
                507,
                "InsufficientStorage",
                "There is not enough room on the disk of this machine. Delete objects, or give the data directory more \
                 room.",
            ),
            ObjectError::TooMany => {
                Refused::new(507, "InsufficientStorage", format!("{message}. Delete some."))
            }
            ObjectError::Disk(_) | ObjectError::Store(_) => Refused::internal(&message),
        }
    }
}
