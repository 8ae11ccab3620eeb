//! The canonical request: one text that client and server must both arrive at. Owns the encoding rules (paths encoded
//! twice except for S3, sorted queries, trimmed headers); knows no keys. Used by `sign` and `verify`.

use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// All but the unreserved characters of RFC 3986 is percent-encoded in queries.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Paths keep their slashes too.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The lower-case hexadecimal SHA-256 of `bytes`.
pub fn hex_sha256(bytes: &[u8]) -> String {
    sha256(bytes).as_str().to_owned()
}

/// The same, where it need not be kept.
pub(crate) fn sha256(bytes: &[u8]) -> Hex {
    Hex::of(&Sha256::digest(bytes).into())
}

/// 32 bytes in lower-case hexadecimal: a hash or a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hex([u8; 64]);

impl Hex {
    pub(crate) fn of(bytes: &[u8; 32]) -> Hex {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Hex(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Digits and letters alone.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// Method, path, query, headers, names of the signed headers and body hash, a line each.
/// `signed` holds lower-case names, with `;` between them, as the signature lists them; `leave_out` is the query
/// parameter that a presigned request adds after signing.
pub(crate) fn request(
    parts: &Parts,
    signed: &str,
    body_sha256: &str,
    service: &str,
    leave_out: Option<&str>,
) -> String {
    let mut text = String::with_capacity(512);
    text.push_str(parts.method.as_str());
    text.push('\n');
    push_path(&mut text, parts.uri.path(), service);
    text.push('\n');
    text.push_str(&query(parts.uri.query().unwrap_or(""), leave_out));
    text.push('\n');
    for name in signed.split(';') {
        text.push_str(name);
        text.push(':');
        push_header(&mut text, parts, name);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(signed);
    text.push('\n');
    text.push_str(body_sha256);
    text
}

/// S3 signs the path as sent, because an object's key may hold `//` and `..`; everyone else signs the normalized path,
/// encoded once more.
fn push_path(text: &mut String, sent: &str, service: &str) {
    match service {
        "s3" if sent.is_empty() => text.push('/'),
        "s3" => text.push_str(sent),
        _ => text.extend(utf8_percent_encode(&normalize(sent), PATH)),
    }
}

/// Resolves `.`, `..` and repeated slashes (RFC 3986 section 5.2.4), keeping a trailing slash.
fn normalize(sent: &str) -> Cow<'_, str> {
    // All that is resolved begins like this.
    if sent.starts_with('/') && !sent.contains("//") && !sent.contains("/.") {
        return Cow::Borrowed(sent);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in sent.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let slash = if sent.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    Cow::Owned(format!("/{}{slash}", kept.join("/")))
}

/// Parameters decoded, encoded again in the one proper way, and sorted by name, then value.
fn query(sent: &str, leave_out: Option<&str>) -> String {
    let mut pairs: Vec<(String, String)> = sent
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recode(name), recode(value))
        })
        .filter(|(name, _)| Some(name.as_str()) != leave_out)
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn recode(text: &str) -> String {
    percent_encoding::percent_encode(&percent_decode_str(text).collect::<Vec<u8>>(), QUERY).to_string()
}

/// Appends the value of a header: trimmed, runs of blanks as one blank, several values joined by commas. HTTP/2 has no
/// `Host` header; there the authority of the address takes its place.
fn push_header(text: &mut String, parts: &Parts, name: &str) {
    let start = text.len();
    for (index, value) in parts.headers.get_all(name).into_iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        match value.to_str() {
            Ok(plain) if is_trimmed(plain) => text.push_str(plain),
            _ => push_words(text, &String::from_utf8_lossy(value.as_bytes())),
        }
    }
    if text.len() == start && name == "host" {
        text.push_str(parts.uri.authority().map_or("", |authority| authority.as_str()));
    }
}

/// Whether there is no blank but single ones between words, as in nearly all headers. Of blanks, ASCII text that a header
/// may hold has these two.
fn is_trimmed(plain: &str) -> bool {
    let blank = |byte: u8| byte == b' ' || byte == b'\t';
    let mut after_blank = true;
    for byte in plain.bytes() {
        if byte == b'\t' || after_blank && blank(byte) {
            return false;
        }
        after_blank = blank(byte);
    }
    !after_blank
}

fn push_words(text: &mut String, value: &str) {
    for (index, word) in value.split_whitespace().enumerate() {
        text.push_str(if index > 0 { " " } else { "" });
        text.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(sent: &str, service: &str) -> String {
        let mut text = String::new();
        push_path(&mut text, sent, service);
        text
    }

    #[test]
    fn paths_are_normalized_and_encoded_twice_except_for_s3() {
        assert_eq!(path("/a/./b/../c//d/", "lambda"), "/a/c/d/");
        assert_eq!(path("", "lambda"), "/");
        assert_eq!(path("/functions/arn%3Aaws", "lambda"), "/functions/arn%253Aaws");
        assert_eq!(path("/functions/arn:aws", "lambda"), "/functions/arn%3Aaws");
        assert_eq!(path("/a//b/../c%20d", "s3"), "/a//b/../c%20d");
    }

    #[test]
    fn queries_are_sorted_and_recoded() {
        assert_eq!(query("b=2&a=1&a=0&c", None), "a=0&a=1&b=2&c=");
        assert_eq!(query("x=a%2fb&y=a:b", None), "x=a%2Fb&y=a%3Ab");
        assert_eq!(query("a=1&X-Amz-Signature=0", Some("X-Amz-Signature")), "a=1");
    }

    #[test]
    fn headers_are_trimmed_and_joined() {
        let (parts, ()) = http::Request::builder()
            .uri("http://example.com/")
            .header("my-header", "  a   b  c ")
            .header("my-header", "d")
            .body(())
            .expect("a well-formed request")
            .into_parts();
        let header = |name| {
            let mut text = String::new();
            push_header(&mut text, &parts, name);
            text
        };
        assert_eq!(
            [is_trimmed("a b"), is_trimmed("a  b"), is_trimmed(" a"), is_trimmed("a\tb")],
            [true, false, false, false]
        );
        assert_eq!(header("my-header"), "a b c,d");
        assert_eq!(header("host"), "example.com");
    }
}
