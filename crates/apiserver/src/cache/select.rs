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
            _ => self.fields.iter().find(|(name, _)| *name == label).map_or("", |(_, value)| value),
        }
    }
}

/// The values of the kind's selectable fields in the stored bytes of an object.
pub(super) fn fields_of(kind: &Kind, stored: &[u8]) -> serde_json::Result<Vec<(&'static str, String)>> {
    if kind.fields.is_empty() {
        return Ok(Vec::new());
    }
    let object: Value = serde_json::from_slice(stored)?;
    Ok(kind.fields.iter().map(|(label, read)| (*label, read(&object).into_owned())).collect())
}
