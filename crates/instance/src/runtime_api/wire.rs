//! Answers as they go over a connection of a runtime. The two that every invocation has, an event and the word that an answer
//! was accepted, are written as they are, without a message in between that is taken apart again.

use super::{OK, event_headers};
use crate::instance::Work;
use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use std::fmt::Write;

/// The head of an event.
pub(super) fn put_event(out: &mut BytesMut, work: &Work) {
    put_status(out, StatusCode::OK);
    let deadline = work.deadline_ms.to_string();
    for (name, value) in event_headers(work, &deadline) {
        put_header(out, name, value.as_bytes());
    }
    put_length(out, work.payload.len());
}

/// That an answer was accepted.
pub(super) fn put_accepted(out: &mut BytesMut) {
    put_status(out, StatusCode::ACCEPTED);
    put_header(out, "content-type", b"application/json");
    put_length(out, OK.len());
    out.extend_from_slice(OK.as_bytes());
}

/// The head of any other answer.
pub(super) fn put_head(out: &mut BytesMut, answer: &Response<Bytes>) {
    put_status(out, answer.status());
    for (name, value) in answer.headers() {
        put_header(out, name.as_str(), value.as_bytes());
    }
    put_length(out, answer.body().len());
}

fn put_status(out: &mut BytesMut, status: StatusCode) {
    put(out, &["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"]);
}

fn put_header(out: &mut BytesMut, name: &str, value: &[u8]) {
    put(out, &[name, ": "]);
    out.extend_from_slice(value);
    put(out, &["\r\n"]);
}

/// The last header, and the end of the head.
fn put_length(out: &mut BytesMut, length: usize) {
    // Writing to a buffer that grows cannot fail.
    let _ = write!(out, "content-length: {length}\r\n\r\n");
}

fn put(out: &mut BytesMut, texts: &[&str]) {
    texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(context: &str) -> String {
        let work = Work {
            request_id: "8f5".into(),
            invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:hello".into(),
            deadline_ms: 1_700_000_000_000,
            payload: Bytes::from_static(b"{}"),
            trace_id: Some("Root=1-2".to_owned()),
            client_context: Some(context.to_owned()),
        };
        let mut out = BytesMut::new();
        put_event(&mut out, &work);
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn an_event_has_its_headers() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: 8f5\r\n\
                    lambda-runtime-deadline-ms: 1700000000000\r\nlambda-runtime-invoked-function-arn: \
                    arn:aws:lambda:us-east-1:000000000000:function:hello\r\nlambda-runtime-trace-id: Root=1-2\r\n";
        let context = "lambda-runtime-client-context: {}\r\n";
        assert_eq!(written("{}"), format!("{head}{context}content-length: 2\r\n\r\n"));
        for unfit in ["{\n}", "\r\nx: y", "\0", "\u{7f}"] {
            assert_eq!(written(unfit), format!("{head}content-length: 2\r\n\r\n"), "{unfit:?}");
        }
    }

    #[test]
    fn an_answer_is_accepted() {
        let mut out = BytesMut::new();
        put_accepted(&mut out);
        let text = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n\
                    {\"status\":\"OK\"}";
        assert_eq!(out, text.as_bytes());
    }
}
