//! The requests that runtimes make all the time, read out of a buffer: the next event, an answer and an error of known
//! length. Everything else, and whatever is odd about one of these, is left to an HTTP server that knows all of HTTP.

use super::response::MODE;
use super::{Call, ERROR_TYPE, PAYLOAD_BYTES_MAX, read_call};
use http::Method;

/// Headers of one request; clients send five.
const HEADERS_MAX: usize = 32;

/// Line and headers of one request; clients send 300 bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a buffer begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    /// A part of a request. So many bytes are missing, if that is known.
    Part(usize),
    Usual(Usual<'a>),
    Other,
}

/// A whole request: [`Call::Next`], [`Call::Response`] or [`Call::Error`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usual<'a> {
    pub(super) call: Call<'a>,
    pub(super) content_type: Option<&'a str>,
    pub(super) error_type: Option<&'a str>,
    pub(super) body: &'a [u8],
    /// The bytes that it takes up in the buffer.
    pub(super) length: usize,
}

/// What the headers say that matters here.
#[derive(Default)]
struct Headers<'a> {
    length: usize,
    content_type: Option<&'a str>,
    error_type: Option<&'a str>,
}

pub(super) fn read(buffer: &[u8]) -> Reading<'_> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(buffer) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if buffer.len() < HEAD_BYTES_MAX => return Reading::Part(0),
        _ => return Reading::Other,
    };
    let (Some(call), Some(headers)) = (usual_call(&request), usual_headers(request.headers)) else {
        return Reading::Other;
    };
    let length = head + headers.length;
    match buffer.get(head..length) {
        Some(body) => {
            let Headers { content_type, error_type, .. } = headers;
            Reading::Usual(Usual { call, content_type, error_type, body, length })
        }
        None => Reading::Part(length - buffer.len()),
    }
}

fn usual_call<'a>(request: &httparse::Request<'_, 'a>) -> Option<Call<'a>> {
    let method = match (request.method, request.version) {
        (Some("GET"), Some(1)) => Method::GET,
        (Some("POST"), Some(1)) => Method::POST,
        _ => return None,
    };
    let call = read_call(&method, request.path?);
    matches!(call, Call::Next | Call::Response(_) | Call::Error(_)).then_some(call)
}

/// `None` where the body is not simply the bytes that follow, or the connection is to end.
fn usual_headers<'a>(headers: &[httparse::Header<'a>]) -> Option<Headers<'a>> {
    let mut known = Headers::default();
    let mut sized = false;
    for header in headers {
        let named = |name: &str| header.name.eq_ignore_ascii_case(name);
        let text = || std::str::from_utf8(header.value).ok();
        if named("content-length") {
            let digits = text().filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))?;
            known.length = digits.parse().ok().filter(|length| *length <= PAYLOAD_BYTES_MAX && !sized)?;
            sized = true;
        } else if named("content-type") {
            known.content_type = text();
        } else if named(ERROR_TYPE) {
            known.error_type = text();
        } else if named("connection") && !header.value.eq_ignore_ascii_case(b"keep-alive")
            || named("transfer-encoding")
            || named("upgrade")
            || named("expect")
            || named(MODE.as_str()) && !header.value.eq_ignore_ascii_case(b"buffered")
        {
            return None;
        }
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: &str = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: here\r\n\r\n";

    fn response(headers: &str, body: &str) -> String {
        format!("POST /2018-06-01/runtime/invocation/8f5/response HTTP/1.1\r\n{headers}\r\n{body}")
    }

    #[test]
    fn a_request_is_read_when_it_is_whole_and_leaves_what_follows() {
        let answer = response("Content-Type: text/plain\r\ncontent-length: 2\r\n", "ok");
        let both = format!("{answer}{NEXT}");
        let usual = Usual {
            call: Call::Response("8f5"),
            content_type: Some("text/plain"),
            error_type: None,
            body: b"ok",
            length: answer.len(),
        };
        assert_eq!(read(both.as_bytes()), Reading::Usual(usual));
        let Reading::Usual(next) = read(&both.as_bytes()[answer.len()..]) else { panic!("a request") };
        assert_eq!((next.call, next.length), (Call::Next, NEXT.len()));
        for cut in 0..answer.len() {
            assert!(matches!(read(&answer.as_bytes()[..cut]), Reading::Part(_)), "{cut} bytes of it");
        }
        assert_eq!(read(&answer.as_bytes()[..answer.len() - 1]), Reading::Part(1));
    }

    #[test]
    fn what_is_not_usual_is_left_to_others() {
        let large = format!("Content-Length: {}\r\n", PAYLOAD_BYTES_MAX + 1);
        let headers = [
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            "Content-Length: +2\r\n",
            "Content-Length: 2\r\nExpect: 100-continue\r\n",
            "Content-Length: 2\r\nConnection: close\r\n",
            "Content-Length: 2\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
            "Content-Length: 2\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n",
            "Content-Length: 2\r\nLambda-Runtime-Function-Response-Mode: other\r\n",
            large.as_str(),
        ];
        for headers in headers {
            assert_eq!(read(response(headers, "ok").as_bytes()), Reading::Other, "{headers}");
        }
        let lines = [
            "GET /2018-06-01/ping",
            "PUT /2018-06-01/runtime/invocation/next",
            "POST /2018-06-01/runtime/init/error",
        ];
        for line in lines {
            assert_eq!(read(format!("{line} HTTP/1.1\r\n\r\n").as_bytes()), Reading::Other, "{line}");
        }
        assert_eq!(read(b"GET /2018-06-01/runtime/invocation/next HTTP/1.0\r\n\r\n"), Reading::Other);
        assert_eq!(read(b"\x16\x03\x01\x02\x00"), Reading::Other);
        assert_eq!(read(&[b'G'; HEAD_BYTES_MAX]), Reading::Other);
    }
}
