//! The query protocol, both ways: a request is a form (`Tags.member.1.Key=…`), an answer is XML around a JSON value.
//! Knows no service; IAM, STS and SNS speak it.

use crate::reply;
use crate::{Call, Fault, Reply, parameters};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How deep names may go, and how long a list may be, so that a short name cannot make a long list.
const DEPTH_MAX: usize = 16;
const LIST_MAX: usize = 10_000;

/// The parameters of a request, or of one member of a list in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads what stands in the query string and in the body.
    pub fn read(call: &Call) -> Form {
        let mut all = parameters(call.parts.uri.query().unwrap_or_default());
        all.extend(parameters(&String::from_utf8_lossy(&call.body)));
        all.retain(|(name, _)| !name.starts_with("X-Amz-"));
        Form(all)
    }

    /// The parameters that a text spells.
    pub fn of(query: &str) -> Form {
        Form(parameters(query))
    }

    /// A parameter; an empty one counts.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that the model requires.
    pub fn required(&self, name: &str) -> Result<&str, Fault> {
        self.text(name).ok_or_else(|| invalid(name, "null", "Member must not be null"))
    }

    /// A whole number between two bounds.
    pub fn number(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number: i64 =
            text.parse().map_err(|_| Fault::malformed_input(format!("{name} must be a whole number")))?;
        let constraint = match number {
            number if number < min => format!("Member must have value greater than or equal to {min}"),
            number if number > max => format!("Member must have value less than or equal to {max}"),
            number => return Ok(Some(number)),
        };
        Err(invalid(name, &format!("'{number}'"), &constraint))
    }

    /// `true` or `false`; false when it is not there.
    pub fn boolean(&self, name: &str) -> Result<bool, Fault> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Fault::malformed_input(format!("{name} must be true or false"))),
        }
    }

    /// The members of a list, in order. A member that is no structure has its value under the empty name.
    pub fn list(&self, name: &str) -> Vec<Form> {
        let mut members: BTreeMap<usize, Form> = BTreeMap::new();
        for (key, value) in &self.0 {
            let rest = key.strip_prefix(name).and_then(|rest| rest.strip_prefix(".member."));
            let Some(rest) = rest else { continue };
            let (index, field) = rest.split_once('.').unwrap_or((rest, ""));
            let Ok(index) = index.parse() else { continue };
            members.entry(index).or_default().0.push((field.to_owned(), value.clone()));
        }
        members.into_values().collect()
    }

    /// The members of a list of strings.
    pub fn strings(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(|member| member.text("")).map(str::to_owned).collect()
    }

    /// Refuses what the operation does not read: nothing is silently dropped.
    pub fn only(&self, known: &[&str]) -> Result<(), Fault> {
        let member = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
        let mut names = self.0.iter().map(|(key, _)| member(key));
        match names
            .find(|name| !["Action", "Version"].contains(&name.as_str()) && !known.contains(&name.as_str()))
        {
            Some(name) => Err(Fault::malformed_input(format!("{name} is not supported by dory."))),
            None => Ok(()),
        }
    }
}

/// The structure that parameters spell: words between dots are members, numbers are places in lists. What is in a list may be
/// called `member` or not, as the service has it.
pub fn structure(parameters: Vec<(String, String)>) -> Result<Value, &'static str> {
    let mut root = Value::Object(Map::new());
    for (name, value) in parameters {
        let words: Vec<&str> = name.split('.').filter(|word| *word != "member").collect();
        if words.len() > DEPTH_MAX {
            return Err("a parameter is nested too deep");
        }
        set(&mut root, &words, value)?;
    }
    Ok(root)
}

fn set(at: &mut Value, words: &[&str], value: String) -> Result<(), &'static str> {
    let [word, rest @ ..] = words else {
        *at = Value::String(value);
        return Ok(());
    };
    if let Ok(number) = word.parse::<usize>() {
        if !(1..=LIST_MAX).contains(&number) {
            return Err("a list is too long");
        }
        if !at.is_array() {
            *at = Value::Array(Vec::new());
        }
        let Value::Array(items) = at else { return Ok(()) };
        if items.len() < number {
            items.resize(number, Value::Null);
        }
        return set(&mut items[number - 1], rest, value);
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    let Value::Object(members) = at else { return Ok(()) };
    set(members.entry((*word).to_owned()).or_insert(Value::Null), rest, value)
}

/// A map as answers have it: entries with keys and values.
pub fn map(entries: impl Iterator<Item = (String, String)>) -> Value {
    let entry = |(key, value): (String, String)| serde_json::json!({ "key": key, "value": value });
    serde_json::json!({ "entry": entries.map(entry).collect::<Vec<_>>() })
}

/// A constraint of the model is broken; as the query services say it.
pub fn invalid(member: &str, value: &str, constraint: &str) -> Fault {
    let mut letters = member.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase()).into_iter();
    let member: String = first.chain(letters).collect();
    Fault { code: "ValidationError", ..Fault::validation(&member, value, constraint) }
}

/// An answer: `result` is written member by member, lists as `<member>`; null means that there is nothing to say.
pub fn answer(namespace: &str, action: &str, result: &Value, request_id: &str) -> Reply {
    let mut text = format!("<{action}Response xmlns=\"{namespace}\">");
    if !result.is_null() {
        element(&mut text, &format!("{action}Result"), result);
    }
    text.push_str(&format!(
        "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    ));
    reply::raw(200, "text/xml", text)
}

fn element(text: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    // What is in a map stands under this name, without an element around all of it.
    if let ("entry", Value::Array(entries)) = (name, value) {
        return entries.iter().for_each(|entry| element(text, name, entry));
    }
    text.push_str(&format!("<{name}>"));
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| element(text, name, value)),
        Value::Array(items) => items.iter().for_each(|item| element(text, "member", item)),
        Value::String(string) => text.push_str(&escape(string)),
        other => text.push_str(&other.to_string()),
    }
    text.push_str(&format!("</{name}>"));
}

/// Text as XML can hold it; characters that it cannot hold at all become the replacement character.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // A parser would turn a bare carriage return into a line feed.
            '\r' => escaped.push_str("&#xD;"),
            '\t' | '\n' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_have_lists_of_structures() {
        let form = Form(parameters(
            "Action=TagRole&RoleName=a%20b&Tags.member.10.Key=z&Tags.member.2.Key=k&Tags.member.2.Value=&Names.member.1=x",
        ));
        assert_eq!(form.text("RoleName"), Some("a b"));
        let tags = form.list("Tags");
        assert_eq!(tags.iter().map(|tag| tag.text("Key")).collect::<Vec<_>>(), [Some("k"), Some("z")]);
        assert_eq!(tags[0].text("Value"), Some(""));
        assert_eq!(form.strings("Names"), ["x"]);
        assert!(form.only(&["RoleName", "Tags", "Names"]).is_ok());
        assert!(
            form.only(&["RoleName", "Tags"])
                .expect_err("refused")
                .message
                .starts_with("Names is not supported")
        );
        assert_eq!(form.required("PolicyName").expect_err("missing").code, "ValidationError");
    }

    #[test]
    fn parameters_become_structures() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let read =
            |pairs: &[(&str, &str)]| structure(pairs.iter().map(|(name, value)| pair(name, value)).collect());
        assert_eq!(
            read(&[
                ("A.member.2.Name", "x"),
                ("A.member.1.Name", "y"),
                ("B", "1"),
                ("C.D", "2"),
                ("E.1", "3")
            ]),
            Ok(json!({"A": [{"Name": "y"}, {"Name": "x"}], "B": "1", "C": {"D": "2"}, "E": ["3"]}))
        );
        assert!(read(&[("A.member.999999999", "x")]).is_err());
        assert!(read(&[("A.member.0", "x")]).is_err());
        assert!(read(&[(&"A.".repeat(99), "x")]).is_err());
    }

    #[test]
    fn values_become_xml() {
        let mut text = String::new();
        let inner = map([("k".to_owned(), "v".to_owned())].into_iter());
        let value = json!({"Names": ["a<b", "c"], "None": null, "Truth": true, "Inner": inner});
        element(&mut text, "R", &value);
        assert_eq!(
            text,
            "<R><Inner><entry><key>k</key><value>v</value></entry></Inner><Names><member>a&lt;b</member><member>c</member></Names><Truth>true</Truth></R>"
        );
    }
}
