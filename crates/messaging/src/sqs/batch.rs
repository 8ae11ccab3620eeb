//! What all batches have in common: entries with ids, each of which succeeds or fails by itself.

use super::input::Input;
use super::{Answer, Refused};
use serde_json::{Value, json};

const ENTRIES_MAX: usize = 10;
const ID_MAX: usize = 80;

/// The entries of a request, if it is a batch at all; `entry` is what errors call one.
pub(crate) fn entries(input: &Input, entry: &str, members: &[&str]) -> Result<Vec<Input>, Refused> {
    let entries = input.structures("Entries")?;
    if entries.is_empty() {
        return Err(Refused::empty_batch(entry));
    }
    if entries.len() > ENTRIES_MAX {
        return Err(Refused::too_many(entries.len(), ENTRIES_MAX));
    }
    let plain = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let mut seen: Vec<&str> = Vec::new();
    for one in &entries {
        one.only(members)?;
        let id = one.required("Id")?;
        if id.len() > ID_MAX || !plain(id) {
            return Err(Refused::batch_id());
        }
        if seen.contains(&id) {
            return Err(Refused::repeated_id(id));
        }
        seen.push(id);
    }
    Ok(entries)
}

/// The answer, by entry: what is told of those that succeeded, beside their ids.
pub(crate) fn answer(entries: &[Input], results: Vec<Answer>) -> Answer {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (entry, result) in entries.iter().zip(results) {
        let id = entry.required("Id")?;
        match result {
            Ok(mut value) => {
                if !value.is_object() {
                    value = json!({});
                }
                value["Id"] = json!(id);
                successful.push(value);
            }
            Err(refused) => failed.push(json!({
                "Id": id,
                "SenderFault": refused.status < 500,
                "Code": refused.code,
                "Message": refused.message,
            })),
        }
    }
    let mut answer = json!({});
    // What is empty is not there, as on AWS.
    for (member, list) in [("Successful", successful), ("Failed", failed)] {
        if !list.is_empty() {
            answer[member] = Value::Array(list);
        }
    }
    Ok(answer)
}
