//! IAM policy documents: read, checked, decided. Pure: knows neither roles nor requests, only a document and the words
//! that a question is asked in. Called by the AWS door (trust policies) and the gateway (function URLs).
//!
//! ```text
//!  document   ─ the JSON of a policy: statements, or why it is none      IAM user guide, "Policy elements reference"
//!  condition  ─ `Condition`: operators over keys of the request
//!  decide     ─ a question to a document: allowed, denied, or nothing said
//! ```
#![deny(missing_docs)]

mod condition;
mod decide;
mod document;

pub use decide::{Decision, Question};
pub use document::{Kind, Malformed, Policy};

/// Whether `text` fits a pattern in which `*` stands for any run of characters and `?` for one.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: the star takes one more.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((back, taken)) = star else { return false };
                star = Some((back, taken + 1));
                at = back + 1;
                seen = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn patterns() {
        for (pattern, text) in
            [("*", ""), ("a*c", "abbc"), ("a?c", "abc"), ("*:x*", "a:x:b"), ("", ""), ("a**", "a")]
        {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", ""), ("a*c", "abb"), ("?", ""), ("", "a"), ("a*b*c", "acb")] {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }
}
