//! A function's answer as an HTTP response. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::answer::{Body, full};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The content type of an answer whose status and headers go ahead of the body, as JSON and eight NUL bytes.
const WITH_PRELUDE: &str = "application/vnd.awslambda.http-integration-response";

/// What ends such a prelude; JSON has no NUL bytes.
const DELIMITER: [u8; 8] = [0; 8];

/// A document with a `statusCode` is a response, and so is a prelude with a body behind it; anything else is the body of
/// a 200. An error says what is wrong.
pub(super) fn read(payload: &Bytes, content_type: Option<&str>) -> Result<Response<Body>, String> {
    if has_prelude(content_type) {
        let (prelude, body) = split(payload).ok_or("the prelude of its answer has no end")?;
        return begin(prelude, full(payload.slice_ref(body)));
    }
    let answer: Value = serde_json::from_slice(payload).map_err(|error| format!("no JSON: {error}"))?;
    if answer.get("statusCode").is_none() {
        let mut response = Response::new(full(payload.clone()));
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        return Ok(response);
    }
    with_head(&answer, full(body(&answer)?))
}

/// Whether the answer begins with a prelude.
pub(super) fn has_prelude(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim() == WITH_PRELUDE)
}

/// The prelude and what follows its delimiter, once that is there.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(DELIMITER.len()).position(|window| window == DELIMITER)?;
    Some((&bytes[..end], &bytes[end + DELIMITER.len()..]))
}

/// The response that a prelude describes, with this body.
pub(super) fn begin(prelude: &[u8], body: Body) -> Result<Response<Body>, String> {
    let answer: Value = serde_json::from_slice(prelude).map_err(|error| format!("no JSON: {error}"))?;
    with_head(&answer, body)
}

fn with_head(answer: &Value, body: Body) -> Result<Response<Body>, String> {
    let mut response = Response::new(body);
    if let Some(code) = answer.get("statusCode") {
        *response.status_mut() = status(code)?;
    }
    let headers = response.headers_mut();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let parsed =
            HeaderName::try_from(name.as_str()).map_err(|_| format!("{name:?} is no header name"))?;
        // How the body is delimited is between the gateway and its client.
        if parsed != CONTENT_LENGTH && parsed != TRANSFER_ENCODING {
            headers.insert(parsed, header(value).ok_or(format!("the header {name} has no valid value"))?);
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        headers.append(SET_COOKIE, header(cookie).ok_or("a cookie is no valid header value")?);
    }
    headers.entry(CONTENT_TYPE).or_insert(JSON);
    Ok(response)
}

/// A number, or text that reads as one.
fn status(value: &Value) -> Result<StatusCode, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let status = number.and_then(|number| StatusCode::from_u16(u16::try_from(number).ok()?).ok());
    status
        .filter(|status| status.as_u16() >= 200)
        .ok_or(format!("the statusCode {value} is no final HTTP status"))
}

fn body(answer: &Value) -> Result<Bytes, String> {
    let text = match &answer["body"] {
        Value::Null => "",
        Value::String(text) => text,
        other => return Err(format!("the body is no string but {other}")),
    };
    if answer["isBase64Encoded"].as_bool() != Some(true) {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    STANDARD.decode(text).map(Bytes::from).map_err(|error| format!("the body is no base64: {error}"))
}

fn header(value: &Value) -> Option<HeaderValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return None,
    };
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt;

    /// Status, sorted headers and body, in one line.
    fn read(payload: &str) -> String {
        read_as(payload, None)
    }

    fn read_as(payload: &str, content_type: Option<&str>) -> String {
        let response = match super::read(&Bytes::copy_from_slice(payload.as_bytes()), content_type) {
            Ok(response) => response,
            Err(problem) => return problem,
        };
        let (parts, body) = response.into_parts();
        let mut headers: Vec<String> =
            parts.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        headers.sort();
        let body = futures::executor::block_on(body.collect()).unwrap().to_bytes();
        format!("{} [{}] {:?}", parts.status.as_u16(), headers.join(" "), String::from_utf8_lossy(&body))
    }

    #[test]
    fn answers() {
        let json = "content-type=application/json";
        assert_eq!(read(r#"{"a":1}"#), format!(r#"200 [{json}] "{{\"a\":1}}""#));
        assert_eq!(read(r#""hi""#), format!(r#"200 [{json}] "\"hi\"""#));
        assert_eq!(read(r#"{"statusCode":404}"#), format!(r#"404 [{json}] """#));
        assert_eq!(read(r#"{"statusCode":"201","body":"x"}"#), format!(r#"201 [{json}] "x""#));
        assert_eq!(
            read(
                r#"{"statusCode":200,"headers":{"Content-Type":"text/html","X-N":1,"content-length":"9"},"body":"<p>"}"#
            ),
            r#"200 [content-type=text/html x-n=1] "<p>""#
        );
        assert_eq!(
            read(r#"{"statusCode":200,"cookies":["a=1","b=2"],"body":"aGk=","isBase64Encoded":true}"#),
            format!(r#"200 [{json} set-cookie=a=1 set-cookie=b=2] "hi""#)
        );
    }

    #[test]
    fn answers_with_a_prelude() {
        let kind = Some("application/vnd.awslambda.http-integration-response");
        assert_eq!(
            read_as(
                "{\"statusCode\":418,\"headers\":{\"x\":\"y\"},\"cookies\":[\"a=1\"]}\0\0\0\0\0\0\0\0tea\0",
                kind
            ),
            r#"418 [content-type=application/json set-cookie=a=1 x=y] "tea\0""#
        );
        assert_eq!(read_as("{}\0\0\0\0\0\0\0\0", kind), r#"200 [content-type=application/json] """#);
        assert_eq!(read_as("{}\0\0", kind), "the prelude of its answer has no end");
    }

    #[test]
    fn what_is_no_answer() {
        assert!(read("nonsense").starts_with("no JSON"));
        assert_eq!(read(r#"{"statusCode":99}"#), "the statusCode 99 is no final HTTP status");
        assert_eq!(read(r#"{"statusCode":101}"#), "the statusCode 101 is no final HTTP status");
        assert_eq!(read(r#"{"statusCode":200,"body":{"a":1}}"#), r#"the body is no string but {"a":1}"#);
        assert!(read(r#"{"statusCode":200,"headers":{"a b":"c"}}"#).contains("is no header name"));
        assert!(read(r#"{"statusCode":200,"headers":{"a":"c\nd"}}"#).contains("no valid value"));
        assert!(
            read(r#"{"statusCode":200,"body":"!","isBase64Encoded":true}"#)
                .starts_with("the body is no base64")
        );
    }
}
