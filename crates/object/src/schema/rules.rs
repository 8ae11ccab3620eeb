//! The rules of a structural schema for one value, beyond its type.

use super::node::Node;
use super::value_format::Format;
use crate::json::{items, text};
use regex::Regex;
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Memory that one pattern may take when it is made ready; the regex crate's own limit is 10 MiB, and a definition may
/// hold hundreds of them.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Memory that a pattern may take beside that while it matches, and keeps afterwards.
const PATTERN_CACHE_MAX: usize = 256 << 10;

/// A regular expression that is made ready when it is first used: most never are.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) text: Box<str>,
    ready: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Whether some part of the text matches; a pattern that cannot be made ready (validation refuses them) matches none.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let ready = self.ready.get_or_init(|| compile(&self.text).ok());
        ready.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// Reads a pattern; the error says what is wrong with it.
pub fn compile(text: &str) -> Result<Regex, String> {
    let built = regex::RegexBuilder::new(&from_re2(text))
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_CACHE_MAX)
        .build();
    built.map_err(|error| error.to_string().lines().last().unwrap_or("it cannot be read").trim().to_owned())
}

/// A pattern of RE2, as Go reads it, in the words of the regex crate: Perl's classes are ASCII, and inside brackets a
/// bracket, `&&`, `--` and `~~` are themselves.
fn from_re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let (mut in_class, mut class_start) = (false, 0);
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some('b') if !in_class => out.push_str("(?-u:\\b)"),
                Some('z') if !in_class => out.push_str("\\z"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                (in_class, class_start) = (true, at);
                out.push('[');
            }
            '[' if !pattern[at..].starts_with("[:") => out.push_str("\\["),
            '[' => {
                let name = pattern[at..].find(":]").map_or(1, |end| end + 2);
                out.push_str(&pattern[at..at + name]);
                while chars.next_if(|(next, _)| *next < at + name).is_some() {}
            }
            // First in its class, a closing bracket is itself.
            ']' if in_class && matches!(&pattern[class_start..at], "[" | "[^") => out.push_str("\\]"),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            '-' if in_class && pattern[..at].ends_with('-') => out.push_str("\\-"),
            _ => out.push(c),
        }
    }
    out
}

/// The patterns of one definition, each once.
#[derive(Debug, Default)]
pub struct Patterns(BTreeMap<String, Arc<Pattern>>);

impl Patterns {
    fn get(&mut self, text: &str) -> Arc<Pattern> {
        let make = || Arc::new(Pattern { text: text.into(), ready: OnceLock::new() });
        self.0.entry(text.to_owned()).or_insert_with(make).clone()
    }
}

/// A bound of a number.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) value: Number,
    pub(crate) exclusive: bool,
}

/// What is demanded of a value.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) required: Vec<Box<str>>,
    pub(crate) allowed: Vec<Value>,
    pub(crate) pattern: Option<Arc<Pattern>>,
    pub(crate) format: Option<Format>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<Number>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// The keys that make rules.
const KEYS: [&str; 17] = [
    "required",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
];

impl Rules {
    /// The rules of a schema, when it has some.
    pub(crate) fn read(schema: &Value, patterns: &mut Patterns) -> Option<Rules> {
        let schema = schema.as_object().filter(|own| KEYS.iter().any(|key| own.contains_key(*key)))?;
        let schema = &Value::Object(schema.clone());
        let number = |key: &str| schema[key].as_number().cloned();
        let count = |key: &str| schema[key].as_u64();
        let bound = |key: &str, exclusive: &str| {
            number(key).map(|value| Bound { value, exclusive: schema[exclusive] == true })
        };
        let mut nodes = |key: &str| -> Vec<Node> {
            items(&schema[key]).iter().map(|one| Node::read(one, patterns)).collect()
        };
        let (all_of, any_of, one_of) = (nodes("allOf"), nodes("anyOf"), nodes("oneOf"));
        let not = schema["not"].is_object().then(|| Box::new(Node::read(&schema["not"], patterns)));
        Some(Rules {
            required: items(&schema["required"]).iter().map(|name| text(name).into()).collect(),
            allowed: items(&schema["enum"]).to_vec(),
            pattern: schema["pattern"].as_str().filter(|p| !p.is_empty()).map(|p| patterns.get(p)),
            format: Format::parse(text(&schema["format"])),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            all_of,
            any_of,
            one_of,
            not,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, good, bad) in [
            (r"^\d+$", "123", "12a"),
            (r"^[\w.-]+$", "a_b.c-d", "a b"),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", "-a"),
            (r"^[[:alpha:]]+$", "ab", "a1"),
            (r"^[[\]]$", "[", "a"),
            (r"^[]a]$", "]", "b"),
            (r"^[^/]+\S$", "ab", "a "),
            (r"^.{2}$", "\u{e9}\u{e9}", "abc"),
        ] {
            let regex = compile(pattern).expect(pattern);
            assert!(regex.is_match(good) && !regex.is_match(bad), "{pattern}");
        }
        assert!(compile("(a").is_err());
        assert!(compile("(?=a)").is_err(), "RE2 has no look-around either");
    }
}
