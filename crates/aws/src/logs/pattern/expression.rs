//! Regular expressions between percent signs: the characters and operators that AWS documents, no others ("Supported regular
//! expressions (regex) syntax", CloudWatch Logs user guide). Matching takes time linear in the text. Pure.

use regex::{Regex, RegexBuilder};
use std::iter::Peekable;
use std::str::Chars;

/// The most expressions of one JSON or space-delimited pattern, as on AWS.
pub(super) const EXPRESSIONS_MAX: usize = 2;

/// The most repetitions that a count asks for.
const REPEATED_MAX: u32 = 1000;

/// The most memory of a compiled expression, in bytes, and of the cache that matching with it fills.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Stand for themselves, beside letters, digits and the space.
const SYMBOLS: &str = ":_#=@/;,-";
const OPERATORS: &str = "^$?[]{}|\\*+.";

/// An expression, ready to be looked for.
#[derive(Debug, Clone)]
pub(in super::super) struct Expression(Regex);

impl Expression {
    /// Reads what stands between two percent signs.
    fn read(source: &str) -> Result<Expression, String> {
        if source.is_empty() {
            return Err("a regular expression is empty".to_owned());
        }
        let mut reader = Reader { letters: source.chars().peekable(), out: String::new(), repeatable: false };
        reader.read()?;
        let built = RegexBuilder::new(&reader.out)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build();
        built.map(Expression).map_err(|_| format!("the regular expression %{source}% is too large"))
    }

    /// Whether it is found anywhere in the text.
    pub(super) fn finds(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The expression up to the closing percent sign, and what follows it.
pub(super) fn expression(text: &str) -> Result<(Expression, &str), String> {
    let (source, rest) = text.split_once('%').ok_or("a regular expression is not closed by %")?;
    Ok((Expression::read(source)?, rest))
}

/// Writes the expression anew for the engine, whose own syntax knows much more.
struct Reader<'a> {
    letters: Peekable<Chars<'a>>,
    out: String,
    /// Whether there is something that an operator can repeat.
    repeatable: bool,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(letter) = self.letters.next() {
            match letter {
                '^' | '$' | '|' => {
                    self.out.push(letter);
                    self.repeatable = false;
                    continue;
                }
                '*' | '+' | '?' => {
                    self.repeat(&letter.to_string())?;
                    continue;
                }
                '{' => {
                    let count = self.count()?;
                    self.repeat(&count)?;
                    continue;
                }
                '.' => self.out.push('.'),
                '[' => self.class()?,
                '\\' => match self.escape()? {
                    Escape::Letter(letter) => self.literal(letter),
                    Escape::Class { members, negated } => {
                        self.out.push_str(if negated { "[^" } else { "[" });
                        self.out.push_str(members);
                        self.out.push(']');
                    }
                },
                letter => {
                    let letter = plain(letter)?;
                    self.literal(letter);
                }
            }
            self.repeatable = true;
        }
        Ok(())
    }

    fn literal(&mut self, letter: char) {
        self.out.push_str(&format!("\\x{:02x}", u32::from(letter)));
    }

    fn repeat(&mut self, operator: &str) -> Result<(), String> {
        if !self.repeatable {
            return Err(format!("there is nothing that {operator} could repeat"));
        }
        self.out.push_str(operator);
        // As few as possible: that changes where a match ends, never whether there is one.
        if self.letters.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.repeatable = false;
        Ok(())
    }

    /// `{m}`, `{m,}`, `{,n}` and `{m,n}`.
    fn count(&mut self) -> Result<String, String> {
        let mut inner = String::new();
        loop {
            match self.letters.next() {
                Some('}') => break,
                Some(' ') => {}
                Some(letter) => inner.push(letter),
                None => return Err("{ is not closed".to_owned()),
            }
        }
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit());
            let number: Option<u32> = digits.then(|| text.parse().ok()).flatten();
            number.filter(|number| *number <= REPEATED_MAX).ok_or_else(|| {
                format!("{{{inner}}} is no count: {{m}} or {{m,n}}, with at most {REPEATED_MAX}")
            })
        };
        match inner.split_once(',') {
            None => Ok(format!("{{{}}}", number(&inner)?)),
            Some((low, "")) => Ok(format!("{{{},}}", number(low)?)),
            Some((low, high)) => {
                let (low, high) = (if low.is_empty() { 0 } else { number(low)? }, number(high)?);
                match low <= high {
                    true => Ok(format!("{{{low},{high}}}")),
                    false => Err(format!("{{{inner}}} counts down")),
                }
            }
        }
    }

    /// What follows `[`, up to its `]`.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.letters.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut members = 0;
        loop {
            let first = match self.member()? {
                None if members == 0 => return Err("a character class is empty".to_owned()),
                None => break,
                Some(Escape::Class { members: inner, negated }) => {
                    self.out.push_str(&if negated { format!("[^{inner}]") } else { inner.to_owned() });
                    members += 1;
                    continue;
                }
                Some(Escape::Letter(letter)) => letter,
            };
            members += 1;
            self.literal(first);
            let mut ahead = self.letters.clone();
            let ranges = ahead.next() == Some('-') && ahead.next() != Some(']');
            if !ranges {
                continue;
            }
            self.letters.next();
            match self.member()? {
                Some(Escape::Letter(last)) if first <= last => {
                    self.out.push('-');
                    self.literal(last);
                }
                _ => return Err(format!("a range that begins with '{first}' has no end")),
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// One member of a class; none at its end.
    fn member(&mut self) -> Result<Option<Escape>, String> {
        match self.letters.next() {
            None => Err("[ is not closed".to_owned()),
            Some(']') => Ok(None),
            Some('\\') => self.escape().map(Some),
            Some(letter) if letter != '[' && OPERATORS.contains(letter) => Ok(Some(Escape::Letter(letter))),
            Some(letter) => plain(letter).map(|letter| Some(Escape::Letter(letter))),
        }
    }

    fn escape(&mut self) -> Result<Escape, String> {
        let class = |members, negated| Ok(Escape::Class { members, negated });
        match self.letters.next() {
            Some('d') => class("0-9", false),
            Some('D') => class("0-9", true),
            Some('s') => class(r"\t\n\x0b\x0c\r\x20", false),
            Some('S') => class(r"\t\n\x0b\x0c\r\x20", true),
            Some('w') => class("0-9A-Za-z_", false),
            Some('W') => class("0-9A-Za-z_", true),
            Some('t') => Ok(Escape::Letter('\t')),
            Some('n') => Ok(Escape::Letter('\n')),
            Some('r') => Ok(Escape::Letter('\r')),
            Some('x') => {
                let hex: String = self.letters.by_ref().take(2).collect();
                let digits = hex.len() == 2 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
                let code = u8::from_str_radix(&hex, 16).ok().filter(|code| digits && code.is_ascii());
                let code = code.ok_or_else(|| format!("\\x{hex} names no ASCII character"))?;
                Ok(Escape::Letter(char::from(code)))
            }
            Some(letter) if OPERATORS.contains(letter) || SYMBOLS.contains(letter) => {
                Ok(Escape::Letter(letter))
            }
            Some(letter) => Err(format!("\\{letter} is not supported in regular expressions")),
            None => Err("a regular expression ends with \\".to_owned()),
        }
    }
}

enum Escape {
    Letter(char),
    Class { members: &'static str, negated: bool },
}

/// A character that stands for itself.
fn plain(letter: char) -> Result<char, String> {
    match letter {
        ' ' => Ok(letter),
        _ if letter.is_ascii_alphanumeric() || SYMBOLS.contains(letter) => Ok(letter),
        _ => Err(format!("'{letter}' is not supported in regular expressions; write ASCII as \\xhh")),
    }
}

#[cfg(test)]
mod tests;
