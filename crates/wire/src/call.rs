//! A request whose signature held, and the words that requests have in common.

use bytes::Bytes;
use http::HeaderName;
use http::header::AsHeaderName;
use http::request::Parts;
use std::sync::Arc;

/// The namespace of the functions that AWS clients see.
pub const NAMESPACE: &str = "default";

/// What AWS has no word for is below this path.
pub const OWN_PREFIX: &str = "/_dory/";

/// Of every answer. A name in this form is set without being read first.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Marks requests that came through the door inside a function instance; holds the instance's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromInstance(pub String);

/// A request whose signature held.
pub struct Call {
    /// Method, address and headers.
    pub parts: Parts,
    /// The whole body.
    pub body: Bytes,
    /// Who signed.
    pub caller: sigv4::Caller,
    /// Whether errors are spelled as the JSON services do.
    pub json: bool,
    /// Of the request, and of the invocation where it is one.
    pub request_id: Arc<str>,
}

/// The parameters of a query string, decoded.
pub fn parameters(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

impl Call {
    /// A parameter of the query string.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let all = parameters(self.parts.uri.query().unwrap_or_default());
        all.into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// A header as text.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }
}
