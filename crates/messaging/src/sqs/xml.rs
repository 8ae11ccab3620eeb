//! Answers of the query format: lists and maps without an element around them, each item under the name of what it is. Pure.

use super::XML_NAMESPACE;
use serde_json::Value;
use wire::query::escape;

/// What items are called, by the member that holds them.
const ITEMS: [(&str, &str); 5] = [
    ("QueueUrls", "QueueUrl"),
    ("queueUrls", "QueueUrl"),
    ("Messages", "Message"),
    ("Failed", "BatchResultErrorEntry"),
    ("Results", "ListMessageMoveTasksResultEntry"),
];

/// What entries of maps are called, and their keys.
const ENTRIES: [(&str, &str, &str); 3] = [
    ("Attributes", "Attribute", "Name"),
    ("MessageAttributes", "MessageAttribute", "Name"),
    ("Tags", "Tag", "Key"),
];

pub(super) fn answer(operation: &str, value: &Value, request_id: &str) -> String {
    let mut text = format!("<{operation}Response xmlns=\"{XML_NAMESPACE}\">");
    if !value.is_null() {
        element(&mut text, &format!("{operation}Result"), value, operation);
    }
    text.push_str(&format!(
        "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ));
    text
}

fn element(text: &mut String, name: &str, value: &Value, operation: &str) {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            let own = format!("{operation}ResultEntry");
            let item = ITEMS.iter().find(|(list, _)| *list == name).map_or(own.as_str(), |(_, item)| item);
            items.iter().for_each(|one| element(text, item, one, operation));
        }
        Value::Object(members) => match ENTRIES.iter().find(|(map, ..)| *map == name) {
            Some((_, entry, key)) => {
                for (member, value) in members {
                    text.push_str(&format!("<{entry}><{key}>{}</{key}>", escape(member)));
                    element(text, "Value", value, operation);
                    text.push_str(&format!("</{entry}>"));
                }
            }
            None => {
                text.push_str(&format!("<{name}>"));
                members.iter().for_each(|(name, value)| element(text, name, value, operation));
                text.push_str(&format!("</{name}>"));
            }
        },
        Value::String(value) => text.push_str(&format!("<{name}>{}</{name}>", escape(value))),
        other => text.push_str(&format!("<{name}>{other}</{name}>")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_maps_are_flat() {
        let value = json!({"Messages": [{"Body": "a<b", "Attributes": {"SenderId": "me"}}]});
        assert_eq!(
            answer("ReceiveMessage", &value, "8f5"),
            "<ReceiveMessageResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><ReceiveMessageResult><Message>\
             <Attribute><Name>SenderId</Name><Value>me</Value></Attribute><Body>a&lt;b</Body></Message>\
             </ReceiveMessageResult><ResponseMetadata><RequestId>8f5</RequestId></ResponseMetadata></ReceiveMessageResponse>"
        );
        let value = json!({"Successful": [{"Id": "x"}], "Failed": []});
        assert!(answer("DeleteMessageBatch", &value, "").contains(
            "<DeleteMessageBatchResult><DeleteMessageBatchResultEntry><Id>x</Id></DeleteMessageBatchResultEntry>"
        ));
    }
}
