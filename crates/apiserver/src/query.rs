//! The query string: options of verbs, as typed getters. Never decides what an option means for a verb.

use object::{FieldValidation, Status};
use percent_encoding::percent_decode_str;

/// The decoded parameters of one request, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Query {
        let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
        let pairs = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
        Query { pairs: pairs.map(|(key, value)| (decode(key), decode(value))).collect() }
    }

    /// The value of a parameter; empty when it is not given.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.pairs.iter().find(|(own, _)| own == key).map_or("", |(_, value)| value)
    }

    /// Whether a parameter is given, with or without a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(own, _)| own == key)
    }

    /// A boolean as upstream reads it: present, and neither `0` nor `false`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.has(key) && !matches!(self.get(key), "0" | "false")
    }

    /// A whole number; 400 when it is none.
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Status> {
        match self.get(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("invalid value {text:?} of {key}: a whole number is expected"))
            }),
        }
    }

    /// Whether the write is to be tried but not kept.
    pub(crate) fn dry_run(&self) -> Result<bool, Status> {
        let mut values =
            self.pairs.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str());
        match values.find(|value| !matches!(*value, "" | "All")) {
            Some(other) => Err(Status::bad_request(format!(
                "dryRun: Unsupported value: \"{other}\": supported values: \"All\""
            ))),
            None => Ok(self.get("dryRun") == "All"),
        }
    }

    /// What to do with unknown fields.
    pub(crate) fn field_validation(&self) -> Result<FieldValidation, Status> {
        FieldValidation::parse(self.get("fieldValidation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse(Some("labelSelector=a%3Db%2Cc+in+(d)&watch=1&force=false&pretty"));
        assert_eq!(query.get("labelSelector"), "a=b,c in (d)");
        assert!(query.flag("watch") && query.flag("pretty") && !query.flag("force") && !query.flag("limit"));
        assert!(query.number("labelSelector").is_err());
        assert!(Query::parse(Some("dryRun=Some")).dry_run().is_err());
        assert!(Query::parse(Some("dryRun=All")).dry_run().expect("known value"));
    }
}
