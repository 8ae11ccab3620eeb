//! The query format: structures and lists as names with dots, `MetricData.member.1.MetricName=…`, and answers in XML.
//! Pure.

use super::wire::Item;
use serde_json::{Map, Value};
use std::fmt::Write;

/// How deep names may go, and how long a list may be, so that a short name cannot make a long list.
const DEPTH_MAX: usize = 16;
const LIST_MAX: usize = 10_000;

const XMLNS: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// Builds the structure that parameters spell.
pub(super) fn read(parameters: Vec<(String, String)>) -> Result<Value, &'static str> {
    let mut root = Value::Object(Map::new());
    for (name, value) in parameters {
        let words: Vec<&str> = name.split('.').collect();
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
    if let ("member", [number, rest @ ..]) = (*word, rest) {
        let number: usize = number.parse().map_err(|_| "a list's member has no number")?;
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

/// An answer.
pub(super) fn answer(operation: &str, item: &Item, request_id: &str) -> String {
    let mut text = format!("<{operation}Response xmlns=\"{XMLNS}\">");
    if !matches!(item, Item::Structure(members) if members.is_empty()) {
        element(&mut text, &format!("{operation}Result"), item);
    }
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    );
    text
}

fn element(text: &mut String, name: &str, item: &Item) {
    let _ = write!(text, "<{name}>");
    match item {
        Item::Text(value) => text.push_str(&escape(value)),
        Item::Number(number) => {
            let _ = write!(text, "{number}");
        }
        Item::Time(seconds) => {
            let time = jiff::Timestamp::from_second(*seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            text.push_str(&time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        Item::List(items) => items.iter().for_each(|item| element(text, "member", item)),
        Item::Structure(members) => members.iter().for_each(|(name, item)| element(text, name, item)),
        Item::Map(members) => {
            for (key, item) in members {
                let _ = write!(text, "<entry><key>{}</key>", escape(key));
                element(text, "value", item);
                text.push_str("</entry>");
            }
        }
    }
    let _ = write!(text, "</{name}>");
}

/// An error.
pub(super) fn refuse(status: u16, code: &str, message: &str, request_id: &str) -> String {
    let kind = if status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{XMLNS}\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        escape(message)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_become_structures() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let read =
            |pairs: &[(&str, &str)]| read(pairs.iter().map(|(name, value)| pair(name, value)).collect());
        assert_eq!(
            read(&[("A.member.2.Name", "x"), ("A.member.1.Name", "y"), ("B", "1"), ("C.D", "2")]),
            Ok(json!({"A": [{"Name": "y"}, {"Name": "x"}], "B": "1", "C": {"D": "2"}}))
        );
        assert!(read(&[("A.member.999999999", "x")]).is_err());
        assert!(read(&[("A.member.0", "x")]).is_err());
        assert!(read(&[(&"A.".repeat(99), "x")]).is_err());
    }

    #[test]
    fn answers_are_xml() {
        let item = Item::Structure(vec![
            ("Label", Item::Text("a<b".to_owned())),
            ("Times", Item::List(vec![Item::Time(0)])),
            ("Map", Item::Map(vec![("p99".to_owned(), Item::Number(1.5))])),
        ]);
        assert_eq!(
            answer("Get", &item, "8f5"),
            "<GetResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><GetResult><Label>a&lt;b</Label>\
             <Times><member>1970-01-01T00:00:00Z</member></Times><Map><entry><key>p99</key><value>1.5</value></entry></Map>\
             </GetResult><ResponseMetadata><RequestId>8f5</RequestId></ResponseMetadata></GetResponse>"
        );
    }
}
