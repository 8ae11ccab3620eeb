//! Events as requests, a case for each kind of source.

use super::*;
use http_body_util::BodyExt;
use serde_json::json;
use std::collections::BTreeMap;

fn settings(more: &[(&str, &str)]) -> Settings {
    let port = [("AWS_LWA_PORT", "8000")];
    let all = port.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::read(&all.collect::<BTreeMap<_, _>>(), true, false).expect("fit settings").expect("a server")
}

/// Method and target, sorted headers, body.
fn read_with(more: &[(&str, &str)], event: Value) -> (Origin, String) {
    let payload = Bytes::from(event.to_string());
    let translated = match translate(&settings(more), &payload, "{}") {
        Ok(translated) => translated,
        Err(problem) => return (Origin::Other, problem),
    };
    let (parts, body) = translated.request.into_parts();
    let told = ["x-amzn-lambda-context", "x-amzn-request-context"];
    let mut headers: Vec<String> = parts
        .headers
        .iter()
        .filter(|(name, _)| !told.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={}", value.to_str().expect("text")))
        .collect();
    headers.sort();
    let body = futures::executor::block_on(body.collect()).expect("a body").to_bytes();
    let body = String::from_utf8_lossy(&body);
    (translated.origin, format!("{} {} [{}] {body}", parts.method, parts.uri, headers.join(" ")))
}

fn read(event: Value) -> (Origin, String) {
    read_with(&[], event)
}

#[test]
fn payload_2() {
    let event = json!({
        "version": "2.0", "rawPath": "/a b/%7Bx%7D", "rawQueryString": "q=%20&q=2",
        "headers": {"host": "x.lambda-url", "content-length": "99", "connection": "close", "x-a": "1,2"},
        "cookies": ["a=1", "b=2"], "body": "aGk=", "isBase64Encoded": true,
        "requestContext": {"http": {"method": "PUT"}, "domainName": "d"},
    });
    let read = read(event);
    let wanted = "PUT /a%20b/%7Bx%7D?q=%20&q=2 [cookie=a=1; b=2 host=x.lambda-url x-a=1,2] hi";
    assert_eq!(read, (Origin::V2, wanted.to_owned()));
}

#[test]
fn payload_1() {
    let event = json!({
        "httpMethod": "GET", "path": "/p", "headers": {"x-a": "2"}, "multiValueHeaders": {"x-a": ["1", "2"]},
        "queryStringParameters": {"q": "2"}, "multiValueQueryStringParameters": {"q": ["1 &", "2"]},
        "body": null, "isBase64Encoded": false, "requestContext": {"stage": "prod", "domainName": "api"},
    });
    assert_eq!(read(event), (Origin::V1, "GET /p?q=1%20%26&q=2 [host=api x-a=1 x-a=2] ".to_owned()));
}

#[test]
fn load_balancers_and_lattice_hand_queries_on_as_they_came() {
    let event = json!({
        "httpMethod": "POST", "path": "/p", "headers": {"host": "lb"}, "queryStringParameters": {"q": "a%20b"},
        "body": "x", "requestContext": {"elb": {"targetGroupArn": "arn"}},
    });
    assert_eq!(read(event), (Origin::LoadBalancer, "POST /p?q=a%20b [host=lb] x".to_owned()));
    let event = json!({
        "version": "2.0", "method": "GET", "path": "/p", "headers": {"host": ["v"]},
        "queryStringParameters": {"q": ["1"]}, "requestContext": {"serviceNetworkArn": "arn"},
    });
    assert_eq!(read(event), (Origin::Lattice, "GET /p?q=1 [host=v] ".to_owned()));
}

#[test]
fn what_is_no_request_is_posted() {
    let posted = |more: &[(&str, &str)], event: Value| read_with(more, event);
    let wanted = |path: &str, body: &str| {
        format!("POST {path} [content-type=application/json host=127.0.0.1:8000] {body}")
    };
    assert_eq!(posted(&[], json!({"Records": []})), (Origin::Other, wanted("/events", r#"{"Records":[]}"#)));
    assert_eq!(posted(&[], json!([1])), (Origin::Other, wanted("/events", "[1]")));
    let path = ("AWS_LWA_PASS_THROUGH_PATH", "hook");
    assert_eq!(posted(&[path], json!(null)), (Origin::Other, wanted("/hook", "null")));
}

#[test]
fn a_base_path_goes_once_and_only_whole() {
    let path = |raw: &str| {
        let event = json!({"rawPath": raw, "requestContext": {"http": {"method": "GET"}}});
        let read = read_with(&[("AWS_LWA_REMOVE_BASE_PATH", "/api/")], event).1;
        read.split(' ').nth(1).expect("a target").to_owned()
    };
    assert_eq!(path("/api/api/order"), "/api/order");
    assert_eq!(path("/apiorder"), "/apiorder");
    assert_eq!(path("/api"), "/");
}

#[test]
fn a_header_may_stand_for_authorization() {
    let event = json!({
        "rawPath": "/", "headers": {"x-token": "t", "authorization": "other"},
        "requestContext": {"http": {"method": "GET"}, "domainName": "d"},
    });
    let read = read_with(&[("AWS_LWA_AUTHORIZATION_SOURCE", "X-Token")], event).1;
    assert_eq!(read, "GET / [authorization=t host=d] ");
}

#[test]
fn what_cannot_be_sent() {
    let event = json!({"rawPath": "/", "body": "!", "isBase64Encoded": true, "requestContext": {"http": {"method": "GET"}}});
    assert!(read(event).1.starts_with("the event's body is no base64"));
    let event = json!({"rawPath": "/", "requestContext": {"http": {"method": "a b"}}});
    assert_eq!(read(event).1, "the event's method is none of HTTP's");
}
