//! Answers as documents and preludes, and when they are compressed.

use super::*;
use http::Response;
use http::header::ACCEPT_ENCODING;

fn parts(status: u16, headers: &[(&str, &str)]) -> Parts {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).expect("a response").into_parts().0
}

fn read(origin: Origin, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let document = document(origin, &parts(201, headers), &Bytes::copy_from_slice(body));
    serde_json::from_slice(&document).expect("JSON")
}

const TWO: [(&str, &str); 5] = [
    ("content-type", "text/plain"),
    ("x-a", "1"),
    ("x-a", "2"),
    ("set-cookie", "a=1"),
    ("connection", "keep-alive"),
];

#[test]
fn each_origin_has_its_form() {
    assert_eq!(
        read(Origin::V2, &TWO, b"hi"),
        json!({
            "statusCode": 201, "headers": {"content-type": "text/plain", "x-a": "1,2"}, "cookies": ["a=1"],
            "body": "hi", "isBase64Encoded": false,
        })
    );
    let several = json!({"content-type": ["text/plain"], "x-a": ["1", "2"], "set-cookie": ["a=1"]});
    assert_eq!(
        read(Origin::V1, &TWO, b"hi"),
        json!({
            "statusCode": 201, "headers": {}, "multiValueHeaders": several, "body": "hi", "isBase64Encoded": false,
        })
    );
    let balanced = read(Origin::LoadBalancer, &TWO, b"hi");
    assert_eq!(balanced["statusDescription"], "201 Created");
    assert_eq!((&balanced["multiValueHeaders"], &balanced["headers"]["x-a"]), (&several, &json!("1,2")));
    assert_eq!(read(Origin::Other, &TWO, b"[1]"), json!([1]));
    assert_eq!(read(Origin::Other, &TWO, b"no JSON"), Value::Null);
}

#[test]
fn what_is_no_text_is_base64() {
    let encoded = |headers: &[(&str, &str)], body: &[u8]| {
        read(Origin::V2, headers, body)["isBase64Encoded"].as_bool().expect("a truth value")
    };
    assert!(!encoded(&[], b"x"));
    assert!(!encoded(&[("content-type", "application/problem+json; charset=utf-8")], b"x"));
    assert!(encoded(&[("content-type", "image/png")], b"x"));
    assert!(encoded(&[("content-type", "text/plain"), ("content-encoding", "br")], b"x"));
    assert!(encoded(&[("content-type", "text/plain")], b"\xff"));
}

#[test]
fn a_prelude_ends_in_zeros() {
    let prelude = prelude(&parts(418, &TWO));
    let text = r#"{"cookies":["a=1"],"headers":{"content-type":"text/plain","x-a":"1,2"},"statusCode":418}"#;
    assert_eq!(&prelude[..], format!("{text}\0\0\0\0\0\0\0\0").as_bytes());
}

#[test]
fn bodies_are_compressed_where_that_is_wanted_and_gains() {
    let large = Bytes::from(vec![b'x'; 1000]);
    let packed = |accepted: &'static str, kind: &str, body: &Bytes| {
        let mut parts = parts(200, &[("content-type", kind), ("content-length", "1000")]);
        let accepted = [(ACCEPT_ENCODING, HeaderValue::from_static(accepted))];
        let body = compress(&mut parts, body.clone(), accepted.first().map(|(_, value)| value));
        let encoded = parts.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
        assert_eq!(encoded, !parts.headers.contains_key(CONTENT_LENGTH));
        assert_eq!(encoded, body.starts_with(b"\x1f\x8b"));
        encoded
    };
    assert!(packed("gzip, br", "text/plain", &large));
    assert!(packed("br;q=1, *;q=0.1", "image/svg+xml", &large));
    assert!(!packed("br, gzip;q=0", "text/plain", &large));
    assert!(!packed("gzip", "image/png", &large));
    assert!(!packed("gzip", "text/event-stream", &large));
    assert!(!packed("gzip", "text/plain", &Bytes::from_static(b"short")));
}
