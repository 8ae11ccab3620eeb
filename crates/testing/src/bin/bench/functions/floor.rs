//! What the Runtime API itself costs on this machine: the same clients, the same function processes and the same two calls
//! of each of them for every event, relayed by a server that does nothing else — no signature, no log, no meter, no
//! sandbox. What the platform reaches is to be read beside this.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use tokio::sync::oneshot;

const PREFIX: &str = "/2018-06-01/runtime/invocation/";

/// Function processes; ended when dropped.
pub(super) struct Workers(Vec<Child>);

impl Workers {
    pub(super) fn start(count: usize, bootstrap: &Path, api: SocketAddr) -> Result<Workers> {
        let mut workers = Workers(Vec::new());
        for _ in 0..count {
            let mut command = Command::new(bootstrap);
            command.env("AWS_LAMBDA_RUNTIME_API", api.to_string()).stderr(Stdio::null());
            workers.0.push(command.spawn().context("starting a function process")?);
        }
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            drop(worker.kill());
            drop(worker.wait());
        }
    }
}

/// An event on its way to a process, and where the answer goes.
struct Event {
    body: Bytes,
    answer: oneshot::Sender<Bytes>,
}

#[derive(Default)]
struct State {
    idle: Vec<oneshot::Sender<Event>>,
    waiting: VecDeque<Event>,
    in_work: HashMap<u64, oneshot::Sender<Bytes>>,
    last: u64,
}

/// Between clients and processes.
#[derive(Clone, Default)]
pub(super) struct Relay(Arc<Mutex<State>>);

impl Relay {
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let response = match path.strip_prefix(PREFIX) {
            Some("next") => self.next().await,
            Some(response) => self.respond(response, body),
            None => Response::new(self.call(body).await.unwrap_or_default().into()),
        };
        Ok(response)
    }

    async fn call(&self, body: Bytes) -> Option<Bytes> {
        let (answer, answered) = oneshot::channel();
        let mut event = Event { body, answer };
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let Some(idle) = state.idle.pop() else {
                    state.waiting.push_back(event);
                    break;
                };
                match idle.send(event) {
                    Ok(()) => break,
                    Err(back) => event = back,
                }
            }
        }
        answered.await.ok()
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let (hand, handed) = oneshot::channel();
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match state.waiting.pop_front() {
                Some(event) => drop(hand.send(event)),
                None => state.idle.push(hand),
            }
        }
        let Ok(event) = handed.await else { return Response::new(Full::default()) };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let id = state.last;
        state.in_work.insert(id, event.answer);
        let mut response = Response::new(Full::new(event.body));
        response.headers_mut().insert("lambda-runtime-aws-request-id", id.into());
        response
    }

    fn respond(&self, path: &str, body: Bytes) -> Response<Full<Bytes>> {
        let id = path.split('/').next().and_then(|id| id.parse::<u64>().ok());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = id.and_then(|id| state.in_work.remove(&id)) {
            drop(answer.send(body));
        }
        Response::new(Full::new(Bytes::from_static(br#"{"status":"OK"}"#)))
    }
}
