//! The regular expressions of the service model: as much of the language as it uses, matched against whole values by
//! trying. Pure. Patterns come from the table beside this file, never from a request, and the table's test compiles
//! them all.

use std::iter::Peekable;
use std::str::Chars;

/// Values beyond this are refused for their length; no pattern is tried on them.
pub(super) const CHARS_MAX: usize = 20_480;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    source: &'static str,
    choices: Vec<Sequence>,
}

type Sequence = Vec<Piece>;

#[derive(Debug)]
struct Piece {
    node: Node,
    min: usize,
    max: usize,
}

#[derive(Debug)]
enum Node {
    One(Class),
    Group(Vec<Sequence>),
    /// `(?!…)`
    Unless(Vec<Sequence>),
    Start,
    End,
}

#[derive(Debug)]
struct Class {
    negative: bool,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    Range(char, char),
    Space,
    NotSpace,
    /// `\p{L}`, `\p{N}`, `\p{Z}`
    Property(char),
}

impl Pattern {
    /// Compiles what the table says; `None` for what is not understood.
    pub(super) fn new(source: &'static str) -> Option<Pattern> {
        let mut chars = source.chars().peekable();
        let choices = choices(&mut chars)?;
        chars.next().is_none().then_some(Pattern { source, choices })
    }

    /// As it is written, for messages.
    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    /// Whether the whole text is one of those that are meant.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        text.len() <= CHARS_MAX && any(&self.choices, &text, 0, &mut |at| at == text.len())
    }
}

type Source<'a> = Peekable<Chars<'a>>;

fn choices(chars: &mut Source<'_>) -> Option<Vec<Sequence>> {
    let mut all = vec![Vec::new()];
    while let Some(&next) = chars.peek() {
        match next {
            ')' => break,
            '|' => {
                chars.next();
                all.push(Vec::new());
            }
            _ => {
                let node = node(chars)?;
                let (min, max) = times(chars)?;
                all.last_mut()?.push(Piece { node, min, max });
            }
        }
    }
    Some(all)
}

fn node(chars: &mut Source<'_>) -> Option<Node> {
    Some(match chars.next()? {
        '(' => {
            let unless = chars.next_if_eq(&'?').is_some();
            if unless {
                chars.next_if_eq(&'!')?;
            }
            let inner = choices(chars)?;
            chars.next_if_eq(&')')?;
            if unless { Node::Unless(inner) } else { Node::Group(inner) }
        }
        '[' => Node::One(class(chars)?),
        '^' => Node::Start,
        '$' => Node::End,
        '.' => Node::One(Class { negative: true, items: vec![Item::Range('\n', '\n')] }),
        '\\' => Node::One(Class { negative: false, items: vec![escape(chars)?] }),
        plain => Node::One(Class { negative: false, items: vec![Item::Range(plain, plain)] }),
    })
}

fn escape(chars: &mut Source<'_>) -> Option<Item> {
    Some(match chars.next()? {
        'd' => Item::Range('0', '9'),
        's' => Item::Space,
        'S' => Item::NotSpace,
        'p' => {
            chars.next_if_eq(&'{')?;
            let property = chars.next()?;
            chars.next_if_eq(&'}')?;
            Item::Property(property)
        }
        plain => Item::Range(plain, plain),
    })
}

fn class(chars: &mut Source<'_>) -> Option<Class> {
    let negative = chars.next_if_eq(&'^').is_some();
    let mut items = Vec::new();
    loop {
        let first = match chars.next()? {
            ']' => return Some(Class { negative, items }),
            '\\' => escape(chars)?,
            plain => Item::Range(plain, plain),
        };
        let Item::Range(low, _) = first else {
            items.push(first);
            continue;
        };
        // A dash is a range only between two characters: not at the end, and not right after a range.
        let mut ahead = chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) if high != ']' && high != '\\' && low < high => {
                chars.next();
                chars.next();
                items.push(Item::Range(low, high));
            }
            _ => items.push(first),
        }
    }
}

fn times(chars: &mut Source<'_>) -> Option<(usize, usize)> {
    Some(match chars.peek() {
        Some('*') => (chars.next(), (0, usize::MAX)).1,
        Some('+') => (chars.next(), (1, usize::MAX)).1,
        Some('?') => (chars.next(), (0, 1)).1,
        Some('{') => {
            chars.next();
            let inside: String = chars.by_ref().take_while(|&c| c != '}').collect();
            let (low, high) = inside.split_once(',').unwrap_or((&inside, &inside));
            (low.parse().ok()?, if high.is_empty() { usize::MAX } else { high.parse().ok()? })
        }
        _ => (1, 1),
    })
}

type Then<'a> = &'a mut dyn FnMut(usize) -> bool;

fn any(choices: &[Sequence], text: &[char], at: usize, then: Then<'_>) -> bool {
    choices.iter().any(|sequence| all(sequence, text, at, then))
}

fn all(sequence: &[Piece], text: &[char], at: usize, then: Then<'_>) -> bool {
    match sequence.split_first() {
        None => then(at),
        Some((piece, rest)) => repeat(piece, 0, text, at, &mut |at| all(rest, text, at, then)),
    }
}

fn repeat(piece: &Piece, done: usize, text: &[char], at: usize, then: Then<'_>) -> bool {
    match &piece.node {
        // Single characters are counted and not recursed into: values are long, stacks are not.
        Node::One(class) => {
            let most = text[at..].iter().take(piece.max).take_while(|&&c| class.has(c)).count();
            (piece.min..=most).rev().any(|count| then(at + count))
        }
        Node::Group(inner) => {
            let again = done < piece.max
                && any(inner, text, at, &mut |next| {
                    // A round that took nothing would go on for ever.
                    (next > at || done < piece.min) && repeat(piece, done + 1, text, next, then)
                });
            again || (done >= piece.min && then(at))
        }
        Node::Unless(inner) => !any(inner, text, at, &mut |_| true) && then(at),
        Node::Start => at == 0 && then(at),
        Node::End => at == text.len() && then(at),
    }
}

impl Class {
    fn has(&self, c: char) -> bool {
        let found = self.items.iter().any(|item| match item {
            Item::Range(low, high) => (*low..=*high).contains(&c),
            Item::Space => c.is_whitespace(),
            Item::NotSpace => !c.is_whitespace(),
            Item::Property('L') => c.is_alphabetic(),
            Item::Property('N') => c.is_numeric(),
            Item::Property(_) => c.is_whitespace() && !c.is_control(),
        });
        found != self.negative
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &'static str, good: &[&str], bad: &[&str]) {
        let pattern = Pattern::new(pattern).expect("a pattern");
        for text in good {
            assert!(pattern.matches(text), "{text:?} should fit {}", pattern.source());
        }
        for text in bad {
            assert!(!pattern.matches(text), "{text:?} should not fit {}", pattern.source());
        }
    }

    #[test]
    fn whole_values_are_matched() {
        check("[a-z]+", &["a", "abc"], &["", "aB", "1"]);
        check("[a-zA-Z0-9-_]+", &["a-b_C9"], &["a.b"]);
        check("o-[a-z0-9]{10,32}", &["o-0123456789"], &["o-012345678", "x-0123456789"]);
        check(
            "(lambda:[*]|lambda:[a-zA-Z]+|[*])",
            &["*", "lambda:*", "lambda:Invoke"],
            &["s3:Get", "lambda:"],
        );
        check("$|kafka://([^.]([a-z]{0,3}))", &["", "kafka://abcd"], &["kafka://.", "kafka://abcde"]);
        check("((?!^\\d+$)^[0-9a-zA-Z-_]+$)", &["live", "1a"], &["12", ""]);
        check("(a|b)*c", &["c", "abbac"], &["ab"]);
        check("(arn:(aws[a-z-]*)?:x)|()", &["", "arn::x", "arn:aws-cn:x"], &["arn"]);
        check("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", &["Größe 1", "a-b"], &["a*b", "a\nb"]);
        check("[\\s\\S]+", &["a\nb"], &[""]);
    }

    #[test]
    fn long_values_do_no_harm() {
        let pattern = Pattern::new("[\\s\\S]+").expect("a pattern");
        assert!(pattern.matches(&"x".repeat(CHARS_MAX)));
        assert!(!pattern.matches(&"x".repeat(CHARS_MAX + 1)));
        assert!(
            !Pattern::new("(\\$LATEST|[a-zA-Z0-9-_])+")
                .expect("a pattern")
                .matches(&format!("{}!", "a".repeat(512)))
        );
    }
}
