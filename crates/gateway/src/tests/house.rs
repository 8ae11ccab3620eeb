//! A gateway with everything around it, and requests to it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::functions::{Invocation, InvokeError, Outcome};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::api::Api;
use crate::gateway::start_with;
use crate::limits::Patience;
use crate::{Config, Gateway, Invoke};

/// Longer than anything takes here.
pub(super) const LONG: Duration = Duration::from_secs(120);

type Answer = dyn Fn(&Invocation) -> Result<Outcome, InvokeError> + Send + Sync;

/// Answers invocations as the test says, and notes them.
pub(super) struct Fake {
    pub(super) answer: Box<Answer>,
    pub(super) seen: Mutex<Vec<Invocation>>,
}

impl Invoke for Fake {
    fn invoke(self: Arc<Self>, invocation: Invocation) -> BoxFuture<'static, Result<Outcome, InvokeError>> {
        let outcome = (self.answer)(&invocation);
        self.seen.lock().unwrap().push(invocation);
        Box::pin(std::future::ready(outcome))
    }
}

/// What a function answers when all is well.
pub(super) fn outcome(payload: &str) -> Outcome {
    Outcome {
        request_id: "request-1".into(),
        payload: payload.to_owned().into(),
        content_type: None,
        error: None,
        log_tail: None,
        executed_version: "$LATEST".to_owned(),
    }
}

/// A running gateway.
pub(super) struct House {
    pub(super) gateway: Gateway,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) functions: Arc<Fake>,
}

impl House {
    pub(super) async fn open(api: &Api) -> House {
        House::with(api, |_| Ok(outcome("{}"))).await
    }

    /// One that soon gives up an endpoint; a busy machine can be slower than that.
    pub(super) async fn hasty(api: &Api) -> House {
        House::start(api, Box::new(|_| Ok(outcome("{}"))), Duration::from_secs(1)).await
    }

    pub(super) async fn with(
        api: &Api,
        answer: impl Fn(&Invocation) -> Result<Outcome, InvokeError> + Send + Sync + 'static,
    ) -> House {
        House::start(api, Box::new(answer), LONG).await
    }

    async fn start(api: &Api, answer: Box<Answer>, patience: Duration) -> House {
        let functions = Arc::new(Fake { answer, seen: Mutex::default() });
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let https = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (http.local_addr().unwrap(), https.local_addr().unwrap());
        let pair = sigv4::Credentials {
            access_key_id: "AKIATEST".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        };
        let config = Config {
            client: api.client(),
            functions: functions.clone(),
            http,
            https,
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            keys: Arc::new(sigv4::Keys::new(vec![pair], b"seed")),
        };
        let patience = Patience { connect: patience, response: patience, body: patience };
        let gateway = start_with(config, patience).unwrap();
        let house = House { gateway, http: addresses.0, https: addresses.1, functions };
        house
            .until("GET /any HTTP/1.1\r\nHost: ready.test", |answer| answer.starts_with("HTTP/1.1 503"))
            .await;
        house
    }

    /// The whole answer to a request without its final blank line.
    pub(super) async fn ask(&self, head: &str, body: &str) -> String {
        timeout(LONG, ask(self.http, head, body)).await.expect("an answer in time")
    }

    pub(super) async fn get(&self, host: &str, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}"), "").await
    }

    /// Asks until the answer is as wanted.
    pub(super) async fn until(&self, head: &str, wanted: impl Fn(&str) -> bool) {
        let began = Instant::now();
        loop {
            let answer = self.ask(head, "").await;
            if wanted(&answer) {
                return;
            }
            assert!(began.elapsed() < LONG, "still {answer}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn ask(address: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = if body.is_empty() { String::new() } else { format!("\r\nContent-Length: {}", body.len()) };
    let request = format!("{head}{length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An API with an Ingress for `web.test` at these endpoints, and one for `ready.test` whose service has none: as soon
/// as that answers 503, the table is in force.
pub(super) fn api(endpoints: &[SocketAddr]) -> Api {
    Api::default()
        .with("ingresses", vec![ingress("web"), ingress("ready")])
        .with("services", vec![service("web"), service("ready")])
        .with(
            "endpointslices",
            endpoints.iter().enumerate().map(|(index, at)| slice("web", index, *at)).collect(),
        )
}

pub(super) fn ingress(name: &str) -> Value {
    let backend = json!({ "service": { "name": name, "port": { "number": 80 } } });
    let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": name, "namespace": "default", "uid": name, "resourceVersion": "1" },
        "spec": { "rules": [{ "host": format!("{name}.test"), "http": { "paths": paths } }] },
    })
}

pub(super) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": "default", "uid": name, "resourceVersion": "1" },
        "spec": { "ports": [{ "port": 80, "targetPort": 8080 }] },
    })
}

pub(super) fn slice(service: &str, index: usize, endpoint: SocketAddr) -> Value {
    let name = format!("{service}-{index}");
    let labels = json!({ "kubernetes.io/service-name": service });
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": name, "namespace": "default", "uid": name, "resourceVersion": "1", "labels": labels },
        "ports": [{ "name": "", "port": endpoint.port() }],
        "endpoints": [{ "addresses": [endpoint.ip().to_string()], "conditions": { "ready": true } }],
    })
}
