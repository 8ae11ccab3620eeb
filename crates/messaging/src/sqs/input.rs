//! The members of a request, however they came: in the query format numbers are text.

use super::Refused;
use serde_json::{Map, Value};

/// One structure of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Input {
    pub(crate) members: Map<String, Value>,
}

impl Input {
    pub(crate) fn of(value: Value) -> Result<Input, Refused> {
        match value {
            Value::Object(members) => Ok(Input { members }),
            Value::Null => Ok(Input::default()),
            _ => Err(Refused::unread("a structure was expected")),
        }
    }

    fn get(&self, member: &str) -> Option<&Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    /// Refuses members that this platform would have to ignore.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refused> {
        let unknown = |(name, value): &(&String, &Value)| !known.contains(&name.as_str()) && !value.is_null();
        match self.members.iter().find(unknown) {
            Some((name, _)) => {
                Err(Refused::unsupported(format!("The parameter {name} is not supported by dory.")))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn text(&self, member: &str) -> Result<Option<&str>, Refused> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::unread(format!("{member} must be a string"))),
        }
    }

    /// A text that must be there and say something.
    pub(crate) fn required(&self, member: &str) -> Result<&str, Refused> {
        self.text(member)?.filter(|text| !text.is_empty()).ok_or_else(|| Refused::missing(member))
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, member: &str, min: u32, max: u32) -> Result<Option<u32>, Refused> {
        let number = match self.get(member) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        let number = number.ok_or_else(|| Refused::unread(format!("{member} must be a whole number")))?;
        match u32::try_from(number).ok().filter(|number| (min..=max).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let reason = format!("Must be >= {min} and <= {max}, if provided.");
                Err(Refused::value(member, number, &reason))
            }
        }
    }

    /// The texts of a list.
    pub(crate) fn texts(&self, member: &str) -> Result<Vec<&str>, Refused> {
        let text =
            |value| Value::as_str(value).ok_or_else(|| Refused::unread(format!("{member} must be strings")));
        self.list(member)?.iter().map(text).collect()
    }

    fn list(&self, member: &str) -> Result<&[Value], Refused> {
        match self.get(member) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            // How the query format spells an empty one.
            Some(Value::String(text)) if text.is_empty() => Ok(&[]),
            Some(_) => Err(Refused::unread(format!("{member} must be a list"))),
        }
    }

    pub(crate) fn structures(&self, member: &str) -> Result<Vec<Input>, Refused> {
        self.list(member)?.iter().cloned().map(Input::of).collect()
    }

    /// The entries of a map, by their keys.
    pub(crate) fn map(&self, member: &str) -> Result<&Map<String, Value>, Refused> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        match self.get(member) {
            None => Ok(&EMPTY),
            Some(Value::Object(entries)) => Ok(entries),
            Some(_) => Err(Refused::unread(format!("{member} must be a map"))),
        }
    }

    /// The same where all values are texts.
    pub(crate) fn text_map(&self, member: &str) -> Result<Vec<(&str, &str)>, Refused> {
        let pair = |(key, value): (&'_ String, &'_ Value)| match value {
            Value::String(_) => Ok(()),
            _ => Err(Refused::unread(format!("{member} must have texts as values, and {key} is none"))),
        };
        let entries = self.map(member)?;
        entries.iter().try_for_each(pair)?;
        Ok(entries.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect())
    }
}
