//! Filter patterns of CloudWatch Logs: terms, a regular expression, properties of JSON events, fields of space-delimited ones
//! ("Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail", CloudWatch Logs user
//! guide). Pure.

mod columns;
mod condition;
mod expression;
mod json;

use columns::Columns;
use condition::Condition;
use expression::Expression;
use serde_json::Value;

/// A pattern, ready to be matched.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// The empty pattern.
    Everything,
    Terms(Terms),
    /// `%ERRORS?%`, which stands alone.
    Expression(Expression),
    /// `{ $.level = "ERROR" }`
    Json(Condition<json::Path>),
    /// `[level, ..., status = 4*]`
    Columns(Columns),
}

/// Words that must, may and must not be there. Case matters.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Terms {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Pattern, String> {
        let text = text.trim();
        match text.chars().next() {
            None => Ok(Pattern::Everything),
            Some('{') => json::read(text).map(Pattern::Json),
            Some('[') => Columns::read(text).map(Pattern::Columns),
            Some('%') => match expression::expression(&text[1..])? {
                (expression, "") => Ok(Pattern::Expression(expression)),
                (_, rest) => Err(format!("a regular expression stands alone, without{rest}")),
            },
            Some(_) => terms(text).map(Pattern::Terms),
        }
    }

    /// Whether an event is one that is looked for.
    pub(super) fn matches(&self, message: &str) -> bool {
        match self {
            Pattern::Everything => true,
            Pattern::Terms(terms) => terms.match_text(message),
            Pattern::Expression(expression) => expression.finds(message),
            Pattern::Columns(columns) => columns.hold(message),
            Pattern::Json(condition) => {
                // What does not look like an object is not worth parsing.
                message.trim_start().starts_with('{')
                    && serde_json::from_str::<Value>(message)
                        .is_ok_and(|event| json::holds(condition, &event))
            }
        }
    }
}

impl Terms {
    fn match_text(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        // Optional terms count only when there are no others, as on AWS.
        let any = !self.all.is_empty() || !self.none.is_empty() || self.any.is_empty();
        self.all.iter().all(has) && !self.none.iter().any(has) && (any || self.any.iter().any(has))
    }
}

fn terms(text: &str) -> Result<Terms, String> {
    let mut found = Terms::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        let (list, body) = match first {
            '?' => (&mut found.any, &rest[1..]),
            '-' => (&mut found.none, &rest[1..]),
            _ => (&mut found.all, rest),
        };
        let (term, after) = match body.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => bare_term(body)?,
        };
        list.push(term);
        rest = after;
    }
    Ok(found)
}

/// The text up to the closing quote, and what follows it.
pub(super) fn quoted_text(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => match letters.next() {
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                Some((_, other)) => out.extend(['\\', other]),
                None => break,
            },
            other => out.push(other),
        }
    }
    Err("a quote is not closed".to_owned())
}

/// Only letters, digits and underscores go without quotes.
fn bare_term(text: &str) -> Result<(String, &str), String> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (term, rest) = text.split_at(end);
    if term.starts_with('%') {
        return Err("a regular expression, %…%, stands alone".to_owned());
    }
    let plain = |letter: char| letter.is_alphanumeric() || letter == '_';
    match term.find(|letter| !plain(letter)) {
        None if !term.is_empty() => Ok((term.to_owned(), rest)),
        None => Err("a term is missing".to_owned()),
        Some(_) => Err(format!("Invalid character(s) in term '{term}': put it in double quotes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, message: &str) -> bool {
        Pattern::read(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(message)
    }

    #[test]
    fn terms_must_all_be_there() {
        assert!(matches("", "anything"));
        assert!(matches("ERROR", "an ERROR here"));
        assert!(!matches("ERROR", "an error here"));
        assert!(matches("ERROR 419", "[ERROR 419] no"));
        assert!(!matches("ERROR 419", "ERROR 420"));
        assert!(matches("\"INTERNAL SERVER ERROR\"", "500 INTERNAL SERVER ERROR"));
        assert!(!matches("\"INTERNAL SERVER ERROR\"", "SERVER INTERNAL ERROR"));
        assert!(matches("\"a \\\"b\\\"\"", "a \"b\" c"));
    }

    #[test]
    fn some_may_and_some_must_not() {
        assert!(matches("?ERROR ?WARN", "WARN: hot"));
        assert!(!matches("?ERROR ?WARN", "INFO: fine"));
        assert!(matches("ERROR -EXITING", "ERROR: on"));
        assert!(!matches("ERROR -\"EXITING now\"", "ERROR: EXITING now"));
        assert!(matches("-START", "END"));
        // With other terms, optional ones are ignored.
        assert!(matches("INFO ?ERROR", "INFO"));
    }

    #[test]
    fn an_expression_is_found_anywhere() {
        assert!(matches("%AUTHORI[SZ]ED%", "401 UNAUTHORIZED"));
        assert!(matches(" %two words% ", "in two words"));
        assert!(!matches("%^AUTHORIZED%", "401 UNAUTHORIZED"));
    }

    #[test]
    fn bad_patterns_say_why() {
        let refuse = |pattern: &str| Pattern::read(pattern).expect_err(pattern);
        assert!(refuse("a-b").contains("double quotes"));
        assert!(refuse("\"open").contains("not closed"));
        assert!(refuse("%a+").contains("not closed"));
        assert!(refuse("%a!%").contains("not supported"));
        assert!(refuse("%a% b").contains("stands alone"));
        assert!(refuse("b %a%").contains("stands alone"));
        assert!(refuse("- a").contains("missing"));
    }
}
