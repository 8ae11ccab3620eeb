//! Lists in pages: `MaxItems` in, `NextMarker` out. A marker holds the key of the last item shown, so that what is made
//! or deleted between two pages moves nothing else. Pure.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wire::{Call, Fault};

/// Items on one page, as on AWS.
const PAGE_MAX: usize = 50;

/// What a request asks for.
pub(crate) struct Page {
    after: Option<String>,
    limit: usize,
}

impl Page {
    /// Reads `Marker` and `MaxItems`, whose bounds are checked already.
    pub(crate) fn of(call: &Call) -> Result<Page, Fault> {
        let marker = call.parameter("Marker").filter(|marker| !marker.is_empty());
        let after = marker.map(|marker| read_marker(&marker)).transpose()?;
        let limit = call.parameter("MaxItems").and_then(|text| text.parse().ok());
        Ok(Page { after, limit: limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX) })
    }

    /// The answer: `member` with the items of this page, in the order of their keys.
    pub(crate) fn answer(&self, member: &str, mut items: Vec<(String, Value)>) -> Value {
        items.sort_by(|(a, _), (b, _)| a.cmp(b));
        items.retain(|(key, _)| self.after.as_ref().is_none_or(|after| key > after));
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let last = items.last().map(|(key, _)| BASE64_URL_SAFE_NO_PAD.encode(key));
        let shown: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
        let mut answer = json!({ member: shown });
        if let (true, Some(marker)) = (more, last) {
            answer["NextMarker"] = json!(marker);
        }
        answer
    }
}

fn read_marker(marker: &str) -> Result<String, Fault> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(marker).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| Fault::invalid_parameter("Invalid pagination token provided"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_after_the_last_key() {
        let items = || ["c", "a", "b"].map(|key| (key.to_owned(), json!(key))).to_vec();
        let page = |after: Option<&str>| Page { after: after.map(str::to_owned), limit: 2 };
        let first = page(None).answer("All", items());
        assert_eq!(first["All"], json!(["a", "b"]));
        let marker = first["NextMarker"].as_str().expect("a marker");
        let after = read_marker(marker).expect("readable");
        assert_eq!(page(Some(&after)).answer("All", items()), json!({ "All": ["c"] }));
        assert!(read_marker("%").is_err());
    }
}
