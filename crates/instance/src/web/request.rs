//! An event as the HTTP request that it stands for: API Gateway's two payload formats, which function URLs share the
//! second of, the Application Load Balancer's, WebSocket APIs' and VPC Lattice's. Every other event is posted as it is.
//! Pure.

use super::Settings;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Where an event comes from, which decides on the form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// API Gateway's payload format 1.0, of REST and WebSocket APIs.
    V1,
    /// Payload format 2.0, of HTTP APIs and function URLs.
    V2,
    LoadBalancer,
    Lattice,
    /// No request at all.
    Other,
}

/// What of an event may be part of a request.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    version: Option<String>,
    request_context: Value,
    http_method: Option<String>,
    method: Option<String>,
    path: Option<String>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    cookies: Option<Vec<String>>,
    query_string_parameters: Option<Map<String, Value>>,
    multi_value_query_string_parameters: Option<Map<String, Value>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

impl Event {
    fn origin(&self) -> Origin {
        let context = &self.request_context;
        if context["http"]["method"].is_string() {
            Origin::V2
        } else if context["elb"].is_object() && self.http_method.is_some() {
            Origin::LoadBalancer
        } else if self.version.as_deref() == Some("2.0") && context["serviceNetworkArn"].is_string() {
            Origin::Lattice
        } else if context.is_object() && (self.http_method.is_some() || context["connectionId"].is_string()) {
            Origin::V1
        } else {
            Origin::Other
        }
    }
}

/// Headers that are between two neighbours, and lengths, which are made anew.
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// What a path may not hold; what is escaped in it stays as it is.
const NOT_IN_PATH: AsciiSet =
    CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// What stays as it is in a query's names and values.
const ESCAPED_IN_QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request, and the form that its answer takes.
pub(super) struct Translated {
    pub(super) request: Request<Full<Bytes>>,
    pub(super) origin: Origin,
}

/// The request of an event. `context` is what the adapter tells of the invocation, as JSON.
pub(super) fn translate(settings: &Settings, payload: &Bytes, context: &str) -> Result<Translated, String> {
    let event: Event = serde_json::from_slice(payload).unwrap_or_default();
    let origin = event.origin();
    if origin == Origin::Other {
        return pass_through(settings, payload, context);
    }
    let method = match origin {
        Origin::V2 => event.request_context["http"]["method"].as_str(),
        _ => event.http_method.as_deref().or(event.method.as_deref()),
    };
    let method = Method::from_bytes(method.unwrap_or("GET").as_bytes());
    let mut request = Request::new(Full::new(body(&event)?));
    *request.method_mut() = method.map_err(|_| "the event's method is none of HTTP's".to_owned())?;
    *request.uri_mut() = uri(settings, origin, &event)?;
    *request.headers_mut() = headers(settings, origin, &event);
    tell(request.headers_mut(), &event.request_context.to_string(), context);
    Ok(Translated { request, origin })
}

fn pass_through(settings: &Settings, payload: &Bytes, context: &str) -> Result<Translated, String> {
    let mut request = Request::new(Full::new(payload.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path_and_query(&settings.pass_through, "")?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HOST, own_name(settings));
    tell(headers, "null", context);
    Ok(Translated { request, origin: Origin::Other })
}

/// What the adapter tells a server of its caller and of the invocation.
fn tell(headers: &mut HeaderMap, request_context: &str, lambda_context: &str) {
    let told = [("x-amzn-request-context", request_context), ("x-amzn-lambda-context", lambda_context)];
    for (name, text) in told {
        // JSON in one line has no control characters, so it is always fit.
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn body(event: &Event) -> Result<Bytes, String> {
    let text = event.body.as_deref().unwrap_or_default();
    match event.is_base64_encoded {
        Some(true) => BASE64_STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|error| format!("the event's body is no base64: {error}")),
        _ => Ok(Bytes::copy_from_slice(text.as_bytes())),
    }
}

fn uri(settings: &Settings, origin: Origin, event: &Event) -> Result<Uri, String> {
    let path = event.raw_path.as_deref().filter(|_| origin == Origin::V2).or(event.path.as_deref());
    let path = without_base(path.unwrap_or_default(), settings.base_path.as_deref());
    match (origin, &event.raw_query_string) {
        (Origin::V2, raw) => path_and_query(path, raw.as_deref().unwrap_or_default()),
        _ => path_and_query(path, &query(origin, event)),
    }
}

/// Exactly one leading occurrence, and only up to a `/`.
fn without_base<'a>(path: &'a str, base: Option<&str>) -> &'a str {
    let rest = base.and_then(|base| path.strip_prefix(base));
    rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path)
}

fn path_and_query(path: &str, query: &str) -> Result<Uri, String> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = utf8_percent_encode(path, &NOT_IN_PATH);
    let mark = if query.is_empty() { "" } else { "?" };
    let text = format!("{slash}{path}{mark}{query}");
    text.parse().map_err(|_| format!("{text:?} is no path of a request"))
}

/// API Gateway decodes queries; the others hand them on as they came.
fn query(origin: Origin, event: &Event) -> String {
    let several = event.multi_value_query_string_parameters.as_ref().filter(|all| !all.is_empty());
    let parameters = several.or(event.query_string_parameters.as_ref());
    let escape = |text: &str| match origin {
        Origin::V1 => utf8_percent_encode(text, &ESCAPED_IN_QUERY).to_string(),
        _ => text.to_owned(),
    };
    let pairs = parameters.into_iter().flatten().flat_map(|(name, value)| {
        texts(value).into_iter().map(move |value| format!("{}={}", escape(name), escape(value)))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// One text or several.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn headers(settings: &Settings, origin: Origin, event: &Event) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // What comes with all its values does not come again with the last of them.
    let several = event.multi_value_headers.as_ref().filter(|all| !all.is_empty());
    for (name, value) in several.or(event.headers.as_ref()).into_iter().flatten() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if HOP_BY_HOP.contains(&name) {
            continue;
        }
        for text in texts(value) {
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.append(name.clone(), value);
            }
        }
    }
    let cookies = event.cookies.as_deref().filter(|cookies| origin == Origin::V2 && !cookies.is_empty());
    if let Some(value) = cookies.and_then(|cookies| HeaderValue::from_str(&cookies.join("; ")).ok()) {
        headers.insert(COOKIE, value);
    }
    if !headers.contains_key(HOST) {
        let domain = event.request_context["domainName"].as_str();
        let named = domain.and_then(|domain| HeaderValue::from_str(domain).ok());
        headers.insert(HOST, named.unwrap_or_else(|| own_name(settings)));
    }
    let source = settings.authorization.as_deref();
    if let Some(value) = source.and_then(|source| headers.remove(source)) {
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

/// The server's own address, for requests that name no host.
pub(super) fn own_name(settings: &Settings) -> HeaderValue {
    let name = format!("{}:{}", settings.host, settings.port);
    HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("localhost"))
}

#[cfg(test)]
mod tests;
