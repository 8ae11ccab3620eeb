//! The rules for names: DNS labels and subdomains, label keys and values, path segments.
//!
//! Checks give upstream's explanation on failure. Used by validation, `cli` and `aws`.

/// Longest DNS label (RFC 1123 §2.1).
const LABEL_MAX: usize = 63;
/// Longest DNS subdomain.
const SUBDOMAIN_MAX: usize = 253;

/// Which names a kind's objects may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// RFC 1123 subdomain, at most 253 characters.
    Subdomain,
    /// RFC 1123 label, at most 63 characters.
    Label,
    /// Anything that can stand alone between two slashes (RBAC).
    PathSegment,
}

impl Rule {
    /// Checks a name; the error says what a name must be.
    pub fn check(self, name: &str) -> Result<(), String> {
        match self {
            Rule::Subdomain => check_subdomain(name),
            Rule::Label => check_label(name),
            Rule::PathSegment => check_path_segment(name),
        }
    }
}

fn is_lower_alnum(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Letters and digits at both ends, and between them also what `inner` allows.
fn framed(text: &str, end: fn(u8) -> bool, inner: &[u8]) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            end(*first) && end(*last) && bytes.iter().all(|c| end(*c) || inner.contains(c))
        }
        _ => false,
    }
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// Whether `text` is an RFC 1123 label.
pub fn is_label(text: &str) -> bool {
    text.len() <= LABEL_MAX && framed(text, is_lower_alnum, b"-")
}

/// Whether `text` is an RFC 1123 subdomain.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN_MAX && text.split('.').all(|part| framed(part, is_lower_alnum, b"-"))
}

/// RFC 1123 label.
pub fn check_label(text: &str) -> Result<(), String> {
    if text.len() > LABEL_MAX {
        return Err(too_long(LABEL_MAX));
    }
    if is_label(text) {
        return Ok(());
    }
    Err("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        .into())
}

/// RFC 1035 label: like RFC 1123, and it begins with a letter.
pub fn check_dns_1035(text: &str) -> Result<(), String> {
    if text.len() > LABEL_MAX {
        return Err(too_long(LABEL_MAX));
    }
    if is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(());
    }
    Err("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
         is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        .into())
}

/// Orders API versions, the preferred one first: v10, v2, v1, v11beta2, v1alpha1, and then all other names.
pub fn version_order(a: &str, b: &str) -> std::cmp::Ordering {
    let (x, y) = (version_parts(a), version_parts(b));
    match (x, y) {
        (Some(x), Some(y)) => y.cmp(&x),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// How stable, which major, which minor.
fn version_parts(text: &str) -> Option<(u8, u32, u32)> {
    let rest = text.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = (rest[..digits].parse().ok()?, &rest[digits..]);
    for (stage, rank) in [("alpha", 0), ("beta", 1)] {
        if let Some(minor) = rest.strip_prefix(stage) {
            return Some((rank, major, minor.parse().ok()?));
        }
    }
    rest.is_empty().then_some((2, major, 0))
}

/// RFC 1123 subdomain.
pub fn check_subdomain(text: &str) -> Result<(), String> {
    if text.len() > SUBDOMAIN_MAX {
        return Err(too_long(SUBDOMAIN_MAX));
    }
    if is_subdomain(text) {
        return Ok(());
    }
    Err("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
         and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        .into())
}

/// A host name whose first label is `*`.
pub fn check_wildcard_subdomain(text: &str) -> Result<(), String> {
    match text.strip_prefix("*.") {
        Some(rest) if text.len() <= SUBDOMAIN_MAX && is_subdomain(rest) => Ok(()),
        _ => Err("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
                  consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character \
                  (e.g. '*.example.com', regex used for validation is \
                  '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .into()),
    }
}

/// What can stand alone between two slashes of a URL.
pub fn check_path_segment(text: &str) -> Result<(), String> {
    match text {
        "." | ".." => Err(format!("may not be '{text}'")),
        _ if text.contains('/') => Err("may not contain '/'".into()),
        _ if text.contains('%') => Err("may not contain '%'".into()),
        _ => Ok(()),
    }
}

/// A label or annotation key, a finalizer: `[prefix/]name`.
pub fn check_qualified(text: &str) -> Result<(), String> {
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => {
            return Err(format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                qualified_text()
            ));
        }
        Some(("", _)) => return Err("prefix part must be non-empty".into()),
        Some((prefix, name)) => {
            check_subdomain(prefix).map_err(|why| format!("prefix part {why}"))?;
            name
        }
    };
    if name.is_empty() {
        return Err("name part must be non-empty".into());
    }
    if name.len() > LABEL_MAX {
        return Err(format!("name part {}", too_long(LABEL_MAX)));
    }
    if framed(name, |c| c.is_ascii_alphanumeric(), b"-_.") {
        return Ok(());
    }
    Err(format!("name part {}", qualified_text()))
}

fn qualified_text() -> String {
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        .into()
}

/// A label value: empty, or like the name part of a key.
pub fn check_label_value(text: &str) -> Result<(), String> {
    if text.len() > LABEL_MAX {
        return Err(too_long(LABEL_MAX));
    }
    if text.is_empty() || framed(text, |c| c.is_ascii_alphanumeric(), b"-_.") {
        return Ok(());
    }
    Err("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        .into())
}

/// A key of a ConfigMap or Secret: a file name.
pub fn check_config_key(text: &str) -> Result<(), String> {
    if text.len() > SUBDOMAIN_MAX {
        return Err(too_long(SUBDOMAIN_MAX));
    }
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c)) {
        return Err("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                    'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            .into());
    }
    match text {
        "." | ".." => Err(format!("must not be '{text}'")),
        _ if text.starts_with("..") => Err("must not start with '..'".into()),
        _ => Ok(()),
    }
}

/// An environment variable's name: printable ASCII without `=`.
pub fn check_env_name(text: &str) -> Result<(), String> {
    if !text.is_empty() && text.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b'=') {
        return Ok(());
    }
    Err("a valid environment variable name must consist only of printable ASCII characters other than '='"
        .into())
}

/// A port's name (IANA service name).
pub fn check_port_name(text: &str) -> Result<(), String> {
    if text.len() > 15 {
        return Err("must be no more than 15 bytes".into());
    }
    if !text.bytes().all(|c| is_lower_alnum(c) || c == b'-') {
        return Err("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|c| c.is_ascii_lowercase()) {
        return Err("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        return Err("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("must not begin or end with a hyphen".into());
    }
    Ok(())
}

/// A C identifier-like HTTP header name.
pub fn check_header_name(text: &str) -> Result<(), String> {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return Ok(());
    }
    Err("a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for \
         validation is '[-A-Za-z0-9]+')"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(64);
        for (check, good, bad) in [
            (
                check_label as fn(&str) -> Result<(), String>,
                vec!["a", "0", "my-name", &long[..63]],
                vec!["", "A", "-a", "a-", "a.b", "a_b", &long, "é"],
            ),
            (check_subdomain, vec!["a.b-c.0", "example.com"], vec!["", ".", "a..b", "a.", "A.b", "a.-b"]),
            (
                check_qualified,
                vec!["a", "A_b.c-d", "example.com/X"],
                vec!["", "/a", "a/", "a/b/c", "-a", "Ex/a"],
            ),
            (check_label_value, vec!["", "V_1.x-y"], vec!["-", "a b", &long]),
            (check_config_key, vec!["a", ".hidden", "A_b-c.d"], vec!["", ".", "..", "..a", "a/b"]),
            (check_env_name, vec!["A", "a.b-c", "1 x"], vec!["", "a=b", "é", "\n"]),
            (check_port_name, vec!["http", "a-1"], vec!["80", "", "a--b", "-a", "Http", "sixteen-long-chr"]),
            (check_path_segment, vec!["system:node", "a.b"], vec!["a/b", "a%b", ".", ".."]),
        ] {
            for text in good {
                assert_eq!(check(text), Ok(()), "{text:?}");
            }
            for text in bad {
                assert!(check(text).is_err(), "{text:?}");
            }
        }
    }
}
