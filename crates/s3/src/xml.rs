//! XML as S3 has it: read from requests into a tree, written element by element.

use super::refused::Refused;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use roxmltree::{Document, Node, ParsingOptions};
use wire::query::escape;
use wire::{Reply, reply};

/// Elements, texts and attributes of one document: what ten thousand parts with their checksums need.
const NODES_MAX: u32 = 200_000;

/// Attributes of one element, and texts with as many `=`: those of the longest key are fewer. Each attribute is held against
/// all before it.
const EQUALS_MAX: usize = 1100;

/// Declarations of namespaces in a document: one for each grant of a list of permissions, and some. The time that they take
/// grows with the cube of their number.
const NAMESPACES_MAX: usize = 128;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What is left as it is where keys are encoded as in addresses.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'*');

/// Reads a document whose root has this name.
pub(super) fn read<'t>(text: &'t str, root: &str) -> Result<Document<'t>, Refused> {
    // No value of an attribute has `<` in it, so that all of an element lie between two of them.
    let wide = text.split('<').any(|piece| piece.matches('=').count() > EQUALS_MAX);
    if wide || text.matches("xmlns").count() > NAMESPACES_MAX {
        return Err(Refused::malformed());
    }
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|_| Refused::malformed())?;
    match document.root_element().tag_name().name() == root {
        true => Ok(document),
        false => Err(Refused::malformed()),
    }
}

/// The elements in an element.
pub(super) fn children<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// Those of a name.
pub(super) fn all<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    children(node).filter(move |child| child.tag_name().name() == name)
}

/// The first of a name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    all(node, name).next()
}

/// The text of the first element of a name.
pub(super) fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name).map(|child| child.text().unwrap_or_default())
}

/// The text that must be there.
pub(super) fn required<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, Refused> {
    text(node, name).ok_or_else(Refused::malformed)
}

/// A number, where there is one.
pub(super) fn number<T: std::str::FromStr>(node: Node<'_, '_>, name: &str) -> Result<Option<T>, Refused> {
    text(node, name).map(|text| text.trim().parse().map_err(|_| Refused::malformed())).transpose()
}

/// Refuses elements that are none of these: S3 knows none of them either, or dory does not.
pub(super) fn only(node: Node<'_, '_>, known: &[&str]) -> Result<(), Refused> {
    match children(node).find(|child| !known.contains(&child.tag_name().name())) {
        Some(other) => {
            Err(Refused::unsupported(&format!("{} in {}", other.tag_name().name(), node.tag_name().name())))
        }
        None => Ok(()),
    }
}

/// A document that is being written.
pub(super) struct Writer {
    text: String,
}

impl Writer {
    /// Begins with a root element.
    pub(super) fn new(root: &str) -> Writer {
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
        Writer { text: format!("{head}<{root} xmlns=\"{NAMESPACE}\">") }
    }

    pub(super) fn put(&mut self, name: &str, text: impl AsRef<str>) -> &mut Writer {
        self.text.push_str(&format!("<{name}>{}</{name}>", escape(text.as_ref())));
        self
    }

    pub(super) fn put_some(&mut self, name: &str, text: Option<impl AsRef<str>>) -> &mut Writer {
        if let Some(text) = text {
            self.put(name, text);
        }
        self
    }

    /// An element with what is written inside.
    pub(super) fn inside(&mut self, name: &str, write: impl FnOnce(&mut Writer)) -> &mut Writer {
        self.text.push_str(&format!("<{name}>"));
        write(self);
        self.text.push_str(&format!("</{name}>"));
        self
    }

    /// An element with attributes, written as they are.
    pub(super) fn inside_with(&mut self, name: &str, attributes: &str, write: impl FnOnce(&mut Writer)) {
        self.text.push_str(&format!("<{name} {attributes}>"));
        write(self);
        self.text.push_str(&format!("</{name}>"));
    }

    /// What was written elsewhere.
    pub(super) fn raw(&mut self, text: &str) -> &mut Writer {
        self.text.push_str(text);
        self
    }

    pub(super) fn end(mut self, root: &str) -> Reply {
        self.text.push_str(&format!("</{root}>"));
        reply::raw(200, "application/xml", self.text)
    }
}

/// A time as documents have it: without fractions, as objects have none.
pub(super) fn time(ms: u64) -> String {
    at(ms).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// A time as headers have it.
pub(super) fn http_time(ms: u64) -> String {
    at(ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub(super) fn at(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

/// A key as it stands in an address.
pub(super) fn encode(key: &str) -> String {
    utf8_percent_encode(key, KEY).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_would_take_for_ever_are_not_read() {
        let attributes = |count: usize| (0..count).map(|n| format!(" a{n}='<'")).collect::<String>();
        let deep = |count: usize| (0..count).map(|n| format!("<a xmlns:b{n}='{n}'>")).collect::<String>();
        for text in [
            format!("<T{}/>", attributes(200_000).replace('<', "")),
            // What the bound on attributes rests on.
            format!("<T{}/>", attributes(2)),
            format!("<T>{}{}</T>", deep(5000), "</a>".repeat(5000)),
        ] {
            assert!(read(&text, "T").is_err());
        }
        let many = format!("<T{}>{}</T>", attributes(1000).replace('<', ""), "=".repeat(100));
        assert!(read(&many, "T").is_ok());
        assert!(read(&format!("<T>{}{}</T>", deep(100), "</a>".repeat(100)), "T").is_ok());
    }
}
