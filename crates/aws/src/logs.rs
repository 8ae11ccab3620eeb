//! CloudWatch Logs (Logs_20140328, awsJson1.1): the log groups, streams and events of functions, and of whoever puts some.

mod events;
mod group;
mod pattern;
mod stream;

use crate::Door;
use http::HeaderValue;
use managed::GroupError;
use serde_json::{Map, Value, json};
use wire::{Call, Reply, reply};

const TARGET: &str = "Logs_20140328.";

/// An error of this service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    status: u16,
    code: &'static str,
    message: String,
}

type Answer = Result<Value, Refused>;

impl Refused {
    fn new(code: &'static str, message: impl Into<String>) -> Refused {
        Refused { status: 400, code, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Refused {
        Refused::new("InvalidParameterException", message)
    }

    fn missing(member: &str) -> Refused {
        Refused::invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    }
}

impl From<GroupError> for Refused {
    fn from(error: GroupError) -> Refused {
        match error {
            GroupError::NoGroup | GroupError::NoStream => {
                Refused::new("ResourceNotFoundException", error.to_string())
            }
            GroupError::Exists(_) => Refused::new("ResourceAlreadyExistsException", error.to_string()),
            GroupError::TooMany => Refused::new("LimitExceededException", error.to_string()),
            GroupError::Disk(_) => {
                Refused { status: 503, ..Refused::new("ServiceUnavailableException", error.to_string()) }
            }
        }
    }
}

/// Answers one request, in the shape that the clients of this service read.
pub(crate) async fn serve(door: &Door, call: &Call) -> Reply {
    let mut reply = match answer(door, call).await {
        Ok(Value::Null) => reply::raw(200, "application/x-amz-json-1.1", ""),
        Ok(value) => reply::raw(200, "application/x-amz-json-1.1", value.to_string()),
        Err(refused) => {
            let document = json!({"__type": refused.code, "message": refused.message});
            let mut reply = reply::raw(refused.status, "application/x-amz-json-1.1", document.to_string());
            reply.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(refused.code));
            reply
        }
    };
    reply.headers_mut().insert("cache-control", HeaderValue::from_static("no-cache"));
    reply
}

async fn answer(door: &Door, call: &Call) -> Answer {
    let operation = call.header("x-amz-target").and_then(|target| target.strip_prefix(TARGET));
    let unknown = |what: &str| {
        Refused::new(
            "UnknownOperationException",
            format!(
                "{what} is not part of dory's CloudWatch Logs. These are: {}",
                OPERATIONS.map(|(name, _)| name).join(", ")
            ),
        )
    };
    let name = operation.ok_or_else(|| unknown("A request without X-Amz-Target: Logs_20140328.…"))?;
    let known = OPERATIONS.iter().find(|(known, _)| *known == name).ok_or_else(|| unknown(name))?;
    if call.caller.region != door.config.region {
        let message =
            format!("This is {}, and the request is signed for {}", door.config.region, call.caller.region);
        return Err(Refused::new("InvalidSignatureException", message));
    }
    let input = match serde_json::from_slice(&call.body) {
        Ok(Value::Object(members)) => Input { members },
        Ok(_) => return Err(Refused::new("SerializationException", "Expected a JSON object")),
        Err(error) => return Err(Refused::new("SerializationException", error.to_string())),
    };
    input.check(known.1)?;
    match name {
        "DescribeLogGroups" => group::describe(door, &input).await,
        "CreateLogGroup" => group::create(door, &input).await,
        "DeleteLogGroup" => group::delete(door, &input).await,
        "PutRetentionPolicy" => group::retain(door, &input).await,
        "DeleteRetentionPolicy" => group::keep(door, &input).await,
        "DescribeLogStreams" => stream::describe(door, &input).await,
        "CreateLogStream" => stream::create(door, &input).await,
        "FilterLogEvents" => events::filter(door, &input).await,
        "GetLogEvents" => events::get(door, &input).await,
        "PutLogEvents" => events::put(door, &input).await,
        other => Err(unknown(other)),
    }
}

/// The operations, each with the members that it understands; any other asks for what dory does not do.
const OPERATIONS: [(&str, &[&str]); 10] = [
    (
        "DescribeLogGroups",
        &[
            "logGroupNamePrefix",
            "logGroupNamePattern",
            "nextToken",
            "limit",
            "logGroupClass",
            "logGroupIdentifiers",
        ],
    ),
    ("CreateLogGroup", &["logGroupName", "logGroupClass"]),
    ("DeleteLogGroup", &["logGroupName"]),
    ("PutRetentionPolicy", &["logGroupName", "retentionInDays"]),
    ("DeleteRetentionPolicy", &["logGroupName"]),
    (
        "DescribeLogStreams",
        &[
            "logGroupName",
            "logGroupIdentifier",
            "logStreamNamePrefix",
            "orderBy",
            "descending",
            "nextToken",
            "limit",
        ],
    ),
    ("CreateLogStream", &["logGroupName", "logStreamName"]),
    (
        "FilterLogEvents",
        &[
            "logGroupName",
            "logGroupIdentifier",
            "logStreamNames",
            "logStreamNamePrefix",
            "startTime",
            "endTime",
            "filterPattern",
            "nextToken",
            "limit",
            "interleaved",
            "startFromHead",
            "unmask",
        ],
    ),
    (
        "GetLogEvents",
        &[
            "logGroupName",
            "logGroupIdentifier",
            "logStreamName",
            "startTime",
            "endTime",
            "nextToken",
            "limit",
            "startFromHead",
            "unmask",
        ],
    ),
    ("PutLogEvents", &["logGroupName", "logStreamName", "logEvents", "sequenceToken"]),
];

/// The members of a request.
pub(crate) struct Input {
    members: Map<String, Value>,
}

impl Input {
    /// Refuses members that this platform would have to ignore.
    fn check(&self, known: &[&str]) -> Result<(), Refused> {
        let asks = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Object(members) => !members.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        match self.members.iter().find(|(name, value)| !known.contains(&name.as_str()) && asks(value)) {
            Some((name, _)) => Err(Refused::invalid(format!("{name} is not supported by dory."))),
            None => Ok(()),
        }
    }

    fn text(&self, member: &str) -> Result<Option<&str>, Refused> {
        match self.members.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::new("SerializationException", format!("{member} must be a string"))),
        }
    }

    fn number(&self, member: &str) -> Result<Option<i64>, Refused> {
        match self.members.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => {
                    Err(Refused::new("SerializationException", format!("{member} must be a whole number")))
                }
            },
        }
    }

    fn flag(&self, member: &str) -> Result<bool, Refused> {
        match self.members.get(member) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Refused::new("SerializationException", format!("{member} must be true or false"))),
        }
    }

    fn list(&self, member: &str) -> Result<Option<&Vec<Value>>, Refused> {
        match self.members.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(Refused::new("SerializationException", format!("{member} must be a list"))),
        }
    }

    /// A number within bounds.
    fn limit(&self, default: usize, max: usize) -> Result<usize, Refused> {
        match self.number("limit")? {
            None => Ok(default),
            Some(limit) => usize::try_from(limit).ok().filter(|limit| (1..=max).contains(limit)).ok_or_else(|| {
                Refused::invalid(format!(
                    "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: \
                     Member must have value between 1 and {max}"
                ))
            }),
        }
    }

    /// The group by its name, or by its name or ARN.
    fn group(&self, door: &Door) -> Result<String, Refused> {
        let text = match (self.text("logGroupName")?, self.text("logGroupIdentifier")?) {
            (Some(_), Some(_)) => {
                return Err(Refused::invalid("logGroupName and logGroupIdentifier cannot both be given"));
            }
            (Some(name), None) => name,
            (None, Some(identifier)) => of_identifier(door, identifier)?,
            (None, None) => return Err(Refused::missing("logGroupName")),
        };
        let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_/#".contains(letter);
        if text.is_empty() || text.len() > 512 || !text.chars().all(plain) {
            return Err(Refused::invalid(format!(
                "1 validation error detected: Value '{text}' at 'logGroupName' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
            )));
        }
        Ok(text.to_owned())
    }

    /// A stream's name, checked.
    fn stream(&self) -> Result<&str, Refused> {
        let text = self.text("logStreamName")?.ok_or_else(|| Refused::missing("logStreamName"))?;
        let fits = !text.is_empty() && text.len() <= 512 && !text.contains([':', '*']);
        // The last two would not read back from the log.
        if fits && !text.contains(char::is_control) && !text.contains("] ") && !text.contains("]+") {
            return Ok(text);
        }
        Err(Refused::invalid(format!(
            "1 validation error detected: Value '{text}' at 'logStreamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [^:*]*"
        )))
    }
}

/// `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, or the name.
fn of_identifier<'a>(door: &Door, identifier: &'a str) -> Result<&'a str, Refused> {
    if !identifier.starts_with("arn:") {
        return Ok(identifier);
    }
    let ours = group_arn(door, "");
    let name = identifier.strip_prefix(ours.as_str());
    let name = name.ok_or_else(|| {
        Refused::new("ResourceNotFoundException", "The specified log group does not exist.")
    })?;
    Ok(name.strip_suffix(":*").unwrap_or(name))
}

/// Without the `:*` at its end.
fn group_arn(door: &Door, group: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{group}", door.config.region, door.config.account_id)
}

/// The items of a page, and the token of the next: the name of the last one.
fn page<T>(
    items: Vec<T>,
    token: Option<&str>,
    limit: usize,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let skip =
        token.and_then(|token| items.iter().position(|item| key(item) == token)).map_or(0, |at| at + 1);
    let mut rest: Vec<T> = items.into_iter().skip(skip).collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| more).map(key);
    (rest, next)
}
