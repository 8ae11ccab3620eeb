//! The `Cors` of a function URL, as requests carry it and as the object keeps it. Pure.

use serde_json::{Map, Value, json};
use wire::Fault;

/// As the API spells it, and as the object does.
const MEMBERS: &[(&str, &str)] = &[
    ("AllowCredentials", "allowCredentials"),
    ("AllowHeaders", "allowHeaders"),
    ("AllowMethods", "allowMethods"),
    ("AllowOrigins", "allowOrigins"),
    ("ExposeHeaders", "exposeHeaders"),
    ("MaxAge", "maxAge"),
];

/// Methods that can be allowed. `OPTIONS` needs no permission: it is how browsers ask.
const METHODS: &[&str] = &["GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"];

/// The fields for the object; none when the request has no `Cors`, empty when it takes it away.
pub(super) fn read(input: &Map<String, Value>) -> Result<Option<Map<String, Value>>, Fault> {
    let Some(cors) = input.get("Cors").and_then(Value::as_object) else { return Ok(None) };
    let mut fields = Map::new();
    for (member, value) in cors.iter().filter(|(_, value)| !value.is_null()) {
        let Some((_, field)) = MEMBERS.iter().find(|(name, _)| name == member) else {
            return Err(Fault::unsupported(&format!("Cors.{member}")));
        };
        fields.insert((*field).to_owned(), value.clone());
    }
    let texts = |field: &str| {
        fields.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    };
    if let Some(method) = texts("allowMethods").find(|method| !METHODS.contains(method)) {
        return Err(Fault::invalid_parameter(format!(
            "AllowMethods cannot hold {method}. Allowed are {}.",
            METHODS.join(", ")
        )));
    }
    if let Some(origin) = texts("allowOrigins").find(|origin| !is_origin(origin)) {
        return Err(Fault::invalid_parameter(format!(
            "AllowOrigins cannot hold {origin}. An origin is * or has a scheme and a host, such as \
             https://www.example.com or http://localhost:60905."
        )));
    }
    Ok(Some(fields))
}

pub(super) fn show(fields: &Map<String, Value>) -> Value {
    let members = MEMBERS
        .iter()
        .filter_map(|(member, field)| Some(((*member).to_owned(), fields.get(*field)?.clone())));
    json!(members.collect::<Map<_, _>>())
}

fn is_origin(text: &str) -> bool {
    text == "*"
        || text
            .split_once("://")
            .is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty() && !host.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cors: Value) -> Result<Option<Value>, String> {
        let input = json!({ "Cors": cors });
        let read = read(input.as_object().expect("an object"));
        read.map(|fields| fields.map(|fields| show(&fields))).map_err(|fault| fault.message)
    }

    #[test]
    fn what_goes_in_comes_out() {
        let whole = json!({
            "AllowCredentials": true, "AllowHeaders": ["x-a"], "AllowMethods": ["GET", "*"],
            "AllowOrigins": ["*", "https://example.com"], "ExposeHeaders": ["x-b"], "MaxAge": 60,
        });
        assert_eq!(of(whole.clone()), Ok(Some(whole)));
        assert_eq!(of(json!({})), Ok(Some(json!({}))));
        assert_eq!(of(Value::Null), Ok(None));
        assert!(of(json!({ "AllowMethods": ["TRACE"] })).expect_err("no method").contains("TRACE"));
        assert!(
            of(json!({ "AllowOrigins": ["example.com"] })).expect_err("no origin").contains("example.com")
        );
        assert!(of(json!({ "Whatever": 1 })).is_err());
    }
}
