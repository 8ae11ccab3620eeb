//! What a function says about its batch ("Implementing partial batch responses", developer guide). Pure.

use serde_json::Value;
use std::collections::HashSet;

/// What failed of a batch that was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Everything: the answer cannot be understood.
    All,
    /// These messages; none is complete success.
    These(HashSet<String>),
}

/// Reads `{"batchItemFailures": [{"itemIdentifier": ID}]}`. Nothing and null are complete success; what names no message of
/// the batch is a failure of all of it.
pub(super) fn failed(answer: &[u8], known: &HashSet<&str>) -> Failed {
    let none = || Failed::These(HashSet::new());
    if answer.is_empty() {
        return none();
    }
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return Failed::All };
    let failures = match &answer {
        Value::Null => return none(),
        Value::Object(members) => members.get("batchItemFailures").unwrap_or(&Value::Null),
        // Functions answer what they like to those who do not ask.
        _ => return none(),
    };
    match failures {
        Value::Null => none(),
        Value::Array(items) => {
            let id = |item: &Value| {
                item["itemIdentifier"].as_str().filter(|id| known.contains(id)).map(str::to_owned)
            };
            items.iter().map(id).collect::<Option<_>>().map_or(Failed::All, Failed::These)
        }
        _ => Failed::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_name_what_failed() {
        let known = HashSet::from(["a", "b"]);
        let of = |answer: &str| failed(answer.as_bytes(), &known);
        let these = |ids: &[&str]| Failed::These(ids.iter().map(|id| (*id).to_owned()).collect());
        for answer in ["", "null", "{}", r#"{"batchItemFailures": []}"#, r#"{"batchItemFailures": null}"#] {
            assert_eq!(of(answer), these(&[]), "{answer}");
        }
        assert_eq!(of(r#"{"batchItemFailures": [{"itemIdentifier": "b"}]}"#), these(&["b"]));
        for answer in [
            "{",
            r#"{"batchItemFailures": 1}"#,
            r#"{"batchItemFailures": [{}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": "c"}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#,
        ] {
            assert_eq!(of(answer), Failed::All, "{answer}");
        }
    }
}
