//! Events as AWS documents them.

use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Caller, Event};
use crate::peer::Peer;
use crate::table::{Function, RouteMatch};

fn build(request: http::request::Builder, body: &[u8], caller: Option<&Caller>) -> Value {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let object = json!({
        "metadata": { "name": "users", "namespace": "default" },
        "spec": { "url": { "id": "abc123", "authType": "NONE" } },
    });
    let function = Function::read(&object).unwrap();
    let parameters = vec![("userId".to_owned(), "42".to_owned())];
    let event = Event {
        function: &function,
        route: &RouteMatch { key: "GET /users/{userId}".to_owned(), parameters },
        path: "/users/42",
        peer: Peer { address: "192.0.2.7:4711".parse().unwrap(), secure: false },
        caller,
        region: "us-east-1",
        account_id: "000000000000",
        request_id: "id-1",
        now: Timestamp::from_second(1_583_348_638).unwrap(),
    };
    event.build(&parts, body)
}

#[test]
fn a_whole_event() {
    let request = Request::get("http://localhost/users/42?a=1&b=x%20y&a=2&c")
        .header("Host", "abc123.lambda-url.us-east-1.localhost:8080")
        .header("X-One", "1")
        .header("X-One", "2")
        .header("Cookie", "a=b; c=d")
        .header("User-Agent", "curl/8");
    // HTTP/1.1 requests name the path only; the host is in the header.
    let request = request.uri("/users/42?a=1&b=x%20y&a=2&c");
    assert_eq!(
        build(request, b"", None),
        json!({
            "version": "2.0",
            "routeKey": "GET /users/{userId}",
            "rawPath": "/users/42",
            "rawQueryString": "a=1&b=x%20y&a=2&c",
            "cookies": ["a=b", "c=d"],
            "headers": {
                "host": "abc123.lambda-url.us-east-1.localhost:8080",
                "x-one": "1,2",
                "user-agent": "curl/8",
                "x-forwarded-for": "192.0.2.7",
                "x-forwarded-port": "8080",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": { "a": "1,2", "b": "x y", "c": "" },
            "pathParameters": { "userId": "42" },
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "abc123",
                "domainName": "abc123.lambda-url.us-east-1.localhost",
                "domainPrefix": "abc123",
                "http": {
                    "method": "GET",
                    "path": "/users/42",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.7",
                    "userAgent": "curl/8",
                },
                "requestId": "id-1",
                "routeKey": "GET /users/{userId}",
                "stage": "$default",
                "time": "04/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_000_i64,
            },
            "isBase64Encoded": false,
        })
    );
}

#[test]
fn bodies_are_text_or_base64_by_their_type() {
    for (kind, body, expected, encoded) in [
        ("application/json", &b"{\"a\":1}"[..], "{\"a\":1}", false),
        ("text/plain; charset=utf-8", "gr\u{fc}n".as_bytes(), "gr\u{fc}n", false),
        ("application/vnd.api+json", b"{}", "{}", false),
        ("application/x-www-form-urlencoded", b"a=b", "YT1i", true),
        ("application/octet-stream", b"abc", "YWJj", true),
        ("text/plain", b"\xff\xfe", "//4=", true),
    ] {
        let event = build(Request::post("/").header("Content-Type", kind), body, None);
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!(expected), &json!(encoded)),
            "{kind}"
        );
    }
    assert!(build(Request::post("/"), b"", None).get("body").is_none());
}

#[test]
fn a_signed_request_tells_who() {
    let arn = "arn:aws:sts::000000000000:assumed-role/worker/ada".to_owned();
    let caller = Caller { access_key: "ASIA1".to_owned(), arn: arn.clone(), id: "AROA1:ada".to_owned() };
    let event = build(Request::get("/"), b"", Some(&caller));
    assert_eq!(event["requestContext"]["accountId"], "000000000000");
    let iam = json!({
        "accessKey": "ASIA1", "accountId": "000000000000", "callerId": "AROA1:ada", "cognitoIdentity": null,
        "principalOrgId": null, "userArn": arn, "userId": "AROA1:ada",
    });
    assert_eq!(event["requestContext"]["authorizer"]["iam"], iam);
    assert_eq!(
        event["requestContext"]["domainName"], "abc123.lambda-url.us-east-1.localhost",
        "asked by path"
    );
}
