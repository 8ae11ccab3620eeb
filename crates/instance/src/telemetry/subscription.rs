//! The document with which an extension subscribes, read and checked. Pure. Bounds are Lambda's ("Telemetry API reference",
//! "Using the Lambda Logs API", developer guide).

use super::event::Category;
use http::Uri;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

const MAX_BYTES: std::ops::RangeInclusive<u64> = 262_144..=1_048_576;
const MAX_ITEMS: std::ops::RangeInclusive<u64> = 1_000..=10_000;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 25..=30_000;

/// Ports that the platform itself listens on inside.
const OWN_PORTS: [u16; 2] = [crate::runtime_api::API_PORT, crate::door::DOOR_PORT];

/// Which of the two APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Telemetry,
    Logs,
}

/// What the records look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// 2020-08-15: no `platform.runtimeDone`.
    Logs2020,
    /// 2021-03-18
    Logs2021,
    /// 2022-07-01
    Telemetry2022,
    /// 2022-12-13 and 2025-01-29: lines of functions that log JSON are objects.
    TelemetryObjects,
}

/// Where the records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// As arrays of records.
    Http {
        port: u16,
        /// With the query.
        path: String,
        host: String,
        put: bool,
    },
    /// As lines.
    Tcp { port: u16 },
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) schema: Schema,
    pub(super) categories: Vec<Category>,
    pub(super) destination: Destination,
    pub(super) max_bytes: usize,
    pub(super) max_items: usize,
    pub(super) timeout: Duration,
}

/// What is wrong with a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<String>,
    types: Option<Vec<String>>,
    destination: Option<Target>,
    buffering: Option<Buffering>,
}

#[derive(Deserialize)]
struct Target {
    protocol: Option<String>,
    #[serde(rename = "URI", alias = "uri")]
    uri: Option<String>,
    port: Option<Value>,
    method: Option<String>,
    encoding: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Buffering {
    max_bytes: Option<Value>,
    max_items: Option<Value>,
    timeout_ms: Option<Value>,
}

fn unfit<T>(reason: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit(reason.into()))
}

impl Subscription {
    pub(super) fn read(api: Api, document: &[u8]) -> Result<Subscription, Unfit> {
        let document: Document =
            serde_json::from_slice(document).map_err(|error| Unfit(format!("Invalid JSON: {error}")))?;
        let schema = schema(api, document.schema_version.as_deref())?;
        let mut categories = Vec::new();
        for text in document.types.unwrap_or_default() {
            let Some(category) = Category::read(&text) else {
                return unfit(format!(
                    "types: {text:?} is none of \"platform\", \"function\", \"extension\""
                ));
            };
            if !categories.contains(&category) {
                categories.push(category);
            }
        }
        if categories.is_empty() {
            return unfit("types: at least one is required");
        }
        let Some(target) = document.destination else { return unfit("destination is required") };
        let buffering = document.buffering.unwrap_or_default();
        let bound =
            |name: &str, value: Option<Value>, bounds: std::ops::RangeInclusive<u64>, default: u64| {
                let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(default) };
                match value.as_u64().filter(|number| bounds.contains(number)) {
                    Some(number) => Ok(number),
                    None => unfit(format!(
                        "buffering.{name}: {value} is not a whole number from {} to {}",
                        bounds.start(),
                        bounds.end()
                    )),
                }
            };
        let max_bytes = bound("maxBytes", buffering.max_bytes, MAX_BYTES, 262_144)?;
        let max_items = bound("maxItems", buffering.max_items, MAX_ITEMS, 10_000)?;
        let timeout_ms = bound("timeoutMs", buffering.timeout_ms, TIMEOUT_MS, 1_000)?;
        Ok(Subscription {
            schema,
            categories,
            destination: destination(target)?,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            max_items: usize::try_from(max_items).unwrap_or(usize::MAX),
            timeout: Duration::from_millis(timeout_ms),
        })
    }
}

fn schema(api: Api, version: Option<&str>) -> Result<Schema, Unfit> {
    match (api, version) {
        (Api::Telemetry, Some("2022-07-01")) => Ok(Schema::Telemetry2022),
        (Api::Telemetry, Some("2022-12-13" | "2025-01-29")) => Ok(Schema::TelemetryObjects),
        (Api::Telemetry, None) => unfit("schemaVersion is required"),
        (Api::Logs, Some("2020-08-15") | None) => Ok(Schema::Logs2020),
        (Api::Logs, Some("2021-03-18")) => Ok(Schema::Logs2021),
        (_, Some(other)) => unfit(format!("schemaVersion: {other:?} is not supported")),
    }
}

fn destination(target: Target) -> Result<Destination, Unfit> {
    if target.encoding.as_deref().is_some_and(|encoding| encoding != "JSON") {
        return unfit("destination.encoding: only \"JSON\" is supported");
    }
    match target.protocol.as_deref() {
        Some("HTTP") => http_destination(target.uri.as_deref(), target.method.as_deref()),
        Some("TCP") => {
            let port = target.port.as_ref().and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
            Ok(Destination::Tcp { port: usable(port)? })
        }
        _ => unfit("destination.protocol must be \"HTTP\" or \"TCP\""),
    }
}

fn http_destination(uri: Option<&str>, method: Option<&str>) -> Result<Destination, Unfit> {
    let put = match method {
        None | Some("POST") => false,
        Some("PUT") => true,
        Some(other) => {
            return unfit(format!("destination.method: {other:?} is neither \"POST\" nor \"PUT\""));
        }
    };
    let Some(text) = uri else { return unfit("destination.URI is required") };
    let Ok(uri) = text.parse::<Uri>() else {
        return unfit(format!("destination.URI: {text:?} is not a URI"));
    };
    let host = uri.host().unwrap_or_default();
    if uri.scheme_str() != Some("http") || !["sandbox.localdomain", "sandbox"].contains(&host) {
        return unfit(format!(
            "destination.URI: {text:?} is not of the form http://sandbox.localdomain:PORT/PATH"
        ));
    }
    let port = usable(Some(uri.port_u16().unwrap_or(80)))?;
    let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    Ok(Destination::Http { port, path, host: format!("{host}:{port}"), put })
}

fn usable(port: Option<u16>) -> Result<u16, Unfit> {
    match port {
        Some(port) if port != 0 && !OWN_PORTS.contains(&port) => Ok(port),
        Some(port) => unfit(format!("destination: port {port} is reserved")),
        None => unfit("destination.port must be a whole number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(api: Api, change: Value) -> Result<Subscription, Unfit> {
        let mut document = json!({
            "schemaVersion": "2022-12-13", "types": ["platform", "function"],
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/in?a=b"},
        });
        for (name, value) in change.as_object().expect("members") {
            document[name] = value.clone();
        }
        Subscription::read(api, document.to_string().as_bytes())
    }

    #[test]
    fn defaults_and_destinations() {
        let plain = read(Api::Telemetry, json!({})).expect("fit");
        assert_eq!((plain.max_bytes, plain.max_items), (262_144, 10_000));
        assert_eq!(plain.timeout, Duration::from_secs(1));
        let Destination::Http { port, path, host, put } = plain.destination else { panic!("not HTTP") };
        assert_eq!(
            (port, path.as_str(), host.as_str(), put),
            (8080, "/in?a=b", "sandbox.localdomain:8080", false)
        );
        let tcp = json!({"destination": {"protocol": "TCP", "port": 7000}, "schemaVersion": "2022-07-01"});
        assert_eq!(read(Api::Telemetry, tcp).expect("fit").destination, Destination::Tcp { port: 7000 });
        let logs = json!({"schemaVersion": "2021-03-18", "destination":
            {"protocol": "HTTP", "URI": "http://sandbox:9002", "method": "PUT", "encoding": "JSON"}});
        assert_eq!(read(Api::Logs, logs).expect("fit").schema, Schema::Logs2021);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let uri = |uri: &str| json!({"destination": {"protocol": "HTTP", "URI": uri}});
        for (change, named) in [
            (json!({"schemaVersion": "2021-03-18"}), "schemaVersion"),
            (json!({"types": []}), "types"),
            (json!({"types": ["metrics"]}), "types"),
            (json!({"destination": {"protocol": "UDP"}}), "destination.protocol"),
            (json!({"destination": {"protocol": "TCP", "port": 70_000}}), "destination.port"),
            (uri("http://example.com:80/"), "destination.URI"),
            (uri("https://sandbox.localdomain:8080"), "destination.URI"),
            (uri("http://sandbox.localdomain:9001"), "port 9001 is reserved"),
            (json!({"buffering": {"maxBytes": 1024}}), "buffering.maxBytes"),
            (json!({"buffering": {"maxItems": 999}}), "buffering.maxItems"),
            (json!({"buffering": {"timeoutMs": 30_001}}), "buffering.timeoutMs"),
            (json!({"buffering": {"timeoutMs": "fast"}}), "buffering.timeoutMs"),
        ] {
            let Unfit(reason) = read(Api::Telemetry, change.clone()).expect_err("unfit");
            assert!(reason.contains(named), "{change}: {reason}");
        }
        assert!(Subscription::read(Api::Logs, b"{").is_err());
    }
}
