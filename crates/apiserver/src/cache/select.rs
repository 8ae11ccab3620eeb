//! Label and field selectors as the cache applies them: to the parts kept beside the bytes, never to parsed objects.

use super::item::Item;
use object::{
    Kind, Status,
    selector::{FieldSelector, LabelSelector},
};
use serde_json::Value;

/// Which objects of a resource a list, watch or deletecollection is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selector {
    /// Reads the two query parameters.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Selector, Status> {
        let labels = LabelSelector::parse(labels)
            .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?;
        Ok(Selector { labels, fields: FieldSelector::parse(kind, fields)? })
    }

    /// Whether every object passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether this version of an object passes.
    pub(crate) fn matches(&self, item: &Item) -> bool {
        self.labels.matches_with(|key| item.labels.get(key).map(String::as_str))
            && self.fields.matches_with(|label| item.field(label))
    }
}

impl Item {
    fn field(&self, label: &str) -> &str {
        match label {
            "metadata.name" => self.name(),
            "metadata.namespace" => self.namespace(),
            _ => self.fields.get(label),
        }
    }
}

/// The values of the kind's selectable fields, one behind the other: an Event has eleven, and as many strings would take as
/// much as the Event.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    kind: &'static Kind,
    text: Box<str>,
    /// Where each value ends.
    ends: Box<[u32]>,
}

impl Fields {
    /// Those in the stored bytes of an object.
    pub(super) fn read(kind: &'static Kind, stored: &[u8]) -> serde_json::Result<Fields> {
        let (mut text, mut ends) = (String::new(), Vec::new());
        if kind.field_labels().next().is_some() {
            let object: Value = serde_json::from_slice(stored)?;
            for field in kind.field_texts(&object) {
                text.push_str(&field);
                // An object has less than 2 MiB.
                ends.push(text.len() as u32);
            }
        }
        Ok(Fields { kind, text: text.into(), ends: ends.into() })
    }

    fn get(&self, label: &str) -> &str {
        let Some(at) = self.kind.field_labels().position(|name| name == label) else { return "" };
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[begin..self.ends[at] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_found_and_one_that_is_not_there_is_empty() {
        let kind = kinds::kinds().iter().find(|kind| kind.plural == "events").expect("a kind of the table");
        let stored =
            br#"{"involvedObject":{"kind":"Pod","name":"w\u00e9b"},"reason":"Started","type":"Normal"}"#;
        let fields = Fields::read(kind, stored).expect("an object");
        let values =
            ["involvedObject.kind", "involvedObject.name", "involvedObject.uid", "reason", "type", "none"]
                .map(|label| fields.get(label));
        assert_eq!(values, ["Pod", "w\u{e9}b", "", "Started", "Normal", ""]);
        let plain =
            kinds::kinds().iter().find(|kind| kind.plural == "configmaps").expect("a kind of the table");
        assert_eq!(Fields::read(plain, b"{}").expect("an object").get("reason"), "");
    }
}
