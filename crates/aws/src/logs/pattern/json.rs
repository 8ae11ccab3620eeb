//! Patterns for JSON events: `{ ($.level = "ERROR" || $.code >= 500) && $.user.id != "*test" }`. Pure.

use super::condition::{Condition, Reader, Test};
use serde_json::Value;

/// What ends a bare value.
const ENDS: &str = "()&|";

/// The most `*` of one property selector and of one pattern, as on AWS.
const WILDCARDS_MAX: usize = 1;
const PATTERN_WILDCARDS_MAX: usize = 3;

/// The way to a property.
pub(in super::super) type Path = Vec<Step>;

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Step {
    Member(String),
    Element(usize),
    /// `*`: any of them.
    Any,
}

/// Whether an event is one that is looked for.
pub(super) fn holds(condition: &Condition<Path>, event: &Value) -> bool {
    condition.holds(&|path, test| {
        let mut found = Vec::new();
        select(event, path, &mut found);
        match test {
            Test::NotExists => found.is_empty(),
            test => found.into_iter().any(|value| of_value(test, value)),
        }
    })
}

/// Comparisons are of strings and numbers alone: arrays and objects match none, and true and false are asked for with IS.
fn of_value(test: &Test, value: &Value) -> bool {
    match (test, value) {
        (Test::IsNull, value) => value.is_null(),
        (Test::Is(wanted), value) => value.as_bool() == Some(*wanted),
        (test, Value::String(text)) => test.holds(text),
        (test, Value::Number(number)) => test.holds(&number.to_string()),
        _ => false,
    }
}

fn select<'a>(value: &'a Value, path: &[Step], found: &mut Vec<&'a Value>) {
    let Some((step, rest)) = path.split_first() else { return found.push(value) };
    match (step, value) {
        (Step::Member(name), Value::Object(members)) => {
            if let Some(inner) = members.get(name) {
                select(inner, rest, found);
            }
        }
        (Step::Element(index), Value::Array(items)) => {
            if let Some(inner) = items.get(*index) {
                select(inner, rest, found);
            }
        }
        (Step::Any, Value::Array(items)) => items.iter().for_each(|inner| select(inner, rest, found)),
        (Step::Any, Value::Object(members)) => members.values().for_each(|inner| select(inner, rest, found)),
        _ => {}
    }
}

/// Reads `{ … }`.
pub(super) fn read(text: &str) -> Result<Condition<Path>, String> {
    let inner = text.strip_prefix('{').and_then(|text| text.trim_end().strip_suffix('}'));
    let inner = inner.ok_or("a JSON pattern ends with }")?;
    let mut reader = Reader::new(inner);
    let condition = reader.any_of(&|reader| Ok((path(reader)?, test(reader)?)))?;
    if reader.peek().is_some() {
        return Err(format!("what follows is not understood: {}", reader.rest));
    }
    match wildcards(&condition) <= PATTERN_WILDCARDS_MAX {
        true => Ok(condition),
        false => Err(format!("a pattern has at most {PATTERN_WILDCARDS_MAX} wildcard selectors")),
    }
}

fn wildcards(condition: &Condition<Path>) -> usize {
    match condition {
        Condition::And(a, b) | Condition::Or(a, b) => wildcards(a) + wildcards(b),
        Condition::Of(path, _) => path.iter().filter(|step| **step == Step::Any).count(),
    }
}

/// `$.user.ids[0].*`, `$.["a.b"]`
fn path(reader: &mut Reader) -> Result<Path, String> {
    if !reader.eat("$") {
        return Err(format!("a property begins with $: {}", reader.rest));
    }
    let mut path = Vec::new();
    loop {
        if let Some(rest) = reader.rest.strip_prefix('[').or(reader.rest.strip_prefix(".[")) {
            let (step, rest) = bracket(rest)?;
            path.push(step);
            reader.rest = rest;
        } else if let Some(rest) = reader.rest.strip_prefix('.') {
            let plain = |letter: char| letter.is_alphanumeric() || "_-*@".contains(letter);
            let end = rest.find(|letter| !plain(letter)).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            path.push(match name {
                "" => return Err("a property has no name".to_owned()),
                "*" => Step::Any,
                name if name.contains('*') => {
                    return Err(format!("a wildcard stands for a whole name, not in {name}"));
                }
                name => Step::Member(name.to_owned()),
            });
            reader.rest = rest;
        } else {
            break;
        }
    }
    if path.is_empty() {
        return Err("a property is named after $, as in $.level".to_owned());
    }
    match path.iter().filter(|step| **step == Step::Any).count() <= WILDCARDS_MAX {
        true => Ok(path),
        false => Err("a property selector has at most one wildcard".to_owned()),
    }
}

fn test(reader: &mut Reader) -> Result<Test, String> {
    let words = [
        ("IS NULL", Test::IsNull),
        ("IS TRUE", Test::Is(true)),
        ("IS FALSE", Test::Is(false)),
        ("NOT EXISTS", Test::NotExists),
    ];
    for (word, test) in words {
        if reader.eat(word) {
            return Ok(test);
        }
    }
    reader.comparison(ENDS)
}

/// What is in brackets: an index, `*`, or a quoted name.
fn bracket(text: &str) -> Result<(Step, &str), String> {
    let (inner, rest) = text.split_once(']').ok_or("a bracket is not closed")?;
    let inner = inner.trim();
    let name = [('"', '"'), ('\'', '\'')]
        .into_iter()
        .find_map(|(open, close)| inner.strip_prefix(open).and_then(|inner| inner.strip_suffix(close)));
    let step = match (name, inner) {
        (Some(name), _) => Step::Member(name.to_owned()),
        (None, "*") => Step::Any,
        (None, index) => {
            Step::Element(index.parse().map_err(|_| format!("[{index}] is neither an index nor a name"))?)
        }
    };
    Ok((step, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"level": "ERROR", "code": 503, "user": {"id": 7, "tags": ["a", "b"], "a.b": null},
        "ok": false, "ip": "10.0.0.8", "time": "12.5", "items": [{"n": 1}, {"n": 2}],
        "grid": [[0], [-1]]}"#;

    fn holds(pattern: &str) -> bool {
        let event = serde_json::from_str(EVENT).expect("JSON");
        super::holds(&read(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")), &event)
    }

    #[test]
    fn properties_are_compared() {
        for pattern in [
            "{ $.level = \"ERROR\" }",
            "{$.level=ERROR}",
            "{ $.level != \"INFO\" }",
            "{ $.level = \"E*R\" }",
            "{ $.ip = 10.0.* }",
            "{ $.code >= 500 }",
            "{ $.code = 503 && $.user.id < 8 }",
            "{ $.code = 1 || ($.user.id = 7 && $.ok IS FALSE) }",
            "{ $.user.tags[1] = \"b\" }",
            "{ $.user.tags[*] = \"a\" }",
            "{ $.items[*].n = 2 }",
            "{ $.user.[\"a.b\"] IS NULL }",
            "{ $.missing NOT EXISTS }",
            "{ $.time > 12 }",
            "{ $.level = %^ERR% }",
            "{ $.level != %^WARN% }",
            "{ $.user.tags[*] = %[bc]% }",
            "{ $.* = %10\\.0\\.0\\.[0-9]{1,3}% }",
            "{ $.code = %^5% && $.ip = %8$% }",
            "{ $.code = 5* }",
            "{ $.code = \"503\" }",
            "{ $.code = 5.03e+2 }",
            "{ $['level'] = \"ERROR\" }",
            "{ $.grid[1][0] = -1 }",
            "{ $.user.missing NOT EXISTS && $.ok IS FALSE }",
        ] {
            assert!(holds(pattern), "{pattern}");
        }
        for pattern in [
            "{ $.level = \"error\" }",
            "{ $.level = \"ERR\" }",
            "{ $.level != \"ERROR\" }",
            "{ $.code < 500 }",
            "{ $.missing = \"x\" }",
            "{ $.missing != \"x\" }",
            "{ $.level NOT EXISTS }",
            "{ $.code = 1 || $.code = 2 && $.level = \"ERROR\" }",
            "{ $.user.tags[2] = \"b\" }",
            "{ $.user.tags = \"a\" }",
            "{ $.user != \"a\" }",
            "{ $.ok = false }",
            "{ $.level IS NULL }",
            "{ $.level = %^RR% }",
            "{ $.level != %RR% }",
            "{ $.missing != %x% }",
        ] {
            assert!(!holds(pattern), "{pattern}");
        }
    }

    #[test]
    fn bad_patterns_say_why() {
        let refuse = |pattern: &str| read(pattern).expect_err(pattern);
        assert!(refuse("{ level = 1 }").contains("begins with $"));
        assert!(refuse("{ $.a = 1").contains("ends with }"));
        assert!(refuse("{ $.a }").contains("operator is missing"));
        assert!(refuse("{ $.a = }").contains("value is missing"));
        assert!(refuse("{ $.a > \"b\" }").contains("number"));
        assert!(refuse("{ ($.a = 1 }").contains("not closed"));
        assert!(refuse("{ $.a = 1 $.b = 2 }").contains("not understood"));
        assert!(refuse(&format!("{{ {}$.a = 1", "(".repeat(1000))).contains("ends with }"));
        assert!(refuse(&format!("{{ {}$.a = 1 }}", "(".repeat(1000))).contains("too many"));
        assert!(refuse("{ $.a = %x }").contains("not closed"));
        assert!(refuse("{ $.a = %(x)% }").contains("not supported"));
        assert!(refuse("{ $.a > %x% }").contains("number"));
        assert!(refuse("{ $.a = %x% || $.a = %y% || $.a = %z% }").contains("at most 2"));
        assert!(refuse("{ $.a[*].* = 1 }").contains("one wildcard"));
        assert!(refuse("{ $.a* = 1 }").contains("whole name"));
        assert!(refuse("{ $.* = 1 || $.*.a = 1 || $.a[*] = 1 || $.b[*] = 1 }").contains("at most 3"));
        for wrong in
            ["{ $.a EXISTS }", "{ $.a IS NOT NULL }", "{ $.a == 1 }", "{ $..a = 1 }", "{ $.a[-1] = 1 }"]
        {
            refuse(wrong);
        }
    }
}
