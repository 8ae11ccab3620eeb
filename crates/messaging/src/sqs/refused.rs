//! The errors of this service, each with its code in the query format and the name of its shape in the model. Pure.

use managed::{DeclareError, HandleError, LetterError, ReceiveError};

/// An error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(super) code: &'static str,
    pub(crate) shape: &'static str,
    pub(crate) message: String,
}

impl Refused {
    fn new(code: &'static str, shape: &'static str, message: impl Into<String>) -> Refused {
        Refused { status: 400, code, shape, message: message.into() }
    }

    /// A value that is not accepted, and why.
    pub(super) fn value(parameter: &str, value: impl std::fmt::Display, reason: &str) -> Refused {
        Refused::parameter(format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"))
    }

    pub(super) fn parameter(message: impl Into<String>) -> Refused {
        Refused::new("InvalidParameterValue", "InvalidParameterValueException", message)
    }

    pub(super) fn missing(parameter: &str) -> Refused {
        let message = format!("The request must contain the parameter {parameter}.");
        Refused::new("MissingParameter", "MissingRequiredParameterException", message)
    }

    pub(super) fn unknown(operation: &str) -> Refused {
        let message = format!("The action {operation} is not valid for this endpoint.");
        Refused::new("InvalidAction", "UnknownOperationException", message)
    }

    pub(super) fn unread(message: impl Into<String>) -> Refused {
        Refused::new("MalformedInput", "SerializationException", message)
    }

    pub(super) fn region(signed: &str, ours: &str) -> Refused {
        let message = format!("This is {ours}, and the request is signed for {signed}");
        Refused { status: 403, ..Refused::new("SignatureDoesNotMatch", "InvalidSignatureException", message) }
    }

    pub(super) fn attribute_name(name: &str) -> Refused {
        Refused::new("InvalidAttributeName", "InvalidAttributeName", format!("Unknown Attribute {name}."))
    }

    pub(super) fn attribute_value(message: impl Into<String>) -> Refused {
        Refused::new("InvalidAttributeValue", "InvalidAttributeValue", message)
    }

    pub(super) fn address(url: &str) -> Refused {
        let message = format!("The address {url} is not valid for this endpoint.");
        Refused { status: 404, ..Refused::new("InvalidAddress", "InvalidAddress", message) }
    }

    pub(super) fn no_queue() -> Refused {
        let message = "The specified queue does not exist.";
        Refused::new("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", message)
    }

    pub(super) fn no_resource(message: impl Into<String>) -> Refused {
        Refused {
            status: 404,
            ..Refused::new("ResourceNotFoundException", "ResourceNotFoundException", message)
        }
    }

    pub(super) fn contents() -> Refused {
        let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
                       #xE000 to #xFFFD | #x10000 to #x10FFFF";
        Refused::new("InvalidMessageContents", "InvalidMessageContents", message)
    }

    pub(super) fn over_limit(message: impl Into<String>) -> Refused {
        Refused { status: 403, ..Refused::new("OverLimit", "OverLimit", message) }
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Refused {
        Refused::new("AWS.SimpleQueueService.UnsupportedOperation", "UnsupportedOperation", message)
    }

    pub(super) fn throttled(message: impl Into<String>) -> Refused {
        Refused { status: 403, ..Refused::new("RequestThrottled", "RequestThrottled", message) }
    }

    pub(super) fn purged() -> Refused {
        let message = "Only one PurgeQueue operation is allowed every 60 seconds.";
        Refused {
            status: 403,
            ..Refused::new("AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress", message)
        }
    }

    pub(super) fn empty_batch(entry: &str) -> Refused {
        let message = format!("There should be at least one {entry} in the request.");
        Refused::new("AWS.SimpleQueueService.EmptyBatchRequest", "EmptyBatchRequest", message)
    }

    pub(super) fn too_many(count: usize, max: usize) -> Refused {
        let message = format!("Maximum number of entries per request are {max}. You have sent {count}.");
        Refused::new(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "TooManyEntriesInBatchRequest",
            message,
        )
    }

    pub(super) fn repeated_id(id: &str) -> Refused {
        let message = format!("Id {id} repeated.");
        Refused::new("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct", message)
    }

    pub(super) fn batch_id() -> Refused {
        let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
             letters long.";
        Refused::new("AWS.SimpleQueueService.InvalidBatchEntryId", "InvalidBatchEntryId", message)
    }

    pub(crate) fn too_long(bytes: usize, max: usize) -> Refused {
        let message =
            format!("Batch requests cannot be longer than {max} bytes. You have sent {bytes} bytes.");
        Refused::new("AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong", message)
    }

    fn internal(error: &dyn std::error::Error) -> Refused {
        Refused { status: 500, ..Refused::new("InternalError", "InternalFailure", error.to_string()) }
    }
}

impl From<DeclareError> for Refused {
    fn from(error: DeclareError) -> Refused {
        match error {
            DeclareError::Exists(attribute) => Refused::new(
                "QueueAlreadyExists",
                "QueueNameExists",
                format!(
                    "A queue already exists with the same name and a different value for attribute {attribute}"
                ),
            ),
            DeclareError::Gone => Refused::no_queue(),
            DeclareError::TooMany => Refused::throttled(error.to_string()),
            DeclareError::Store(_) => Refused::internal(&error),
        }
    }
}

impl From<LetterError> for Refused {
    fn from(error: LetterError) -> Refused {
        let wrong_type = "The request include parameter that is not valid for this queue type";
        match error {
            LetterError::TooLarge { max, .. } => Refused::parameter(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {max} bytes."
            )),
            LetterError::NoGroup => Refused::missing("MessageGroupId"),
            LetterError::NoDeduplicationId => Refused::parameter(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            ),
            LetterError::OwnDelay => Refused::value("DelaySeconds", "of a message", wrong_type),
            LetterError::NotFifo => Refused::value("MessageDeduplicationId", "of a message", wrong_type),
            LetterError::Gone => Refused::no_queue(),
            LetterError::Full(_) => Refused::throttled(error.to_string()),
            LetterError::Store(_) => Refused::internal(&error),
        }
    }
}

impl From<ReceiveError> for Refused {
    fn from(error: ReceiveError) -> Refused {
        match error {
            ReceiveError::OverLimit => Refused::over_limit(format!("Too many messages: {error}.")),
            ReceiveError::Gone => Refused::no_queue(),
        }
    }
}

impl From<HandleError> for Refused {
    fn from(error: HandleError) -> Refused {
        let receipt = |reason: &str| Refused::value("ReceiptHandle", "given", reason);
        match error {
            HandleError::Invalid => Refused {
                status: 404,
                ..Refused::new(
                    "ReceiptHandleIsInvalid",
                    "ReceiptHandleIsInvalid",
                    "The input receipt handle is invalid.",
                )
            },
            HandleError::Expired => receipt("The receipt handle has expired."),
            HandleError::NoMessage => {
                receipt("Message does not exist or is not available for visibility timeout change.")
            }
            HandleError::NotInFlight => Refused::new(
                "AWS.SimpleQueueService.MessageNotInflight",
                "MessageNotInflight",
                "The specified message isn't in flight.",
            ),
            HandleError::TooLong => Refused::value(
                "VisibilityTimeout",
                "given",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
            ),
            HandleError::Store(_) => Refused::internal(&error),
        }
    }
}
