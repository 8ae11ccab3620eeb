//! Regular expressions: what AWS's documentation says that they find, and what is refused.

use super::*;

fn finds(source: &str, text: &str) -> bool {
    Expression::read(source).unwrap_or_else(|error| panic!("{source}: {error}")).finds(text)
}

#[test]
fn the_documented_operators() {
    for (source, found, not) in [
        ("AUTHORIZED", "401 UNAUTHORIZED", "authorized"),
        ("^[hc]at", "cats", "a cat"),
        ("[hc]at$", "a hat", "hats"),
        ("colou?r", "color", "colr"),
        ("^[abcx-z]$", "y", "w"),
        ("^a{3,5}$", "aaaa", "aa"),
        ("^a{,2}$", "", "aaa"),
        ("^a{2,}$", "aaa", "a"),
        ("^a{2}$", "aa", "aaa"),
        ("gr[ae]y|white", "off-white", "black"),
        ("^starting|^shutting down", "shutting down now", "now starting"),
        ("ab[^c]$", "aba", "abc"),
        (r"\[.\]", "in [7] here", "in [77] here"),
        (r"10\.10\.0\.1", "from 10.10.0.1", "from 10010,051"),
        ("ab*c", "ac", "adc"),
        ("ab+c", "abbc", "ac"),
        ("a.*?b", "a--b", "b--a"),
        (r"^\d\D\s\S\w\W$", "1a !_-", "aa !_-"),
        (r"^[\d.]+$", "1.2", "1,2"),
        (r"^[\D]$", "a", "1"),
        (r"\x28\x3a", "(:", "(;"),
        (r"^[a\-c]+$", "a-c", "b"),
        ("^[a-]+$", "a-", "b"),
        ("^[.*]+$", ".*", "ab"),
        ("^[+--]$", ",", "x"),
        ("^.{3}$", "äöü", "äö"),
    ] {
        assert!(finds(source, found), "%{source}% in {found}");
        assert!(!finds(source, not), "%{source}% not in {not}");
    }
}

#[test]
fn the_rest_is_refused() {
    for (source, why) in [
        ("", "empty"),
        ("something!", "'!' is not supported"),
        ("(a|b)", "'(' is not supported"),
        ("a(?=b)", "'(' is not supported"),
        ("café", "'é' is not supported"),
        (r"\(", "\\( is not supported"),
        (r"\bword\b", "\\b is not supported"),
        (r"\p{L}", "\\p is not supported"),
        (r"\x8a", "no ASCII"),
        (r"\x+1", "no ASCII"),
        ("a\\", "ends with"),
        ("[abc", "not closed"),
        ("[]", "empty"),
        ("[[a]", "'[' is not supported"),
        ("[z-a]", "no end"),
        ("[a-\\d]", "no end"),
        ("a]", "']' is not supported"),
        ("*a", "nothing that *"),
        ("a**", "nothing that *"),
        ("a{3,", "not closed"),
        ("a{x}", "no count"),
        ("a{}", "no count"),
        ("a{3,2}", "counts down"),
        ("a{1001}", "no count"),
        (&"[^a]{1000}".repeat(90), "too large"),
    ] {
        let refused = Expression::read(source).expect_err(source);
        assert!(refused.contains(why), "%{source}%: {refused}");
    }
}
