//! YAML bodies and manifests to JSON values, bounded.
//!
//! As clients of Kubernetes expect it: `0644` is octal, `yes` and `on` are booleans, `<<` merges, two equal
//! keys are an error. Aliases are counted, so that a small text cannot become a huge object.

use serde_json::Value;

/// Events (scalars, starts, ends) that one body may expand to; a 1.5 MB object has some 100,000.
const EVENTS_MAX: usize = 500_000;
/// Nodes that one body may expand to.
const NODES_MAX: usize = 250_000;
/// What all aliases of one body together may add; manifests use a handful.
const REPLAYED_EVENTS_MAX: usize = 50_000;
/// Documents in one file.
const DOCUMENTS_MAX: usize = 4096;

fn options() -> serde_saphyr::Options {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_events = EVENTS_MAX;
    budget.max_nodes = NODES_MAX;
    budget.max_documents = DOCUMENTS_MAX;
    let mut options = serde_saphyr::options! {
        budget: Some(budget),
        legacy_octal_numbers: true,
        with_snippet: false
    };
    options.alias_limits.max_total_replayed_events = REPLAYED_EVENTS_MAX;
    options
}

/// One YAML document (a request body) as JSON.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    serde_saphyr::from_str_with_options(text, options()).map_err(|e| e.to_string())
}

/// The same, but of two equal keys the last counts.
pub(crate) fn parse_lenient(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    let mut options = options();
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::LastWins;
    serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())
}

/// All documents of a manifest file as JSON; empty documents are left out.
pub fn parse_all(text: &str) -> Result<Vec<Value>, String> {
    let all: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| e.to_string())?;
    Ok(all.into_iter().filter(|v| !v.is_null()).collect())
}

/// A value as YAML text.
pub fn print(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values() {
        let text = b"mode: 0644\nhex: 0x10\nyes: no\nnum: 1.5\ntext: '1'\nnil: ~\nlist: [a, 1]\nblock: |\n  a\n  b\n";
        let want = json!({"mode": 420, "hex": 16, "yes": false, "num": 1.5, "text": "1", "nil": null,
            "list": ["a", 1], "block": "a\nb\n"});
        assert_eq!(parse(text), Ok(want));
        assert_eq!(
            parse(b"a: &x {b: 1}\nc: {<<: *x, d: 2}"),
            Ok(json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}}))
        );
    }

    #[test]
    fn documents() {
        let all = parse_all("---\na: 1\n---\n# nothing\n---\nb: 2\n");
        assert_eq!(all, Ok(vec![json!({"a": 1}), json!({"b": 2})]));
        assert_eq!(parse_all(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_refused() {
        for text in ["a: b: c", "a: 1\na: 2", "\u{7f}\u{0}", "{", "a: *nope", "- a\nb: c"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert_eq!(parse_lenient(b"a: 1\na: 2"), Ok(json!({"a": 2})));
        assert!(parse(&[0xff, 0xfe]).is_err());
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let list = vec![format!("*a{}", i - 1); 10].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{list}]\n"));
        }
        assert!(parse(bomb.as_bytes()).is_err());
        assert!(parse("[".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn printing_reads_back() {
        let value =
            json!({"a": ["1", 1, true, "true", null], "b": {"c": "x: y\n"}, "mode": "0644", "d": "yes"});
        let text = print(&value).expect("printable");
        assert_eq!(parse(text.as_bytes()), Ok(value), "{text}");
    }
}
