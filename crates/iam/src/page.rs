//! One page of a list: `MaxItems` of it, from `Marker` on.

use serde_json::{Value, json};
use wire::Fault;
use wire::query::Form;

const PAGE_DEFAULT: i64 = 100;
const PAGE_MAX: i64 = 1000;

/// What every list reads.
pub(super) const MEMBERS: [&str; 2] = ["Marker", "MaxItems"];

/// `items` are in the order of their keys; the marker is the last key of the page before, so that nothing is lost or
/// shown twice when something is deleted in between.
pub(super) fn page(form: &Form, member: &str, items: Vec<(String, Value)>) -> Result<Value, Fault> {
    let size = form.number("MaxItems", 1, PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let after = form.text("Marker");
    let mut rest =
        items.into_iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after)).peekable();
    let mut shown = Vec::new();
    let mut last = None;
    while shown.len() < size
        && let Some((key, item)) = rest.next()
    {
        last = Some(key);
        shown.push(item);
    }
    let truncated = rest.peek().is_some();
    Ok(json!({ member: shown, "IsTruncated": truncated, "Marker": last.filter(|_| truncated) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let items = || ["a", "b", "c"].map(|name| (name.to_owned(), json!(name))).to_vec();
        let ask = |query: &str| page(&Form::of(query), "Names", items()).expect("a page");
        assert_eq!(ask(""), json!({"Names": ["a", "b", "c"], "IsTruncated": false, "Marker": null}));
        assert_eq!(ask("MaxItems=2"), json!({"Names": ["a", "b"], "IsTruncated": true, "Marker": "b"}));
        assert_eq!(ask("MaxItems=2&Marker=b"), json!({"Names": ["c"], "IsTruncated": false, "Marker": null}));
        assert!(page(&Form::of("MaxItems=0"), "Names", items()).is_err());
    }
}
