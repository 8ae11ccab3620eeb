//! The Runtime API, version 2018-06-01, as runtimes inside a sandbox call it: `next`, `response`, `error` and
//! `init/error`. Owns the wire only; what each call means is decided by the [`Instance`] that it belongs to.

mod connection;
mod extension;
mod request;
mod response;
mod stream;
mod wire;

pub(crate) use stream::Stream;

use crate::accept::accept;
use crate::instance::{Instance, Refusal, Work};
use bytes::Bytes;
use connection::Connection;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::Cursor;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where it listens inside an instance, as on Lambda.
pub const API_PORT: u16 = 9001;

/// The largest request and response of a synchronous invocation: 6 MiB and a little, as AWS enforces it.
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024 + 100;

/// What one call asks for.
#[derive(Debug, PartialEq, Eq)]
enum Call<'a> {
    Next,
    Response(&'a str),
    Error(&'a str),
    InitError,
    Restore,
    Ping,
    Extension(extension::Call),
    Unknown,
}

/// Connections from one sandbox at a time: a runtime needs one, each of ten extensions two or three.
const CONNECTIONS_MAX: usize = 64;

/// Line and headers of one call: an error may come with its X-Ray cause in a header, of up to 1 MiB.
const HEAD_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

const VERSION: &str = "/2018-06-01/runtime/";

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_TYPE_UNKNOWN: &str = "Runtime.Unknown";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The body of an answer that has nothing to say.
const OK: &str = r#"{"status":"OK"}"#;

fn read_call<'a>(method: &Method, path: &'a str) -> Call<'a> {
    if (method, path) == (&Method::GET, "/2018-06-01/ping") {
        return Call::Ping;
    }
    let Some(path) = path.strip_prefix(VERSION) else {
        return extension::read_call(method, path).map_or(Call::Unknown, Call::Extension);
    };
    let invocation = path.strip_prefix("invocation/").and_then(|rest| rest.split_once('/'));
    match (method, path, invocation) {
        (&Method::GET, "invocation/next", _) => Call::Next,
        (&Method::POST, "init/error", _) => Call::InitError,
        (&Method::GET, "restore/next", _) | (&Method::POST, "restore/error", _) => Call::Restore,
        (&Method::POST, _, Some((id, "response"))) => Call::Response(id),
        (&Method::POST, _, Some((id, "error"))) => Call::Error(id),
        _ => Call::Unknown,
    }
}

/// Serves one instance until the caller drops the future: who connects, and who was handed pipes.
pub(crate) async fn serve(listener: TcpListener, pipes: Option<Stream>, instance: Arc<Instance>) {
    let mut beside = JoinSet::new();
    pipes.map(|pipes| beside.spawn(connection(pipes, instance.clone())));
    let serve = |stream: TcpStream| -> BoxFuture<'static, ()> {
        // Answers are small and waited for; a failure to say so only costs time.
        drop(stream.set_nodelay(true));
        Box::pin(connection(Stream::Tcp(stream), instance.clone()))
    };
    accept(listener, "the Runtime API", CONNECTIONS_MAX, serve).await;
}

async fn connection(stream: Stream, instance: Arc<Instance>) {
    // An error here is a runtime that went away, which its exit tells too.
    let Ok(Some((begun, stream))) = Connection::new(stream, instance.clone()).serve().await else { return };
    let service = service_fn(move |request| {
        let instance = instance.clone();
        async move { Ok::<_, Infallible>(answer(request, &instance).await.map(Full::new)) }
    });
    let (rest, writer) = tokio::io::split(stream);
    let stream = tokio::io::join(Cursor::new(begun).chain(rest), writer);
    let mut http = hyper::server::conn::http1::Builder::new();
    drop(http.max_buf_size(HEAD_BYTES_MAX).serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(request: Request<Incoming>, instance: &Arc<Instance>) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    match read_call(&parts.method, parts.uri.path()) {
        Call::Next => match instance.next_of_runtime().await {
            Ok(work) => event(work),
            Err(refusal) => accepted(Err(refusal)),
        },
        Call::Response(id) => response::receive(instance, id, &parts.headers, body).await,
        Call::Error(id) => match read(body).await {
            Some(payload) => accepted(instance.fail(id, payload, &error_type(&parts.headers))),
            None => refuse(StatusCode::BAD_REQUEST, "InvalidErrorShape", "The error document cannot be read"),
        },
        Call::InitError => match read(body).await {
            Some(payload) => accepted(instance.init_failed(payload, &error_type(&parts.headers))),
            None => refuse(StatusCode::BAD_REQUEST, "InvalidErrorShape", "The error document cannot be read"),
        },
        Call::Ping => {
            let mut pong = Response::new(Bytes::from_static(b"pong"));
            pong.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
            pong
        }
        Call::Extension(call) => match read(body).await {
            Some(body) => extension::answer(instance, call, &parts.headers, &body).await,
            None => refuse(StatusCode::FORBIDDEN, "InvalidRequestFormat", "The body cannot be read"),
        },
        Call::Restore => {
            let reason = "Nothing was restored here: this instance is initialized by running it (on-demand)";
            refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", reason)
        }
        Call::Unknown => {
            refuse(StatusCode::NOT_FOUND, "NotFound", "No such call in the Runtime API 2018-06-01")
        }
    }
}

/// The body, if it is not too large.
async fn read(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, PAYLOAD_BYTES_MAX).collect().await.ok()?.to_bytes())
}

fn error_type(headers: &HeaderMap) -> String {
    let value = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or(ERROR_TYPE_UNKNOWN).to_owned()
}

/// Everything that a runtime is told about an event. What no header can hold, such as a context of several lines, is left out
/// rather than losing the event.
fn event_headers<'a>(work: &'a Work, deadline_ms: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
    let all = [
        ("content-type", Some("application/json")),
        ("lambda-runtime-aws-request-id", Some(&*work.request_id)),
        ("lambda-runtime-deadline-ms", Some(deadline_ms)),
        ("lambda-runtime-invoked-function-arn", Some(&*work.invoked_arn)),
        ("lambda-runtime-trace-id", work.trace_id.as_deref()),
        ("lambda-runtime-client-context", work.client_context.as_deref()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| is_fit(value))?)))
}

/// Whether a header can hold it (RFC 9110, section 5.5).
fn is_fit(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f)
}

/// The event, with what the runtime is told about it in headers.
fn event(work: Work) -> Response<Bytes> {
    let mut builder = Response::builder();
    for (name, value) in event_headers(&work, &work.deadline_ms.to_string()) {
        builder = builder.header(name, value);
    }
    builder.body(work.payload).unwrap_or_else(|_| {
        refuse(StatusCode::INTERNAL_SERVER_ERROR, "InvalidHeader", "The event has unfit headers")
    })
}

fn accepted(result: Result<(), Refusal>) -> Response<Bytes> {
    match result {
        Ok(()) => json(StatusCode::ACCEPTED, OK),
        Err(Refusal::OtherRequest) => {
            refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
        }
        Err(Refusal::Stopping) => {
            refuse(StatusCode::GONE, "InstanceStopped", "This instance is being stopped")
        }
        Err(Refusal::State) => refuse(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "This call does not fit the instance's state",
        ),
    }
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response<Bytes> {
    json(status, serde_json::json!({"errorType": kind, "errorMessage": message}).to_string())
}

fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_method_and_path() {
        let call = |method: &Method, path: &'static str| read_call(method, path);
        assert_eq!(call(&Method::GET, "/2018-06-01/runtime/invocation/next"), Call::Next);
        assert_eq!(call(&Method::POST, "/2018-06-01/runtime/invocation/8f5/response"), Call::Response("8f5"));
        assert_eq!(call(&Method::POST, "/2018-06-01/runtime/invocation/8f5/error"), Call::Error("8f5"));
        assert_eq!(call(&Method::POST, "/2018-06-01/runtime/init/error"), Call::InitError);
        assert_eq!(call(&Method::POST, "/2018-06-01/runtime/invocation/next"), Call::Unknown);
        assert_eq!(call(&Method::GET, "/2018-06-01/runtime/restore/next"), Call::Restore);
        assert_eq!(call(&Method::GET, "/2018-06-01/ping"), Call::Ping);
        assert_eq!(call(&Method::GET, "/2020-01-01/extension/register"), Call::Unknown);
        let extension = |call| Call::Extension(call);
        assert_eq!(
            call(&Method::POST, "/2020-01-01/extension/register"),
            extension(extension::Call::Register)
        );
        assert_eq!(call(&Method::GET, "/2020-01-01/extension/event/next"), extension(extension::Call::Next));
        assert_eq!(
            call(&Method::POST, "/2020-01-01/extension/exit/error"),
            extension(extension::Call::ExitError)
        );
    }
}
