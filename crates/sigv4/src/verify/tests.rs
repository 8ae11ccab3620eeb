//! Verifying what botocore signed. Each file of `vectors/` is one request as botocore 1.43 put it on the wire at
//! 2026-11-21T06:00:00Z with the key below.

use super::*;
use crate::{Credentials, hex_sha256, presign, sign};
use http::Request;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn noon(text: &str) -> Timestamp {
    text.parse().expect("a well-formed time")
}

fn signed_at() -> Timestamp {
    noon("2026-11-21T06:00:00Z")
}

fn read(text: &str) -> (Parts, Vec<u8>) {
    let (head, body) = text.split_once("\n\n").expect("a blank line after the headers");
    let mut lines = head.lines();
    let mut first = lines.next().expect("a request line").split(' ');
    let mut request =
        Request::builder().method(first.next().expect("a method")).uri(first.next().expect("an address"));
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header");
        request = request.header(name, value.strip_prefix(' ').unwrap_or(value));
    }
    (request.body(()).expect("a well-formed request").into_parts().0, body.as_bytes().to_vec())
}

fn vector(name: &str) -> (Parts, Vec<u8>) {
    let path = format!("{}/src/verify/vectors/{name}.http", env!("CARGO_MANIFEST_DIR"));
    read(&std::fs::read_to_string(path).expect("a vector"))
}

fn token_of(parts: &Parts) -> Option<String> {
    if parts.headers.contains_key("x-amz-security-token") {
        return Some("FwoGZXIvYXdzEXAMPLE//TOKEN==".to_owned());
    }
    parts.uri.query()?.contains("X-Amz-Security-Token").then(|| "TOKEN/+==".to_owned())
}

fn check(parts: &Parts, body: &[u8], now: Timestamp) -> Result<Caller, VerifyError> {
    let session_token = token_of(parts);
    verify(
        parts,
        body,
        &|key, token| match key == KEY && token == session_token.as_deref() {
            true => Ok(Secret::new(SECRET, crate::Principal::Account)),
            false => Err(VerifyError::UnknownKey),
        },
        now,
    )
}

#[test]
fn accepts_what_botocore_signed() {
    let dir = format!("{}/src/verify/vectors", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in std::fs::read_dir(dir).expect("the vectors") {
        let name = file.expect("a file").file_name().into_string().expect("a plain name");
        let (parts, body) = vector(name.trim_end_matches(".http"));
        let caller = check(&parts, &body, signed_at());
        assert!(caller.is_ok(), "{name}: {caller:?}");
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn refuses_what_was_changed_on_the_way() {
    let (parts, _) = vector("invoke");
    assert_eq!(check(&parts, b"{\"a\":2}", signed_at()), Err(VerifyError::Mismatch));

    let (mut parts, body) = vector("invoke");
    parts.uri = "/2015-03-31/functions/other/invocations".parse().expect("an address");
    assert_eq!(check(&parts, &body, signed_at()), Err(VerifyError::Mismatch));

    let (mut parts, body) = vector("invoke");
    parts.headers.insert("x-amz-invocation-type", "Event".parse().expect("a value"));
    assert_eq!(check(&parts, &body, signed_at()), Err(VerifyError::Mismatch));
}

#[test]
fn refuses_other_keys_and_tokens() {
    let (parts, body) = vector("invoke");
    let unknown = verify(&parts, &body, &|_, _| Err(VerifyError::UnknownKey), signed_at());
    assert_eq!(unknown, Err(VerifyError::UnknownKey));
    let tokenless = verify(
        &vector("session-token").0,
        b"",
        &|_, token| match token {
            None => Ok(Secret::new(SECRET, crate::Principal::Account)),
            Some(_) => Err(VerifyError::UnknownKey),
        },
        signed_at(),
    );
    assert_eq!(tokenless, Err(VerifyError::UnknownKey));
    let wrong =
        verify(&parts, &body, &|_, _| Ok(Secret::new("other", crate::Principal::Account)), signed_at());
    assert_eq!(wrong, Err(VerifyError::Mismatch));
}

#[test]
fn refuses_old_and_early_requests_in_the_words_of_aws() {
    let (parts, body) = vector("invoke");
    assert!(check(&parts, &body, noon("2026-11-21T06:05:00Z")).is_ok());
    assert_eq!(
        check(&parts, &body, noon("2026-11-21T06:05:01Z")).expect_err("too old").to_string(),
        "Signature expired: 20261121T060000Z is now earlier than 20261121T060001Z (20261121T060501Z - 5 min.)"
    );
    assert_eq!(
        check(&parts, &body, noon("2026-11-21T05:54:59Z")).expect_err("too early").to_string(),
        "Signature not yet current: 20261121T060000Z is still later than 20261121T055959Z (20261121T055459Z + 5 min.)"
    );
    let (parts, body) = vector("presigned");
    assert!(check(&parts, &body, noon("2026-11-21T06:59:00Z")).is_ok());
    assert!(matches!(check(&parts, &body, noon("2026-11-21T07:00:01Z")), Err(VerifyError::Expired(_))));
}

#[test]
fn names_what_a_malformed_signature_lacks() {
    let refuse = |authorization: &str| {
        let (mut parts, body) = vector("invoke");
        parts.headers.insert("authorization", authorization.parse().expect("a value"));
        let error = check(&parts, &body, signed_at()).expect_err("a malformed signature");
        format!("{} {}: {error}", error.status(), error.code(true))
    };
    expect_test::expect![
        "400 IncompleteSignatureException: Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256"
    ]
    .assert_eq(&refuse("AWS4-HMAC-SHA256 nothing"));
    expect_test::expect!["400 IncompleteSignatureException: Unsupported AWS 'algorithm': 'Bearer'."]
        .assert_eq(&refuse("Bearer abc"));
    expect_test::expect![
        "400 IncompleteSignatureException: Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE'"
    ]
    .assert_eq(&refuse("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE, SignedHeaders=host, Signature=0"));
    let (mut parts, body) = vector("invoke");
    parts.headers.remove("authorization");
    assert_eq!(check(&parts, &body, signed_at()), Err(VerifyError::Missing));
}

#[test]
fn what_is_signed_here_verifies_and_equals_botocore() {
    let credentials = Credentials {
        access_key_id: KEY.to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: None,
    };
    let (expected, body) = vector("arn-in-path");
    let mut parts = expected.clone();
    parts.headers.remove("authorization");
    sign(&mut parts, &hex_sha256(&body), &credentials, "us-east-1", "lambda", signed_at());
    assert_eq!(parts.headers["authorization"], expected.headers["authorization"]);

    let (expected, _) = vector("presigned");
    let mut parts = expected.clone();
    parts.uri = "/2015-03-31/functions/?MaxItems=2".parse().expect("an address");
    presign(&mut parts, &credentials, "us-east-1", "lambda", signed_at(), 3600);
    assert_eq!(parts.uri, expected.uri);
}
