//! Patterns for events whose fields stand between spaces: `[ip, user, ..., status = 4* && status != 404, bytes > 1000]`. Pure.

use super::condition::{Condition, Reader};

/// What ends a bare value.
const ENDS: &str = ",]()&|";

const UNCLOSED: &str = "a pattern for space-delimited events ends with ]";

/// The fields that an event must have, in their order.
#[derive(Debug, Clone)]
pub(in super::super) struct Columns {
    /// The first ones; all of them if there is no ellipsis.
    first: Vec<Column>,
    /// What follows the ellipsis, up to the end of the event.
    last: Option<Vec<Column>>,
}

/// One field; those without a condition are only counted.
type Column = Option<Condition<()>>;

impl Columns {
    /// Reads `[ … ]`.
    pub(super) fn read(text: &str) -> Result<Columns, String> {
        let mut reader = Reader::new(text.strip_prefix('[').unwrap_or(text));
        let mut columns = Columns { first: Vec::new(), last: None };
        if reader.eat("]") {
            // Fields of any number.
            columns.last = Some(Vec::new());
            return columns.end(&mut reader);
        }
        loop {
            if reader.eat("...") {
                if columns.last.replace(Vec::new()).is_some() {
                    return Err("there is more than one ...".to_owned());
                }
            } else {
                let column = column(&mut reader)?;
                columns.last.as_mut().unwrap_or(&mut columns.first).push(column);
            }
            if reader.eat("]") {
                return columns.end(&mut reader);
            }
            if !reader.eat(",") {
                return Err(match reader.peek() {
                    None => UNCLOSED.to_owned(),
                    Some(_) => format!("a comma is missing before: {}", reader.rest),
                });
            }
        }
    }

    fn end(self, reader: &mut Reader) -> Result<Columns, String> {
        match reader.peek() {
            None => Ok(self),
            Some(_) => Err(format!("what follows is not understood: {}", reader.rest)),
        }
    }

    /// Whether an event has these fields. Without an ellipsis the last one takes the rest of the line, so that
    /// `[w1=ERROR, w2]` finds every line of more than one word that begins with ERROR.
    pub(super) fn hold(&self, message: &str) -> bool {
        let message = message.trim();
        let Some(last) = &self.last else {
            let most = self.first.len();
            let fields = fields(message, most);
            return fields.len() == most && all(&self.first, &fields);
        };
        let fields = fields(message, usize::MAX);
        let Some(after) = fields.len().checked_sub(last.len()).filter(|after| *after >= self.first.len())
        else {
            return false;
        };
        all(&self.first, &fields) && all(last, &fields[after..])
    }
}

fn all(columns: &[Column], fields: &[&str]) -> bool {
    let holds = |(column, field): (&Column, &&str)| {
        column.as_ref().is_none_or(|condition| condition.holds(&|(), test| test.holds(field)))
    };
    columns.iter().zip(fields).all(holds)
}

/// A field: nothing, a name, or conditions that all begin with its name.
fn column(reader: &mut Reader) -> Result<Column, String> {
    reader.peek();
    let inside = reader.rest.trim_start_matches(|letter: char| letter == '(' || letter.is_whitespace());
    let name = name(inside);
    if name.is_empty() {
        return match reader.peek() {
            Some(',' | ']') => Ok(None),
            None => Err(UNCLOSED.to_owned()),
            Some(_) => Err(format!("a field has a name of letters, digits, - and _: {}", reader.rest)),
        };
    }
    let after = inside[name.len()..].trim_start();
    if inside.len() == reader.rest.len() && (after.is_empty() || after.starts_with([',', ']'])) {
        reader.rest = after;
        return Ok(None);
    }
    let own = name.to_owned();
    let condition = reader.any_of(&move |reader| {
        reader.peek();
        let found = self::name(reader.rest);
        if found != own {
            return Err(format!("a condition of the field {own} begins with its name: {}", reader.rest));
        }
        reader.rest = &reader.rest[found.len()..];
        Ok(((), reader.comparison(ENDS)?))
    })?;
    Ok(Some(condition))
}

fn name(text: &str) -> &str {
    let plain = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    &text[..text.find(|letter| !plain(letter)).unwrap_or(text.len())]
}

/// The fields of an event, `most` of them: what is between quotes or brackets is one. The last of `most` is all that is left.
fn fields(message: &str, most: usize) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (field, after) = field(rest);
        let after = after.trim_start();
        if found.len() + 1 == most && !after.is_empty() {
            found.push(rest);
            break;
        }
        found.push(field);
        rest = after;
    }
    found
}

fn field(text: &str) -> (&str, &str) {
    let enclosed = match text.as_bytes().first() {
        Some(b'"') => closing_quote(&text[1..]),
        Some(b'[') => text[1..].find(']'),
        _ => None,
    };
    match enclosed {
        Some(at) => (&text[1..=at], &text[at + 2..]),
        None => text.split_at(text.find(char::is_whitespace).unwrap_or(text.len())),
    }
}

/// Where the quote is that no backslash is before.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|letter| {
        let closes = letter == b'"' && !escaped;
        escaped = letter == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests;
