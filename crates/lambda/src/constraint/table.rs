//! The table of constraints, read once. What it says is checked by its tests, so that reading it cannot fail in service.

use super::pattern::Pattern;
use std::collections::HashMap;
use std::sync::LazyLock;

const TEXT: &str = include_str!("lambda.constraints");

/// Where a member of the input is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Body,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) required: bool,
    kind: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub(super) enum Kind {
    Text { min: usize, max: usize, pattern: Option<Pattern> },
    Whole { min: i64, max: i64 },
    Number { min: f64, max: f64 },
    Boolean,
    Blob,
    OneOf(Vec<&'static str>),
    List { min: usize, max: usize, of: &'static str },
    Map { key: &'static str, value: &'static str },
    Structure(Vec<Member>),
}

#[derive(Default)]
pub(super) struct Table {
    operations: HashMap<&'static str, Vec<Member>>,
    kinds: HashMap<&'static str, Kind>,
}

/// The table of the Lambda API.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| read(TEXT));

impl Table {
    pub(super) fn operation(&self, name: &str) -> Option<&[Member]> {
        self.operations.get(name).map(Vec::as_slice)
    }

    pub(super) fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    pub(super) fn kind_of(&self, member: &Member) -> Option<&Kind> {
        self.kind(member.kind)
    }
}

fn read(text: &'static str) -> Table {
    let mut table = Table::default();
    for plain in ["string", "int", "number", "bool", "blob"] {
        table.kinds.extend(kind(plain).map(|kind| (plain, kind)));
    }
    let mut members: Option<(bool, &'static str, Vec<Member>)> = None;
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        if let (Some((_, _, all)), Some(text)) = (&mut members, line.strip_prefix(' ')) {
            all.extend(member(text));
        } else if let Some(name) = line.strip_prefix("op ") {
            members = Some((true, name, Vec::new()));
        } else if let Some((name, what)) = line.strip_prefix("type ").and_then(|rest| rest.split_once(' ')) {
            match what {
                "struct" => members = Some((false, name, Vec::new())),
                other => table.kinds.extend(kind(other).map(|kind| (name, kind))),
            }
        }
        if !lines.peek().is_some_and(|next| next.starts_with(' ')) {
            match members.take() {
                Some((true, name, all)) => drop(table.operations.insert(name, all)),
                Some((false, name, all)) => drop(table.kinds.insert(name, Kind::Structure(all))),
                None => {}
            }
        }
    }
    table
}

/// `/FunctionName! Name`
fn member(text: &'static str) -> Option<Member> {
    let (name, kind) = text.split_once(' ')?;
    let (place, name) = match name.as_bytes().first()? {
        b'/' => (Place::Path, &name[1..]),
        b'?' => (Place::Query, &name[1..]),
        _ => (Place::Body, name),
    };
    let required = name.ends_with('!');
    Some(Member { name: name.trim_end_matches('!'), place, required, kind })
}

/// `string 1..64 [a-z]+`
fn kind(text: &'static str) -> Option<Kind> {
    let mut words = text.splitn(3, ' ');
    let (word, second, third) = (words.next()?, words.next().unwrap_or(".."), words.next());
    let bounds = second.split_once("..");
    Some(match word {
        "string" => {
            let (min, max) = bounds?;
            let pattern = match third {
                Some(source) => Some(Pattern::new(source)?),
                None => None,
            };
            Kind::Text { min: min.parse().unwrap_or(0), max: max.parse().unwrap_or(usize::MAX), pattern }
        }
        "int" => {
            let (min, max) = bounds?;
            Kind::Whole { min: min.parse().unwrap_or(i64::MIN), max: max.parse().unwrap_or(i64::MAX) }
        }
        "number" => {
            let (min, max) = bounds?;
            Kind::Number { min: min.parse().unwrap_or(f64::MIN), max: max.parse().unwrap_or(f64::MAX) }
        }
        "bool" => Kind::Boolean,
        "blob" => Kind::Blob,
        "enum" => Kind::OneOf(text.split(' ').skip(1).collect()),
        "list" => {
            let (min, max) = bounds?;
            Kind::List { min: min.parse().unwrap_or(0), max: max.parse().unwrap_or(usize::MAX), of: third? }
        }
        "map" => Kind::Map { key: second, value: third? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_is_understood() {
        let types = TEXT.lines().filter_map(|line| line.strip_prefix("type ")).count();
        assert_eq!(TABLE.kinds.len(), types + 5, "each type of the table has a meaning, and five are plain");
        let operations = TEXT.lines().filter(|line| line.starts_with("op ")).count();
        assert_eq!(TABLE.operations.len(), operations);
        let known = |name: &str| assert!(TABLE.kind(name).is_some(), "{name} is not in the table");
        let structures = TABLE.kinds.values().filter_map(|kind| match kind {
            Kind::Structure(members) => Some(members),
            Kind::List { of, .. } => (known(of), None).1,
            Kind::Map { key, value } => (known(key), known(value), None).2,
            _ => None,
        });
        structures.chain(TABLE.operations.values()).flatten().for_each(|member| known(member.kind));
        let members = TEXT.lines().filter(|line| line.starts_with(' ')).count();
        let read = TABLE.operations.values().map(Vec::len).sum::<usize>();
        let inside = TABLE.kinds.values().filter_map(|kind| match kind {
            Kind::Structure(members) => Some(members.len()),
            _ => None,
        });
        assert_eq!(read + inside.sum::<usize>(), members);
    }
}
