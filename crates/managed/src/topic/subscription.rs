//! One subscription: where its messages go, and which of them it wants.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Attribute, AttributeValue, Pattern};

/// Who gets what is published to a topic.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Subscription {
    /// Tells it apart from others; has no slash in it.
    pub id: String,
    /// Such as `sqs`.
    pub protocol: String,
    /// Where messages go: an ARN, or an address.
    pub endpoint: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// What the endpoint must say to confirm it; none when it is confirmed.
    pub token: Option<String>,
    /// Whether it was confirmed by somebody who signed.
    pub authenticated: bool,
    /// Whether only somebody who signs can end it.
    pub locked: bool,
    /// Whether messages come without an envelope.
    pub raw: bool,
    /// Which messages are wanted, as a pattern.
    pub filter: Option<String>,
    /// Whether the pattern is about bodies, not attributes.
    pub filters_body: bool,
    /// The ARN of the queue for what cannot be delivered.
    pub dead_letters: Option<String>,
    /// The same, read; whoever keeps the subscription sees to it.
    #[serde(skip)]
    pub pattern: Option<Pattern>,
}

/// What patterns look at in a message.
pub struct Matter<'a> {
    attributes: Value,
    text: &'a str,
    body: OnceCell<Value>,
}

impl Matter<'_> {
    /// Of a message with these attributes.
    pub fn of<'a>(attributes: &BTreeMap<String, Attribute>, text: &'a str) -> Matter<'a> {
        let seen = |(name, one): (&String, &Attribute)| Some((name.clone(), seen(one)?));
        let attributes: Map<String, Value> = attributes.iter().filter_map(seen).collect();
        Matter { attributes: Value::Object(attributes), text, body: OnceCell::new() }
    }
}

/// An attribute as patterns see it: a number, a string, or the list that is written in a `String.Array`. Not bytes.
fn seen(attribute: &Attribute) -> Option<Value> {
    let AttributeValue::Text(text) = &attribute.value else { return None };
    match attribute.data_type.as_str() {
        "String.Array" => serde_json::from_str(text).ok(),
        kind if kind == "Number" || kind.starts_with("Number.") => {
            text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
        }
        _ => Some(Value::String(text.clone())),
    }
}

impl Subscription {
    pub(super) fn read(bytes: &[u8]) -> Option<Subscription> {
        let mut one: Subscription = serde_json::from_slice(bytes).ok()?;
        one.compile();
        Some(one)
    }

    pub(super) fn compile(&mut self) {
        self.pattern = self.filter.as_deref().and_then(|text| Pattern::read(text).ok());
    }

    /// What a second request for the same must agree in.
    pub(super) fn settings(&self) -> (bool, &Option<String>, bool, &Option<String>) {
        (self.raw, &self.filter, self.filters_body, &self.dead_letters)
    }

    /// Whether it is to get a message.
    pub fn wants(&self, matter: &Matter<'_>) -> bool {
        let Some(pattern) = &self.pattern else { return self.filter.is_none() };
        if !self.filters_body {
            return pattern.matches(&matter.attributes);
        }
        let body = matter.body.get_or_init(|| serde_json::from_str(matter.text).unwrap_or_default());
        body.is_object() && pattern.matches(body)
    }
}
