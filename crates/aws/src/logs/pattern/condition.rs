//! What JSON and space-delimited patterns share: tests of values, joined by `&&`, `||` and parentheses. Pure.

use super::expression::{EXPRESSIONS_MAX, Expression, expression};
use super::quoted_text;

/// What must hold for an event; `S` names the value that a test is made of.
#[derive(Debug, Clone)]
pub(in super::super) enum Condition<S> {
    And(Box<Condition<S>>, Box<Condition<S>>),
    Or(Box<Condition<S>>, Box<Condition<S>>),
    Of(S, Test),
}

#[derive(Debug, Clone)]
pub(in super::super) enum Test {
    /// The text, where `*` stands for anything.
    Text {
        equal: bool,
        text: String,
    },
    Expression {
        equal: bool,
        expression: Expression,
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

impl<S> Condition<S> {
    pub(super) fn holds(&self, test: &impl Fn(&S, &Test) -> bool) -> bool {
        match self {
            Condition::And(a, b) => a.holds(test) && b.holds(test),
            Condition::Or(a, b) => a.holds(test) || b.holds(test),
            Condition::Of(subject, wanted) => test(subject, wanted),
        }
    }
}

impl Test {
    /// Whether it holds for a text, or for a number as it is written.
    pub(super) fn holds(&self, found: &str) -> bool {
        match self {
            Test::Text { equal, text } => like(text, found) == *equal,
            Test::Expression { equal, expression } => expression.finds(found) == *equal,
            Test::Number { operator, number } => match number_of(found) {
                Some(found) => operator.holds(found, *number),
                None => *operator == Operator::NotEqual,
            },
            Test::IsNull | Test::NotExists | Test::Is(_) => false,
        }
    }
}

fn number_of(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
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

/// Reads a subject and its test.
type One<'a, S> = dyn Fn(&mut Reader<'a>) -> Result<(S, Test), String>;

/// Reads conditions from the front of a text.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a str,
    depth: usize,
    expressions: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a str) -> Reader<'a> {
        Reader { rest, depth: 0, expressions: 0 }
    }

    pub(super) fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
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
    pub(super) fn any_of<S>(&mut self, one: &One<'a, S>) -> Result<Condition<S>, String> {
        let mut left = self.all_of(one)?;
        while self.eat("||") {
            left = Condition::Or(Box::new(left), Box::new(self.all_of(one)?));
        }
        Ok(left)
    }

    fn all_of<S>(&mut self, one: &One<'a, S>) -> Result<Condition<S>, String> {
        let mut left = self.group(one)?;
        while self.eat("&&") {
            left = Condition::And(Box::new(left), Box::new(self.group(one)?));
        }
        Ok(left)
    }

    fn group<S>(&mut self, one: &One<'a, S>) -> Result<Condition<S>, String> {
        if !self.eat("(") {
            let (subject, test) = one(self)?;
            return Ok(Condition::Of(subject, test));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("there are too many parentheses".to_owned());
        }
        let inner = self.any_of(one)?;
        self.depth -= 1;
        match self.eat(")") {
            true => Ok(inner),
            false => Err("a parenthesis is not closed".to_owned()),
        }
    }

    /// An operator and the value that it compares with; `ends` are the characters that end a bare value.
    pub(super) fn comparison(&mut self, ends: &str) -> Result<Test, String> {
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
        let equal = operator == Operator::Equal;
        let no_number = |text: &str| match operator {
            Operator::Equal | Operator::NotEqual => Ok(()),
            _ => Err(format!("{sign} compares with a number, not with {text}")),
        };
        match self.peek() {
            Some('%') => {
                let (expression, rest) = expression(&self.rest[1..])?;
                no_number("a regular expression")?;
                self.rest = rest;
                self.expressions += 1;
                match self.expressions <= EXPRESSIONS_MAX {
                    true => Ok(Test::Expression { equal, expression }),
                    false => Err(format!("a pattern has at most {EXPRESSIONS_MAX} regular expressions")),
                }
            }
            Some('"') => {
                let (text, rest) = quoted_text(&self.rest[1..])?;
                no_number(&text)?;
                self.rest = rest;
                Ok(Test::Text { equal, text })
            }
            _ => {
                let end = self.rest.find(|letter: char| letter.is_whitespace() || ends.contains(letter));
                let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                match number_of(text) {
                    _ if text.is_empty() => Err("a value is missing".to_owned()),
                    Some(number) => Ok(Test::Number { operator, number }),
                    None => no_number(text).map(|()| Test::Text { equal, text: text.to_owned() }),
                }
            }
        }
    }
}
