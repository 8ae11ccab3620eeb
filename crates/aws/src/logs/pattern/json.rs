//! Patterns for JSON events: `{ ($.level = "ERROR" || $.code >= 500) && $.user.id != "*test" }`. Pure.

use super::quoted_text;
use serde_json::Value;

/// What must hold for an event.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Property(Vec<Step>, Test),
}

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Step {
    Member(String),
    Element(usize),
    /// `*`: any of them.
    Any,
}

#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Test {
    /// The text, where `*` stands for anything.
    Text {
        equal: bool,
        text: String,
    },
    Number {
        operator: Operator,
        number: f64,
    },
    IsNull,
    NotExists,
    Is(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// As AWS limits the nesting of a pattern, and so that a pattern cannot exhaust the stack.
const DEPTH_MAX: usize = 32;

impl Condition {
    pub(super) fn holds(&self, event: &Value) -> bool {
        match self {
            Condition::And(a, b) => a.holds(event) && b.holds(event),
            Condition::Or(a, b) => a.holds(event) || b.holds(event),
            Condition::Property(path, test) => {
                let mut found = Vec::new();
                select(event, path, &mut found);
                match test {
                    Test::NotExists => found.is_empty(),
                    test => found.into_iter().any(|value| test.holds(value)),
                }
            }
        }
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

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::IsNull => value.is_null(),
            Test::NotExists => false,
            Test::Is(wanted) => value.as_bool() == Some(*wanted),
            Test::Text { equal, text } => match value {
                Value::String(found) => like(text, found) == *equal,
                Value::Number(found) => like(text, &found.to_string()) == *equal,
                Value::Bool(found) => like(text, &found.to_string()) == *equal,
                _ => false,
            },
            Test::Number { operator, number } => {
                let found = match value {
                    Value::Number(found) => found.as_f64(),
                    Value::String(found) => found.parse().ok(),
                    _ => None,
                };
                found.map_or(*operator == Operator::NotEqual && value.is_string(), |found| {
                    operator.holds(found, *number)
                })
            }
        }
    }
}

impl Operator {
    #[expect(clippy::float_cmp, reason = "equal is what the pattern says")]
    fn holds(self, found: f64, wanted: f64) -> bool {
        match self {
            Operator::Equal => found == wanted,
            Operator::NotEqual => found != wanted,
            Operator::Less => found < wanted,
            Operator::LessOrEqual => found <= wanted,
            Operator::Greater => found > wanted,
            Operator::GreaterOrEqual => found >= wanted,
        }
    }
}

/// Whether a text is like a pattern in which `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Reads `{ … }`.
pub(super) fn read(text: &str) -> Result<Condition, String> {
    let inner = text.strip_prefix('{').and_then(|text| text.trim_end().strip_suffix('}'));
    let inner = inner.ok_or("a JSON pattern ends with }")?;
    let mut reader = Reader { rest: inner, depth: 0 };
    let condition = reader.any_of()?;
    match reader.peek() {
        None => Ok(condition),
        Some(_) => Err(format!("what follows is not understood: {}", reader.rest)),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn eat(&mut self, word: &str) -> bool {
        self.peek();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `||` binds less than `&&`.
    fn any_of(&mut self) -> Result<Condition, String> {
        let mut left = self.all_of()?;
        while self.eat("||") {
            left = Condition::Or(Box::new(left), Box::new(self.all_of()?));
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Result<Condition, String> {
        let mut left = self.one()?;
        while self.eat("&&") {
            left = Condition::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Condition, String> {
        if !self.eat("(") {
            let path = self.path()?;
            let test = self.test()?;
            return Ok(Condition::Property(path, test));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("there are too many parentheses".to_owned());
        }
        let inner = self.any_of()?;
        self.depth -= 1;
        match self.eat(")") {
            true => Ok(inner),
            false => Err("a parenthesis is not closed".to_owned()),
        }
    }

    /// `$.user.ids[0].*`, `$.["a.b"]`
    fn path(&mut self) -> Result<Vec<Step>, String> {
        if !self.eat("$") {
            return Err(format!("a property begins with $: {}", self.rest));
        }
        let mut path = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('[').or(self.rest.strip_prefix(".[")) {
                let (step, rest) = bracket(rest)?;
                path.push(step);
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix('.') {
                let plain = |letter: char| letter.is_alphanumeric() || "_-*@".contains(letter);
                let end = rest.find(|letter| !plain(letter)).unwrap_or(rest.len());
                let (name, rest) = rest.split_at(end);
                path.push(match name {
                    "" => return Err("a property has no name".to_owned()),
                    "*" => Step::Any,
                    name => Step::Member(name.to_owned()),
                });
                self.rest = rest;
            } else {
                break;
            }
        }
        if path.is_empty() { Err("a property is named after $, as in $.level".to_owned()) } else { Ok(path) }
    }

    fn test(&mut self) -> Result<Test, String> {
        let words = [
            ("IS NULL", Test::IsNull),
            ("IS TRUE", Test::Is(true)),
            ("IS FALSE", Test::Is(false)),
            ("NOT EXISTS", Test::NotExists),
        ];
        for (word, test) in words {
            if self.eat(word) {
                return Ok(test);
            }
        }
        // The longer ones first.
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let found = operators.into_iter().find(|(sign, _)| self.eat(sign));
        let (sign, operator) =
            found.ok_or_else(|| format!("an operator is missing before: {}", self.rest))?;
        self.peek();
        let (text, quoted) = self.value()?;
        if !quoted && let Some(number) = text.parse().ok().filter(|number: &f64| number.is_finite()) {
            return Ok(Test::Number { operator, number });
        }
        match operator {
            Operator::Equal | Operator::NotEqual => {
                Ok(Test::Text { equal: operator == Operator::Equal, text })
            }
            _ => Err(format!("{sign} compares with a number, not with {text}")),
        }
    }

    fn value(&mut self) -> Result<(String, bool), String> {
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (text, rest) = quoted_text(quoted)?;
            self.rest = rest;
            return Ok((text, true));
        }
        let end = self.rest.find(|letter: char| letter.is_whitespace() || "()&|".contains(letter));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if text.starts_with('%') {
            return Err("regular expressions, %…%, are not supported by dory".to_owned());
        }
        self.rest = rest;
        if text.is_empty() { Err("a value is missing".to_owned()) } else { Ok((text.to_owned(), false)) }
    }
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
        "ok": false, "ip": "10.0.0.8", "time": "12.5", "items": [{"n": 1}, {"n": 2}]}"#;

    fn holds(pattern: &str) -> bool {
        let event = serde_json::from_str(EVENT).expect("JSON");
        read(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).holds(&event)
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
        assert!(refuse("{ $.a = %x% }").contains("regular"));
    }
}
