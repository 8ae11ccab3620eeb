//! Attributes of messages, and the MD5 by which clients check what they are told was sent ("Calculating the MD5 message
//! digest for message attributes", SQS developer guide). Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Attributes by their names.
pub(super) type Attributes = BTreeMap<String, Attribute>;

/// One attribute of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, with what the sender may have added after a dot.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Its value.
    #[serde(flatten)]
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeValue {
    /// Of a string or a number.
    Text(String),
    /// Of bytes, in base64, as they travel.
    Binary(String),
}

impl Attribute {
    /// What it adds to the size of a message.
    pub fn size(&self, name: &str) -> usize {
        name.len() + self.data_type.len() + self.bytes().len()
    }

    fn bytes(&self) -> Vec<u8> {
        match &self.value {
            AttributeValue::Text(text) => text.as_bytes().to_vec(),
            // Checked where it came in.
            AttributeValue::Binary(text) => BASE64_STANDARD.decode(text).unwrap_or_default(),
        }
    }
}

/// In hexadecimal.
pub fn md5_of(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In hexadecimal; nothing when there are no attributes.
pub fn md5_of_attributes(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    // The names in order, each with its type, a byte that says which kind of value follows, and the value.
    let mut all = Vec::new();
    for (name, attribute) in attributes {
        put(&mut all, name.as_bytes());
        put(&mut all, attribute.data_type.as_bytes());
        all.push(match attribute.value {
            AttributeValue::Text(_) => 1,
            AttributeValue::Binary(_) => 2,
        });
        put(&mut all, &attribute.bytes());
    }
    Some(md5_of(&all))
}

/// With its length before it.
fn put(all: &mut Vec<u8>, part: &[u8]) {
    all.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    all.extend(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(data_type: &str, value: AttributeValue) -> Attribute {
        Attribute { data_type: data_type.to_owned(), value }
    }

    #[test]
    fn digests_are_those_that_clients_compute() {
        assert_eq!(md5_of(b"hello"), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(md5_of_attributes(&BTreeMap::new()), None);
        let text = attribute("String", AttributeValue::Text("myvalue".to_owned()));
        let one = BTreeMap::from([("myname".to_owned(), text)]);
        // 6 myname 6 String 1 7 myvalue, by hand.
        let by_hand = b"\0\0\0\x06myname\0\0\0\x06String\x01\0\0\0\x07myvalue";
        assert_eq!(md5_of_attributes(&one), Some(md5_of(by_hand)));
        let bytes = attribute("Binary.png", AttributeValue::Binary(BASE64_STANDARD.encode([0, 255])));
        let other = BTreeMap::from([("b".to_owned(), bytes.clone())]);
        let by_hand = b"\0\0\0\x01b\0\0\0\x0aBinary.png\x02\0\0\0\x02\0\xff";
        assert_eq!(md5_of_attributes(&other), Some(md5_of(by_hand)));
        assert_eq!(bytes.size("b"), 1 + 10 + 2);
    }

    #[test]
    fn attributes_survive_the_store() {
        let bytes = attribute("Binary", AttributeValue::Binary("AP8=".to_owned()));
        let text = serde_json::to_string(&bytes).expect("JSON");
        assert_eq!(text, r#"{"type":"Binary","binary":"AP8="}"#);
        assert_eq!(serde_json::from_str::<Attribute>(&text).expect("an attribute"), bytes);
    }
}
