//! Requests to functions.

use ::functions::{FunctionError, InvokeError, Outcome, Throttle, ThrottleReason};
use serde_json::{Value, json};

use super::api::Api;
use super::house::{House, LONG, api, outcome};

fn function(name: &str, url: Value) -> Value {
    json!({
        "apiVersion": "dory.dev/v1", "kind": "Function",
        "metadata": { "name": name, "namespace": "default", "uid": name, "resourceVersion": "1" },
        "spec": { "runtime": "provided.al2023", "url": url, "policy": OPEN },
    })
}

/// What lets everybody call a function's URL.
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"*",
     "Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}}},
    {"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"*",
     "Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}]}"#;

fn with_functions() -> Api {
    let routes = ["GET /users/{userId}"];
    api(&[]).with(
        "functions",
        vec![
            function("hello", json!({ "id": "hello1", "authType": "NONE" })),
            function("users", json!({ "id": "users1", "authType": "NONE", "routes": routes })),
            function("secret", json!({ "id": "secret1", "authType": "AWS_IAM" })),
            with_policy(function("closed", json!({ "id": "closed1", "authType": "NONE" })), None),
            with_policy(
                function("half", json!({ "id": "half1", "authType": "NONE" })),
                Some(&OPEN.replace("lambda:InvokeFunction\"", "lambda:GetFunction\"")),
            ),
            with_policy(
                function("denied", json!({ "id": "denied1", "authType": "AWS_IAM" })),
                Some(&OPEN.replacen("Allow", "Deny", 1).replacen("NONE", "AWS_IAM", 1)),
            ),
            function(
                "shared",
                json!({ "id": "shared1", "authType": "NONE", "cors": { "allowOrigins": ["https://a.test"], "allowMethods": ["GET"] } }),
            ),
        ],
    )
}

fn with_policy(mut function: Value, policy: Option<&str>) -> Value {
    function["spec"]["policy"] = json!(policy);
    function
}

#[tokio::test]
async fn without_a_policy_that_lets_everybody_call_nobody_may() {
    let house = House::open(&with_functions()).await;
    for id in ["closed1", "half1", "secret1", "denied1"] {
        let got = house.get(&format!("{id}.lambda-url.us-east-1.localhost"), "/").await;
        assert!(
            got.starts_with("HTTP/1.1 403") && got.ends_with(r#"{"Message":"Forbidden"}"#),
            "{id}: {got}"
        );
        assert!(got.contains("x-amzn-errortype: AccessDeniedException"), "{id}: {got}");
    }
    assert!(house.functions.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_alias_has_a_url_and_a_policy_of_its_own() {
    let resource = "arn:aws:lambda:us-east-1:000000000000:function:closed:live";
    let alias = json!({
        "apiVersion": "dory.dev/v1", "kind": "FunctionAlias",
        "metadata": { "name": "closed.live", "namespace": "default", "uid": "alias", "resourceVersion": "1" },
        "spec": {
            "functionName": "closed", "name": "live", "functionVersion": "1",
            "url": { "id": "live1", "authType": "NONE" }, "policy": OPEN.replace("\"Resource\":\"*\"", &format!("\"Resource\":\"{resource}\"")),
        },
    });
    let house = House::open(&with_functions().with("functionaliases", vec![alias])).await;
    let got = house.get("live1.lambda-url.us-east-1.localhost", "/").await;
    assert!(got.starts_with("HTTP/1.1 200"), "{got}");
    let invocation = house.functions.seen.lock().unwrap().pop().unwrap();
    assert_eq!((invocation.name.as_str(), invocation.qualifier.as_deref()), ("closed", Some("live")));
}

#[tokio::test]
async fn browsers_are_told_what_they_may_do() {
    let house = House::open(&with_functions()).await;
    let host = "shared1.lambda-url.us-east-1.localhost";
    let ask = format!(
        "OPTIONS / HTTP/1.1\r\nHost: {host}\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: GET"
    );
    let got = house.ask(&ask, "").await;
    assert!(got.starts_with("HTTP/1.1 200") && got.contains("access-control-allow-methods: GET"), "{got}");
    assert!(house.functions.seen.lock().unwrap().is_empty());
    let got = house.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: https://a.test"), "").await;
    assert!(got.contains("access-control-allow-origin: https://a.test"), "{got}");
    assert_eq!(house.functions.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_becomes_an_event_and_its_answer_a_response() {
    let answer = r#"{"statusCode":201,"headers":{"X-Mine":"1"},"cookies":["a=b"],"body":"made"}"#;
    let house = House::with(&with_functions(), move |_| Ok(outcome(answer))).await;
    for (host, prefix) in [("hello1.lambda-url.us-east-1.localhost", ""), ("127.0.0.1", "/_/default/hello")] {
        let head =
            format!("POST {prefix}/items?x=1 HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json");
        let got = house.ask(&head, "{\"n\":1}").await;
        assert!(got.starts_with("HTTP/1.1 201 Created\r\n") && got.ends_with("\r\n\r\nmade"), "{got}");
        for header in ["x-mine: 1", "set-cookie: a=b", "x-amzn-requestid: request-1"] {
            assert!(got.contains(header), "{header} in {got}");
        }
        let invocation = house.functions.seen.lock().unwrap().pop().unwrap();
        assert_eq!((invocation.namespace.as_str(), invocation.name.as_str()), ("default", "hello"));
        let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
        assert_eq!(event["rawPath"], "/items");
        assert_eq!(event["body"], "{\"n\":1}");
        assert_eq!(event["requestContext"]["domainName"], "hello1.lambda-url.us-east-1.localhost");
    }
}

#[tokio::test]
async fn routes_give_path_parameters_and_refuse_the_rest() {
    let house = House::open(&with_functions()).await;
    let found = house.get("users1.lambda-url.us-east-1.localhost", "/users/42").await;
    assert!(found.starts_with("HTTP/1.1 200"), "{found}");
    let invocation = house.functions.seen.lock().unwrap().pop().unwrap();
    let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
    assert_eq!(event["pathParameters"], json!({ "userId": "42" }));
    assert_eq!(event["routeKey"], "GET /users/{userId}");
    let missing = house.get("users1.lambda-url.us-east-1.localhost", "/").await;
    assert!(
        missing.starts_with("HTTP/1.1 404") && missing.ends_with("{\"message\":\"Not Found\"}"),
        "{missing}"
    );
    assert!(house.functions.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn failures_look_as_on_aws() {
    let api = with_functions();
    let house = House::with(&api, |invocation| {
        let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
        match event["rawPath"].as_str().unwrap() {
            "/throw" => {
                let error = Some(FunctionError::Unhandled);
                Ok(Outcome { error, ..outcome(r#"{"errorMessage":"secret"}"#) })
            }
            "/nonsense" => Ok(outcome(r#"{"statusCode":"nonsense"}"#)),
            "/throttle" => Err(InvokeError::TooManyRequests(Throttle {
                reason: ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded,
                retry_after_s: 7,
            })),
            _ => Err(InvokeError::NotFound("hello".to_owned())),
        }
    });
    let house = house.await;
    for (path, status, body) in [
        ("/throw", "502", "Internal Server Error"),
        ("/nonsense", "502", "Internal Server Error"),
        ("/throttle", "429", "Rate Exceeded."),
        ("/gone", "404", "Function not found: hello"),
    ] {
        let got = house.get("hello1.lambda-url.us-east-1.localhost", path).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")) && got.contains(body), "{path}: {got}");
        assert!(!got.contains("secret"), "{got}");
    }
    let nobody = house.get("zzz.lambda-url.us-east-1.localhost", "/").await;
    assert!(nobody.starts_with("HTTP/1.1 404"), "{nobody}");
    let head = "POST / HTTP/1.1\r\nHost: hello1.lambda-url.us-east-1.localhost";
    let large = house.ask(head, &"x".repeat(6 * 1024 * 1024 + 1)).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{}", &large[..200.min(large.len())]);
}

#[tokio::test]
async fn aws_iam_functions_want_a_valid_signature_for_lambda() {
    let house = House::open(&with_functions()).await;
    let host = "secret1.lambda-url.us-east-1.localhost";
    let bare = house.get(host, "/").await;
    assert!(bare.starts_with("HTTP/1.1 403") && bare.contains("Message"), "{bare}");
    for (service, key, status) in
        [("lambda", "secret", "200"), ("s3", "secret", "403"), ("lambda", "wrong", "403")]
    {
        let request = http::Request::get("/").header("host", host);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let credentials = sigv4::Credentials {
            access_key_id: "AKIATEST".to_owned(),
            secret_access_key: key.to_owned(),
            session_token: None,
        };
        let empty = sigv4::hex_sha256(b"");
        sigv4::sign(&mut parts, &empty, &credentials, "us-east-1", service, jiff::Timestamp::now());
        let mut head = "GET / HTTP/1.1".to_owned();
        for (name, value) in &parts.headers {
            head.push_str(&format!("\r\n{name}: {}", value.to_str().unwrap()));
        }
        let got = tokio::time::timeout(LONG, house.ask(&head, "")).await.unwrap();
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{service} {key}: {got}");
    }
    let invocation = house.functions.seen.lock().unwrap().pop().unwrap();
    let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
    assert_eq!(event["requestContext"]["authorizer"]["iam"]["accessKey"], "AKIATEST");
}
