//! A request as the event of a function URL, payload format 2.0. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Version};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::access::Caller;
use crate::peer::{Peer, authority, text, without_port};
use crate::table::{Function, RouteMatch};

/// What an event is made of, besides the request.
pub(super) struct Event<'a> {
    pub(super) function: &'a Function,
    pub(super) route: &'a RouteMatch,
    /// The path the function sees.
    pub(super) path: &'a str,
    pub(super) peer: Peer,
    pub(super) caller: Option<&'a Caller>,
    pub(super) region: &'a str,
    pub(super) account_id: &'a str,
    pub(super) request_id: &'a str,
    pub(super) now: Timestamp,
}

impl Event<'_> {
    /// The event.
    pub(super) fn build(&self, parts: &Parts, body: &[u8]) -> Value {
        let query = parts.uri.query().unwrap_or_default();
        let mut event = json!({
            "version": "2.0",
            "routeKey": self.route.key,
            "rawPath": self.path,
            "rawQueryString": query,
            "headers": self.headers(parts),
            "requestContext": self.context(parts),
            "isBase64Encoded": false,
        });
        // What a request has not is left out, as AWS does.
        let mut set = |name: &str, value: Value| event[name] = value;
        let cookies = cookies(&parts.headers);
        if !cookies.is_empty() {
            set("cookies", json!(cookies));
        }
        if !query.is_empty() {
            set("queryStringParameters", json!(query_parameters(query)));
        }
        if !self.route.parameters.is_empty() {
            let parameters: Map<String, Value> =
                self.route.parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            set("pathParameters", Value::Object(parameters));
        }
        if !body.is_empty() {
            match std::str::from_utf8(body).ok().filter(|_| is_text(text(&parts.headers, &CONTENT_TYPE))) {
                Some(plain) => set("body", json!(plain)),
                None => {
                    set("body", json!(STANDARD.encode(body)));
                    set("isBase64Encoded", json!(true));
                }
            }
        }
        event
    }

    /// Names in lower case, several values joined; cookies have a place of their own.
    fn headers(&self, parts: &Parts) -> Map<String, Value> {
        let mut joined: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &parts.headers {
            if name == COOKIE {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            joined
                .entry(name.as_str().to_owned())
                .and_modify(|all| *all = format!("{all},{value}"))
                .or_insert(value.into());
        }
        joined
            .entry(HOST.as_str().to_owned())
            .or_insert_with(|| authority(&parts.uri, &parts.headers).to_owned());
        let address = self.peer.address.ip().to_string();
        let forwarded = joined.get("x-forwarded-for").map(|before| format!("{before}, {address}"));
        joined.insert("x-forwarded-for".to_owned(), forwarded.unwrap_or(address));
        joined.insert("x-forwarded-proto".to_owned(), self.peer.scheme().to_owned());
        let port = authority(&parts.uri, &parts.headers).rsplit_once(':').map(|(_, port)| port);
        let port = port.unwrap_or(if self.peer.secure { "443" } else { "80" });
        joined.insert("x-forwarded-port".to_owned(), port.to_owned());
        joined.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
    }

    fn context(&self, parts: &Parts) -> Value {
        // A function made with kubectl may have a URL without an id; it is reached by path then.
        let id = if self.function.id.is_empty() { &self.function.name } else { &self.function.id };
        let asked = without_port(authority(&parts.uri, &parts.headers));
        // By path there is no host name that tells the function; the event carries the one it has on AWS's pattern.
        let named = asked.split('.').next() == Some(id.as_str());
        let domain =
            if named { asked.to_owned() } else { format!("{id}.lambda-url.{}.localhost", self.region) };
        let mut context = json!({
            "accountId": if self.caller.is_some() { self.account_id } else { "anonymous" },
            "apiId": id,
            "domainName": domain,
            "domainPrefix": id,
            "http": {
                "method": parts.method.as_str(),
                "path": self.path,
                "protocol": protocol(parts.version),
                "sourceIp": self.peer.address.ip().to_string(),
                "userAgent": text(&parts.headers, &USER_AGENT),
            },
            "requestId": self.request_id,
            "routeKey": self.route.key,
            "stage": "$default",
            "time": self.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": self.now.as_millisecond(),
        });
        if let Some(caller) = self.caller {
            let account = self.account_id;
            context["authorizer"] = json!({ "iam": {
                "accessKey": caller.access_key,
                "accountId": account,
                "callerId": caller.id,
                "cognitoIdentity": null,
                "principalOrgId": null,
                "userArn": caller.arn,
                "userId": caller.id,
            }});
        }
        context
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split("; "))
        .filter(|cookie| !cookie.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Decoded; several values of one name joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name), decode(value));
        parameters.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
    parameters
}

/// The bodies that AWS hands on as text; a form is not among them. Without a type, text is what decodes as text.
fn is_text(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.is_empty()
        || kind.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&kind.as_str())
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

#[cfg(test)]
mod tests;
