//! The two formats: which one a request came in, and its answer in the same. Operations see JSON in either.

use super::input::Input;
use super::{Refused, XML_NAMESPACE, xml};
use http::HeaderValue;
use http::request::Parts;
use serde_json::{Map, Value, json};
use wire::query::structure;
use wire::{Call, Reply, parameters, reply};

const TARGET: &str = "AmazonSQS.";

/// Lists of the query format have the name of what is in them.
const LISTS: [(&str, &str); 10] = [
    ("AWSAccountId", "AWSAccountIds"),
    ("ActionName", "Actions"),
    ("AttributeName", "AttributeNames"),
    ("ChangeMessageVisibilityBatchRequestEntry", "Entries"),
    ("DeleteMessageBatchRequestEntry", "Entries"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("SendMessageBatchRequestEntry", "Entries"),
    ("TagKey", "TagKeys"),
    ("QueueUrl", "QueueUrls"),
];

/// Maps are lists of entries there; each with what keys are called.
const MAPS: [(&str, &str, &str); 4] = [
    ("Attribute", "Attributes", "Name"),
    ("MessageAttribute", "MessageAttributes", "Name"),
    ("MessageSystemAttribute", "MessageSystemAttributes", "Name"),
    ("Tag", "Tags", "Key"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Json,
    Query,
}

impl Wire {
    pub(super) fn of(parts: &Parts) -> Wire {
        if parts.headers.contains_key("x-amz-target") { Wire::Json } else { Wire::Query }
    }

    /// The operation, and its input.
    pub(super) fn read(self, call: &Call) -> Result<(String, Input), Refused> {
        match self {
            Wire::Json => {
                let target = call.header("x-amz-target").unwrap_or_default();
                let operation = target.strip_prefix(TARGET).ok_or_else(|| Refused::unknown(target))?;
                let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
                let value =
                    serde_json::from_slice(body).map_err(|error| Refused::unread(error.to_string()))?;
                Ok((operation.to_owned(), Input::of(value)?))
            }
            Wire::Query => {
                let mut all = parameters(call.parts.uri.query().unwrap_or_default());
                all.extend(parameters(&String::from_utf8_lossy(&call.body)));
                let action = all.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.clone());
                let action = action.ok_or_else(|| Refused::missing("Action"))?;
                let own = |name: &str| ["Action", "Version", "Expires"].contains(&name);
                all.retain(|(name, _)| !own(name) && !name.starts_with("X-Amz-"));
                let mut value = structure(all).map_err(Refused::unread)?;
                rename(&mut value);
                // Only this one spells it with a small letter.
                if let (true, Some(members)) = (action == "CreateQueue", value.as_object_mut())
                    && let Some(tags) = members.remove("Tags")
                {
                    members.insert("tags".to_owned(), tags);
                }
                Ok((action, Input::of(value)?))
            }
        }
    }

    pub(super) fn answer(self, operation: &str, value: &Value, request_id: &str) -> Reply {
        match self {
            Wire::Json if value.is_null() => reply::raw(200, "application/x-amz-json-1.0", ""),
            Wire::Json => reply::raw(200, "application/x-amz-json-1.0", value.to_string()),
            Wire::Query => reply::raw(200, "text/xml", xml::answer(operation, value, request_id)),
        }
    }

    pub(super) fn refuse(self, refused: &Refused, request_id: &str) -> Reply {
        let Refused { status, code, shape, message } = refused;
        if self == Wire::Query {
            return wire::Fault::new(*status, code, message).xml(XML_NAMESPACE, request_id);
        }
        let document = json!({"__type": format!("com.amazonaws.sqs#{shape}"), "message": message});
        let mut reply = reply::raw(*status, "application/x-amz-json-1.0", document.to_string());
        // The service was a query service once: its clients still know errors by those codes.
        let sender = if *status < 500 { "Sender" } else { "Receiver" };
        if let Ok(value) = HeaderValue::from_str(&format!("{code};{sender}")) {
            reply.headers_mut().insert("x-amzn-query-error", value);
        }
        reply
    }
}

/// Spells the members of the query format as the model does.
fn rename(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::Object(members) => {
            for (flat, name) in LISTS {
                if members.get(flat).is_some_and(Value::is_array)
                    && let Some(list) = members.remove(flat)
                {
                    members.insert(name.to_owned(), list);
                }
            }
            for (flat, name, key) in MAPS {
                if members.get(flat).is_some_and(Value::is_array)
                    && let Some(Value::Array(entries)) = members.remove(flat)
                {
                    members.insert(name.to_owned(), Value::Object(map(entries, key)));
                }
            }
            members.values_mut().for_each(rename);
        }
        _ => {}
    }
}

fn map(entries: Vec<Value>, key: &str) -> Map<String, Value> {
    let entry = |mut entry: Value| {
        let name = entry.get(key)?.as_str()?.to_owned();
        Some((name, entry.get_mut("Value").map(Value::take).unwrap_or_else(|| json!(""))))
    };
    entries.into_iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_become_the_members_of_the_model() {
        let form = "Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&AttributeName.1=All&QueueUrl=q\
                    &SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n\
                    &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String\
                    &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v&Tag.1.Key=k&Tag.1.Value=x";
        let mut value = structure(parameters(form)).expect("a structure");
        rename(&mut value);
        assert_eq!(
            value,
            json!({
                "Attributes": {"DelaySeconds": "5"}, "AttributeNames": ["All"], "QueueUrl": "q", "Tags": {"k": "x"},
                "Entries": [{"Id": "a", "MessageAttributes": {"n": {"DataType": "String", "StringValue": "v"}}}],
            })
        );
    }
}
