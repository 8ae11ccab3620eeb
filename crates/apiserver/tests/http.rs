//! What HTTP says, request by request, on the memory store: each case is a request as text and its answer.

use apiserver::{ApiServer, Body, Config, Identity, Nodes};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::{sync::Arc, time::Duration};

#[path = "http/access.rs"]
mod access;
#[path = "http/admission.rs"]
mod admission;
#[path = "http/crud.rs"]
mod crud;
#[path = "http/deletion.rs"]
mod deletion;
#[path = "http/editions.rs"]
mod editions;
#[path = "http/watch.rs"]
mod watching;
#[path = "http/wire.rs"]
mod wire;

/// Settings of a server on this store.
pub fn config(store: Arc<dyn store::Store>) -> Config {
    let random = ring::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let config = Config::new(store, key.as_ref().to_vec(), "CA".to_owned());
    Config { nodes: Arc::new(Echo), ..config }
}

/// A server of its own for one test.
pub async fn server() -> Arc<ApiServer> {
    ApiServer::start(config(store::memory())).await.expect("the server starts")
}

/// Nodes that answer with what they were asked; one of them has a bug.
struct Echo;

impl Nodes for Echo {
    fn forward(&self, node: &str, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        assert_ne!(node, "buggy");
        let text = format!("{node} {}", request.uri());
        Box::pin(async move { Response::new(apiserver::full(text)) })
    }
}

/// An answer.
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// An identity that may do everything.
pub fn admin() -> Identity {
    Identity::master("admin")
}

/// A request of nobody in particular.
pub fn request(text: &str) -> Request<Body> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.trim().lines().map(str::trim);
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).expect("METHOD path");
    let mut request = Request::builder().method(method).uri(path);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header line");
        request = request.header(name, value);
    }
    request.body(apiserver::full(body.trim().to_owned())).expect("a request")
}

/// Sends `METHOD path`, header lines, an empty line and a body, as `identity`.
pub async fn send_as(server: &ApiServer, identity: Identity, text: &str) -> Answer {
    let mut request = request(text);
    request.extensions_mut().insert(identity);
    answer(server, request).await
}

/// The same as whoever the headers say.
pub async fn send_unknown(server: &ApiServer, text: &str) -> Answer {
    answer(server, request(text)).await
}

async fn answer(server: &ApiServer, request: Request<Body>) -> Answer {
    let (parts, body) = server.handle(request).await.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    Answer { code: parts.status.as_u16(), headers: parts.headers, text }
}

/// The same as an administrator.
pub async fn send(server: &ApiServer, text: &str) -> Answer {
    send_as(server, admin(), text).await
}

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open watch.
pub struct Events {
    body: Body,
    buffer: Vec<u8>,
}

/// Opens a watch as an administrator.
pub async fn watch(server: &ApiServer, text: &str) -> Events {
    let mut request = request(text);
    request.extensions_mut().insert(admin());
    let response = server.handle(request).await;
    assert_eq!(response.status(), 200);
    Events::of(response.into_body())
}

impl Events {
    pub fn of(body: Body) -> Events {
        Events { body, buffer: Vec::new() }
    }

    /// How long the pieces of the answer are, until so many bytes have come or it ends.
    pub async fn pieces(mut self, bytes: usize) -> Vec<usize> {
        let mut lengths = Vec::new();
        while lengths.iter().sum::<usize>() < bytes {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let Some(frame) = frame.expect("a piece in time") else { break };
            lengths.push(frame.expect("a frame").data_ref().expect("data").len());
        }
        lengths
    }

    /// The next event; waits for it.
    pub async fn next(&mut self) -> serde_json::Value {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).expect("an event is JSON");
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.expect("an event in time").expect("the watch goes on").expect("a frame");
            self.buffer.extend_from_slice(frame.data_ref().expect("data"));
        }
    }
}
