//! What requests are read from: forms, in which maps are lists of entries. Also pages of lists.

use super::{Fault, invalid};
use crate::sqs::input::Input;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use wire::query::structure;

/// What a page of a list has.
pub(super) const PAGE: usize = 100;

/// The operation that a form asks for, and its input.
pub(super) fn read(mut all: Vec<(String, String)>) -> Result<(String, Input), Fault> {
    let action = all.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.clone());
    let action = action.ok_or_else(|| Fault::new(400, "MissingAction", "The request has no Action."))?;
    all.retain(|(name, _)| !["Action", "Version"].contains(&name.as_str()) && !name.starts_with("X-Amz-"));
    let mut value = structure(all).map_err(invalid)?;
    maps(&mut value);
    // As SQS calls them.
    if let Some(members) = value.as_object_mut()
        && let Some(entries) = members.remove("PublishBatchRequestEntries")
    {
        members.insert("Entries".to_owned(), entries);
    }
    Ok((action, Input::of(value)?))
}

/// Makes maps of what is written as lists of entries.
fn maps(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(maps),
        Value::Object(members) => {
            if let (1, Some(Value::Array(entries))) = (members.len(), members.get_mut("entry")) {
                let entries = std::mem::take(entries);
                *members = entries.into_iter().filter_map(entry).collect();
            }
            members.values_mut().for_each(maps);
        }
        _ => {}
    }
}

fn entry(mut entry: Value) -> Option<(String, Value)> {
    let key = entry.get("key").or(entry.get("Name"))?.as_str()?.to_owned();
    let value = if entry.get("key").is_some() { "value" } else { "Value" };
    Some((key, entry.get_mut(value).map_or_else(|| json!(""), Value::take)))
}

/// Tags are a list, each with its key and its value.
pub(super) fn tags(input: &Input) -> Result<Vec<(String, String)>, Fault> {
    let tag = |tag: &Input| {
        let value = tag.text("Value")?.unwrap_or_default();
        Ok((tag.required("Key")?.to_owned(), value.to_owned()))
    };
    input.structures("Tags")?.iter().map(tag).collect()
}

/// What the page before ended with.
pub(super) fn after(input: &Input) -> Result<String, Fault> {
    let token = input.text("NextToken")?.unwrap_or_default();
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| invalid("NextToken Reason: It is not a token of this list"))
}

/// A page of a list, given one more than it has when there are more.
pub(super) fn page(member: &str, mut items: Vec<Value>, last: Option<String>) -> Value {
    let mut answer = Map::new();
    if items.len() > PAGE {
        items.truncate(PAGE);
        answer.insert("NextToken".to_owned(), json!(last.map(|last| BASE64_URL_SAFE_NO_PAD.encode(last))));
    }
    answer.insert(member.to_owned(), Value::Array(items));
    Value::Object(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_become_maps() {
        let form = "Action=Publish&Version=2010-03-31&Message=m&MessageAttributes.entry.1.Name=a\
                    &MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=v\
                    &Attributes.entry.1.key=DisplayName&Attributes.entry.1.value=d&Tags.member.1.Key=k&Tags.member.1.Value=x";
        let (action, input) = read(wire::parameters(form)).expect("a form");
        assert_eq!(action, "Publish");
        assert_eq!(
            Value::Object(input.members.clone()),
            json!({
                "Message": "m", "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"}},
                "Attributes": {"DisplayName": "d"}, "Tags": [{"Key": "k", "Value": "x"}],
            })
        );
        assert_eq!(tags(&input).expect("tags"), [("k".to_owned(), "x".to_owned())]);
        assert!(read(Vec::new()).is_err());
    }
}
