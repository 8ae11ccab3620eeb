//! Web servers as functions: what AWS's Lambda Web Adapter does in a process of its own, done here on the instance's
//! behalf. Waits until the server is ready, turns each event into a request to it and its answer into the function's.
//! Costs the instance no process, no memory and no start.
//!
//! ```text
//!  Instance::next ──> request ──> Server (a connection into the instance) ──> response ──> Instance::respond
//! ```

mod context;
mod layer;
mod request;
mod response;
mod server;
mod settings;

pub use layer::archive;
pub use settings::{Settings, WRAPPER};

use crate::fault::Fault;
use crate::instance::{Instance, Refusal, Voice, Work};
use crate::pieces::{Pieces, STREAM_BYTES_MAX};
use crate::runtime_api::PAYLOAD_BYTES_MAX;
use crate::sandboxes::Sandbox;
use bytes::{Bytes, BytesMut};
use context::Context;
use http::header::ACCEPT_ENCODING;
use http::response::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use layer::MARK;
use request::Origin;
use serde_json::json;
use server::{Line, Server, Unanswered};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the adapter's own layer brings the adapter: then it is its affair.
const ADAPTER: &str = "extensions/lambda-adapter";

/// How long a start may wait for a server that starts on its own time: a start may take 10 s.
const ASYNC_INIT: Duration = Duration::from_millis(9_800);

/// After how long the function's log says that the server is not ready.
const TOLD_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(9)];

/// A connection that breaks mostly means that the process has ended, which says more when it is told within this.
const EXIT_GRACE: Duration = Duration::from_millis(500);

/// How to speak for an image as a function, of these layers, whose own `environment` goes before `of_image`, the image's.
/// Nothing for one that is no server, or brings AWS's adapter itself.
pub fn of_image<'a>(
    layers: impl IntoIterator<Item = &'a PathBuf>,
    of_image: &[(String, String)],
    environment: &BTreeMap<String, String>,
) -> Result<Option<Settings>, String> {
    if layers.into_iter().any(|layer| layer.join("opt").join(ADAPTER).is_file()) {
        return Ok(None);
    }
    let mut all: BTreeMap<String, String> = of_image.iter().cloned().collect();
    all.extend(environment.clone());
    Settings::read(&all, true, false)
}

/// How to speak for a function in an archive, with these layers as they are unpacked. Nothing for one that is no server,
/// or brings AWS's adapter itself. `PORT` alone counts only where the program is the function's own.
pub fn of_archive<'a>(
    layers: impl IntoIterator<Item = &'a Path>,
    environment: &BTreeMap<String, String>,
    own_program: bool,
) -> Result<Option<Settings>, String> {
    let mut named = false;
    for layer in layers {
        if layer.join(ADAPTER).is_file() {
            return Ok(None);
        }
        named |= layer.join(MARK).is_file();
    }
    Settings::read(environment, own_program, named)
}

/// Speaks for the server of one instance.
pub struct Web {
    settings: Settings,
    context: Context,
}

/// What becomes of waiting for a server.
enum Waited {
    Ready,
    /// The program speaks for itself: it is no server.
    Runtime,
    TooLong,
}

impl Web {
    /// For an instance with this environment.
    pub fn new(settings: Settings, environment: &[(String, String)]) -> Web {
        Web { settings, context: Context::of(environment) }
    }

    /// Serves until the instance ends or turns out to speak for itself.
    pub(crate) async fn serve(self, instance: Arc<Instance>, sandbox: Arc<dyn Sandbox>) {
        let mut server = Server::new(self.settings.clone(), sandbox);
        for name in &self.settings.unknown {
            instance.note(&format!("web adapter: {name} means nothing here"));
        }
        if self.settings.compress && self.settings.streams {
            instance
                .note("web adapter: AWS_LWA_ENABLE_COMPRESSION does not go with response_stream, and is off");
        }
        let limit = if self.settings.async_init { Some(ASYNC_INIT) } else { self.settings.readiness.timeout };
        let mut ready = match self.wait(&mut server, &instance, limit).await {
            Waited::Ready => true,
            Waited::Runtime => return,
            Waited::TooLong if self.settings.async_init => false,
            Waited::TooLong => return self.fail_init(&instance),
        };
        if instance.speak(Voice::Server).is_err() {
            return;
        }
        while let Ok(work) = instance.next().await {
            if !ready {
                // The time limit of the invocation bounds this.
                ready = matches!(self.wait(&mut server, &instance, None).await, Waited::Ready);
            }
            let id = work.request_id.clone();
            if let Err(problem) = self.answer(&mut server, &instance, work).await {
                // Refused when the invocation has ended meanwhile.
                let _ = problem.tell(&instance, &id).await;
            }
        }
    }

    async fn wait(&self, server: &mut Server, instance: &Instance, limit: Option<Duration>) -> Waited {
        let (began, mut told) = (Instant::now(), 0);
        loop {
            if instance.voice() == Some(Voice::Runtime) {
                return Waited::Runtime;
            }
            let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
            let look = server.is_ready();
            let looked = match left {
                Some(left) => tokio::time::timeout(left, look).await,
                None => Ok(look.await),
            };
            match looked {
                Ok(true) => return Waited::Ready,
                Ok(false) => {}
                Err(_) => return Waited::TooLong,
            }
            let waited = began.elapsed();
            if limit.is_some_and(|limit| waited >= limit) {
                return Waited::TooLong;
            }
            if self.settings.certain && TOLD_AFTER.get(told).is_some_and(|after| waited >= *after) {
                instance.note(&format!("web adapter: {} after {} ms", self.missing(), waited.as_millis()));
                told += 1;
            }
            server::rest(server::pause(waited)).await;
        }
    }

    /// What there is not, for a person to see why.
    fn missing(&self) -> String {
        let (host, readiness) = (self.settings.host, &self.settings.readiness);
        match &readiness.path {
            Some(path) => format!("no healthy answer to GET http://{host}:{}{path}", readiness.port),
            None => format!("nothing listens on {host}:{}", readiness.port),
        }
    }

    fn fail_init(&self, instance: &Instance) {
        let message = format!("{} within AWS_LWA_READINESS_CHECK_TIMEOUT_SECONDS", self.missing());
        let document = json!({"errorType": NOT_READY, "errorMessage": message});
        // Refused when the instance is being stopped.
        let _ = instance.init_failed(document.to_string().into(), NOT_READY);
    }

    async fn answer(&self, server: &mut Server, instance: &Instance, work: Work) -> Result<(), Problem> {
        let id = work.request_id.clone();
        let context = self.context.of_invocation(&work);
        let mut translated =
            request::translate(&self.settings, &work.payload, &context).map_err(Problem::Event)?;
        let (request, origin) = (&mut translated.request, translated.origin);
        if origin != Origin::Other && self.settings.hooks.iter().any(|hook| hook == request.uri().path()) {
            let (mut parts, ()) = http::Response::new(()).into_parts();
            parts.status = StatusCode::FORBIDDEN;
            return Ok(respond(instance, &id, response::document(origin, &parts, &Bytes::new()))?);
        }
        if let Some(trace) = work.trace_id.and_then(|trace| HeaderValue::from_str(&trace).ok()) {
            request.headers_mut().insert("x-amzn-trace-id", trace);
        }
        let accepted = request.headers().get(ACCEPT_ENCODING).cloned();
        let (response, line) = server.ask(translated.request).await?;
        let (mut parts, body) = response.into_parts();
        if self.settings.errors.contains(parts.status.as_u16()) {
            let body = collect(body, BytesMut::new()).await?;
            server.keep(line);
            let body = String::from_utf8_lossy(&body);
            return Err(Problem::Status(
                json!({"statusCode": parts.status.as_u16(), "body": body}).to_string(),
            ));
        }
        if self.settings.streams {
            return stream(server, line, instance, &id, &parts, body).await;
        }
        let mut body = collect(body, BytesMut::new()).await?;
        server.keep(line);
        if self.settings.compress {
            body = response::compress(&mut parts, body, accepted.as_ref());
        }
        let document = response::document(origin, &parts, &body);
        if document.len() > PAYLOAD_BYTES_MAX {
            return Err(Problem::Fault(Fault::ResponseTooLarge(PAYLOAD_BYTES_MAX)));
        }
        Ok(respond(instance, &id, document)?)
    }
}

fn respond(instance: &Instance, id: &str, document: Bytes) -> Result<(), Refusal> {
    instance.respond(id, document, Some("application/json".to_owned()))
}

/// Hands the answer on as it comes, to a caller who wants it that way; else as a whole, with its prelude.
async fn stream(
    server: &mut Server,
    line: Line,
    instance: &Instance,
    id: &str,
    parts: &Parts,
    body: Incoming,
) -> Result<(), Problem> {
    let kind = Some(response::WITH_PRELUDE.to_owned());
    let prelude = response::prelude(parts);
    let Some(mut pieces) = instance.open_stream(id, kind.clone())? else {
        let whole = collect(body, BytesMut::from(&prelude[..])).await?;
        server.keep(line);
        return Ok(instance.respond(id, whole, kind)?);
    };
    pieces.send(prelude).await;
    pass_on(body, pieces).await?;
    server.keep(line);
    Ok(instance.respond(id, Bytes::new(), kind)?)
}

async fn pass_on(mut body: Incoming, mut pieces: Pieces) -> Result<(), Problem> {
    let mut passed = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(Unanswered::from)?.into_data() else { continue };
        passed += piece.len();
        if passed > STREAM_BYTES_MAX {
            return Err(Problem::Fault(Fault::ResponseTooLarge(STREAM_BYTES_MAX)));
        }
        pieces.send(piece).await;
    }
    Ok(())
}

/// All of it, behind what is there already.
async fn collect(mut body: Incoming, mut whole: BytesMut) -> Result<Bytes, Problem> {
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(Unanswered::from)?.into_data() else { continue };
        if whole.len() + piece.len() > PAYLOAD_BYTES_MAX {
            return Err(Problem::Fault(Fault::ResponseTooLarge(PAYLOAD_BYTES_MAX)));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// The types of errors that are the adapter's own.
const NOT_READY: &str = "WebAdapter.NotReady";
const ERROR_STATUS: &str = "WebAdapter.ErrorStatus";
const INVALID_EVENT: &str = "WebAdapter.InvalidEvent";
const NO_ANSWER: &str = "WebAdapter.NoAnswer";

/// Why an invocation has no answer of the server's.
enum Problem {
    Event(String),
    /// Its status is one of those that fail the invocation.
    Status(String),
    Unanswered(Unanswered),
    Fault(Fault),
    Refused(Refusal),
}

impl From<Unanswered> for Problem {
    fn from(error: Unanswered) -> Problem {
        Problem::Unanswered(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem::Refused(refusal)
    }
}

impl Problem {
    /// Ends the invocation with it.
    async fn tell(self, instance: &Instance, id: &str) -> Result<(), Refusal> {
        let (kind, message) = match self {
            Problem::Event(message) => (INVALID_EVENT, message),
            Problem::Status(message) => (ERROR_STATUS, message),
            Problem::Unanswered(error) => {
                let told = Instant::now();
                while told.elapsed() < EXIT_GRACE && instance.note_broken(id) {
                    tokio::time::sleep(EXIT_GRACE / 100).await;
                }
                (NO_ANSWER, error.to_string())
            }
            Problem::Fault(fault) => return instance.reject_answer(id, &fault),
            Problem::Refused(refusal) => return Err(refusal),
        };
        let document = json!({"errorType": kind, "errorMessage": message});
        instance.fail(id, document.to_string().into(), kind)
    }
}
