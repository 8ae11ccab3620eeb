//! Inputs as they should not be, and the words they are refused with.

use super::*;
use http::Request;
use serde_json::json;

fn refuse(operation: &str, uri: &str, body: Value) -> String {
    let (parts, ()) = Request::get(uri).body(()).expect("a request").into_parts();
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let principal = sigv4::Principal::Account;
    let (access_key_id, region, service) = (String::new(), String::new(), "lambda".to_owned());
    let caller = sigv4::Caller { access_key_id, region, service, principal };
    let call = Call { parts, body: body.into(), caller, json: true, request_id: "".into() };
    let path = || vec![("FunctionName", "hello"), ("LayerName", "l"), ("VersionNumber", "1")];
    match check(operation, path, &call) {
        Ok(()) => "fine".to_owned(),
        Err(fault) => format!("{}: {}", fault.code, fault.message),
    }
}

#[test]
fn each_constraint_has_its_words() {
    let memory = |value: Value| refuse("UpdateFunctionConfiguration", "/", json!({ "MemorySize": value }));
    assert_eq!(memory(json!(256)), "fine");
    assert_eq!(
        memory(json!(64)),
        "ValidationException: 1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: \
         Member must have value greater than or equal to 128"
    );
    assert_eq!(
        memory(json!("256")),
        "SerializationException: STRING_VALUE can not be converted to an Integer (at memorySize)"
    );
    assert_eq!(
        refuse("AddPermission", "/", json!({ "StatementId": "a b", "Action": "lambda:InvokeFunction" })),
        "ValidationException: 2 validation errors detected: Value 'a b' at 'statementId' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+); Value null at 'principal' failed to satisfy \
         constraint: Member must not be null"
    );
    assert_eq!(
        refuse("CreateFunctionUrlConfig", "/", json!({ "AuthType": "OPEN" })),
        "ValidationException: 1 validation error detected: Value 'OPEN' at 'authType' failed to satisfy constraint: \
         Member must satisfy enum value set: [NONE, AWS_IAM]"
    );
}

#[test]
fn what_is_inside_is_checked_too() {
    assert_eq!(
        refuse(
            "UpdateFunctionUrlConfig",
            "/",
            json!({ "Cors": { "MaxAge": 86_401, "AllowMethods": ["GET", "CONNECTED"] } })
        ),
        "ValidationException: 2 validation errors detected: Value '[GET, CONNECTED]' at 'cors.allowMethods' failed to \
         satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 6]; Value \
         '86401' at 'cors.maxAge' failed to satisfy constraint: Member must have value less than or equal to 86400"
    );
    let tags = |tags: Value| refuse("TagResource", "/", json!({ "Tags": tags }));
    assert!(
        tags(json!({ "a*": "b" })).contains(
            "at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must"
        )
    );
    assert!(
        tags(json!({ "a": "b".repeat(257) }))
            .contains("Map value must satisfy constraint: [Member must have length less")
    );
    assert!(tags(json!([])).starts_with("SerializationException: START_ARRAY"));
}

#[test]
fn queries_are_read_as_what_they_mean() {
    assert_eq!(refuse("ListLayers", "/?MaxItems=50&CompatibleArchitecture=arm64", Value::Null), "fine");
    assert!(refuse("ListLayers", "/?MaxItems=51", Value::Null).contains("less than or equal to 50"));
    assert!(refuse("ListLayers", "/?MaxItems=x", Value::Null).starts_with("SerializationException"));
    assert!(refuse("ListLayers", "/?CompatibleArchitecture=mips", Value::Null).contains("[x86_64, arm64]"));
    assert!(
        refuse("UntagResource", "/", Value::Null)
            .contains("'tagKeys' failed to satisfy constraint: Member must not be null")
    );
}
