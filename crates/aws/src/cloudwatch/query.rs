//! The query format's answers in XML. Pure.

use super::wire::Item;
use std::fmt::Write;

const XMLNS: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

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
