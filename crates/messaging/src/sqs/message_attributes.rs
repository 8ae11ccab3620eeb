//! Attributes of messages as clients write and read them: a type, and a text or bytes in base64.

use super::Refused;
use super::input::Input;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use managed::{Attribute, AttributeValue};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) const ATTRIBUTES_MAX: usize = 10;
const NAME_MAX: usize = 256;
const TYPE_MAX: usize = 256;
/// The one that senders may set of what the platform knows of a message.
const TRACE: &str = "AWSTraceHeader";

/// The attributes of a message that is sent.
pub(super) fn read(input: &Input) -> Result<BTreeMap<String, Attribute>, Refused> {
    let count = input.map("MessageAttributes")?.len();
    if count > ATTRIBUTES_MAX {
        return Err(Refused::parameter(format!(
            "Number of message attributes [{count}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )));
    }
    read_any(input)
}

/// The same, however many there are: a topic takes more than a queue.
pub(crate) fn read_any(input: &Input) -> Result<BTreeMap<String, Attribute>, Refused> {
    let entries = input.map("MessageAttributes")?;
    let read = |(name, value): (&String, &Value)| {
        check_name(name)?;
        Ok((name.clone(), attribute(name, value)?))
    };
    entries.iter().map(read).collect()
}

/// The trace header that the sender wrote down, as an attribute.
pub(super) fn read_system(input: &Input) -> Result<BTreeMap<String, Attribute>, Refused> {
    let entries = input.map("MessageSystemAttributes")?;
    let read = |(name, value): (&String, &Value)| {
        if name != TRACE {
            return Err(Refused::parameter(format!(
                "Message system attribute name '{name}' is invalid. Reason: Only {TRACE} can be set."
            )));
        }
        let attribute = attribute(name, value)?;
        match (&attribute.value, attribute.data_type.as_str()) {
            (AttributeValue::Text(_), "String") => Ok((name.clone(), attribute)),
            _ => Err(invalid(name, "its type must be String")),
        }
    };
    entries.iter().map(read).collect()
}

/// The text of the trace header among them.
pub(super) fn trace(system: &BTreeMap<String, Attribute>) -> Option<String> {
    match &system.get(TRACE)?.value {
        AttributeValue::Text(text) => Some(text.clone()),
        AttributeValue::Binary(_) => None,
    }
}

fn invalid(name: &str, why: &str) -> Refused {
    Refused::parameter(format!("The message attribute '{name}' is invalid: {why}."))
}

fn check_name(name: &str) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let lower = name.to_ascii_lowercase();
    let reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    match name.is_empty() || name.len() > NAME_MAX || reserved || dots || !name.bytes().all(plain) {
        true => Err(invalid(
            name,
            "its name can have A-Z, a-z, 0-9, underscores, hyphens and single periods inside, and not begin with AWS. or Amazon.",
        )),
        false => Ok(()),
    }
}

fn attribute(name: &str, value: &Value) -> Result<Attribute, Refused> {
    let given = Input::of(value.clone())?;
    for member in ["StringListValues", "BinaryListValues"] {
        if given.members.get(member).and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            return Err(Refused::unsupported(format!(
                "Message attribute list values in SendMessage operation are not supported ({member})."
            )));
        }
    }
    let data_type = given.text("DataType")?.filter(|kind| !kind.is_empty());
    let data_type = data_type.ok_or_else(|| invalid(name, "it must have a DataType"))?;
    let kind = data_type.split('.').next().unwrap_or_default();
    if data_type.len() > TYPE_MAX {
        return Err(invalid(name, "its DataType is too long"));
    }
    let (text, bytes) = (given.text("StringValue")?, given.text("BinaryValue")?);
    let value = match (kind, text, bytes) {
        ("String" | "Number", Some(text), None) if !text.is_empty() => {
            if !text.chars().all(super::send::allowed) {
                return Err(Refused::contents());
            }
            if kind == "Number" && !text.trim().parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(invalid(name, "its value is no number"));
            }
            AttributeValue::Text(text.to_owned())
        }
        ("Binary", None, Some(bytes)) if !bytes.is_empty() => {
            let decoded = BASE64_STANDARD.decode(bytes);
            let decoded = decoded.map_err(|_| invalid(name, "its BinaryValue is not in base64"))?;
            AttributeValue::Binary(BASE64_STANDARD.encode(decoded))
        }
        ("String" | "Number" | "Binary", ..) => {
            return Err(invalid(name, "it must have one value, not empty, of its type"));
        }
        _ => return Err(invalid(name, "its type must start with String, Number or Binary")),
    };
    Ok(Attribute { data_type: data_type.to_owned(), value })
}

/// Those of a message's attributes that a receiver wants: all, by name, or by the beginning of the name.
pub(super) fn wanted(
    attributes: &BTreeMap<String, Attribute>,
    names: &[&str],
) -> BTreeMap<String, Attribute> {
    let wants = |name: &str| {
        names.iter().any(|wanted| match wanted.strip_suffix(".*") {
            Some(prefix) => prefix.is_empty() || name.starts_with(&format!("{prefix}.")),
            None => *wanted == "All" || *wanted == name,
        })
    };
    attributes.iter().filter(|(name, _)| wants(name)).map(|(name, one)| (name.clone(), one.clone())).collect()
}

pub(super) fn shown(attributes: &BTreeMap<String, Attribute>) -> Map<String, Value> {
    let one = |(name, attribute): (&String, &Attribute)| {
        let (member, value) = match &attribute.value {
            AttributeValue::Text(text) => ("StringValue", text),
            AttributeValue::Binary(text) => ("BinaryValue", text),
        };
        (name.clone(), json!({ member: value, "DataType": attribute.data_type }))
    };
    attributes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: Value) -> Result<BTreeMap<String, Attribute>, Refused> {
        read(&Input::of(json!({ "MessageAttributes": value })).expect("a structure"))
    }

    #[test]
    fn attributes_have_a_type_and_a_value_of_it() {
        let text = json!({"DataType": "Number.int", "StringValue": "7"});
        let bytes = json!({"DataType": "Binary", "BinaryValue": "AP8="});
        let read = given(json!({"a.b": text, "b": bytes})).expect("attributes");
        assert_eq!(Value::Object(shown(&read)), json!({"a.b": text, "b": bytes}));
        for (name, value) in [
            ("a", json!({"StringValue": "x"})),
            ("a", json!({"DataType": "Text", "StringValue": "x"})),
            ("a", json!({"DataType": "Number", "StringValue": "x"})),
            ("a", json!({"DataType": "String", "StringValue": ""})),
            ("a", json!({"DataType": "Binary", "BinaryValue": "!"})),
            ("AWS.a", json!({"DataType": "String", "StringValue": "x"})),
            ("a..b", json!({"DataType": "String", "StringValue": "x"})),
            ("a", json!({"DataType": "String", "StringListValues": ["x"]})),
        ] {
            assert!(given(json!({ name: value })).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn receivers_name_what_they_want() {
        let one = json!({"DataType": "String", "StringValue": "x"});
        let all = given(json!({"a.b": one, "a.c": one, "d": one})).expect("attributes");
        let names = |wanted_names: &[&str]| wanted(&all, wanted_names).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&["All"]), ["a.b", "a.c", "d"]);
        assert_eq!(names(&[".*"]), ["a.b", "a.c", "d"]);
        assert_eq!(names(&["a.*"]), ["a.b", "a.c"]);
        assert_eq!(names(&["d", "e"]), ["d"]);
        assert!(names(&[]).is_empty());
    }
}
