//! Messages as functions get them: the document of Lambda's SQS events ("Using Lambda with Amazon SQS", developer guide), and
//! whether a filter lets them through. Pure.

use managed::Pattern;
use managed::{Attribute, AttributeValue, Delivered, md5_of, md5_of_attributes};
use serde_json::{Map, Value, json};

/// Where the messages come from.
pub(super) struct Origin<'a> {
    pub(super) arn: &'a str,
    pub(super) region: &'a str,
}

impl Origin<'_> {
    /// One record.
    pub(super) fn record(&self, message: &Delivered) -> Value {
        // Queues are told apart by the last part of their ARNs.
        let prefix = self.arn.rsplit_once(':').map_or("", |(prefix, _)| prefix);
        let system = message.system(|name| format!("{prefix}:{name}"));
        let system: Map<String, Value> =
            system.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let attributes = message.attributes();
        let mut record = json!({
            "messageId": message.id(),
            "receiptHandle": message.handle(),
            "body": String::from_utf8_lossy(message.body()),
            "attributes": system,
            "messageAttributes": attributes.iter().map(attribute).collect::<Map<String, Value>>(),
            "md5OfBody": md5_of(message.body()),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": self.region,
        });
        if let Some(digest) = md5_of_attributes(attributes) {
            record["md5OfMessageAttributes"] = json!(digest);
        }
        record
    }
}

fn attribute((name, attribute): (&String, &Attribute)) -> (String, Value) {
    let (member, value) = match &attribute.value {
        AttributeValue::Text(text) => ("stringValue", text),
        AttributeValue::Binary(text) => ("binaryValue", text),
    };
    let shown = json!({
        member: value, "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type,
    });
    (name.clone(), shown)
}

/// Whether the function gets a record: one of the filters must match it. A body that is JSON is looked into.
pub(super) fn passes(filters: &[Pattern], record: &Value) -> bool {
    if filters.is_empty() {
        return true;
    }
    let mut event = record.clone();
    if let Some(body) = record["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok()) {
        event["body"] = body;
    }
    filters.iter().any(|filter| filter.matches(&event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_look_into_bodies_that_are_json() {
        let filter = |text: &str| vec![Pattern::read(text).expect("a pattern")];
        let record = |body: &str| json!({"body": body, "messageAttributes": {"k": {"stringValue": "v"}}});
        let inside = filter(r#"{"body": {"n": [1]}}"#);
        assert!(passes(&inside, &record(r#"{"n": 1}"#)));
        assert!(!passes(&inside, &record(r#"{"n": 2}"#)) && !passes(&inside, &record("n = 1")));
        let plain = filter(r#"{"body": [{"prefix": "n"}]}"#);
        assert!(passes(&plain, &record("n = 1")) && !passes(&plain, &record(r#"{"n": 1}"#)));
        assert!(passes(&filter(r#"{"messageAttributes": {"k": {"stringValue": ["v"]}}}"#), &record("x")));
        assert!(passes(&[], &record("x")));
    }
}
