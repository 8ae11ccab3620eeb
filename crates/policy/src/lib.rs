//! IAM policy documents: read, checked, decided. Pure: looks up no role and knows no request, only a document, the words that
//! a question is asked in, and what roles are called. Called by the services of the AWS door (trust policies, policies of
//! buckets and functions), the gateway (function URLs) and `functions` (whose credentials an instance gets).
//!
//! ```text
//!  document   ─ the JSON of a policy: statements, or why it is none      IAM user guide, "Policy elements reference"
//!  condition  ─ `Condition`: operators over keys of the request
//!  decide     ─ a question to a document: allowed, denied, or nothing said
//!  role       ─ names and ids of roles
//! ```
#![deny(missing_docs)]

mod condition;
mod decide;
mod document;
mod role;

pub use decide::{Decision, Question};
pub use document::{Kind, Malformed, Policy};
pub use role::{DEFAULT_ROLE, iam_id, role_name};

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
