//! Requests to the endpoints of a Service: streamed both ways, with connections kept for the next request, and sent to
//! a second endpoint if the first cannot be reached.

mod body;
mod headers;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_util::sync::CancellationToken;

use crate::Metrics;
use crate::answer::{self, Body};
use crate::limits::{ENDPOINT_IDLE_MAX, ENDPOINT_IDLE_TIMEOUT, Patience};
use crate::peer::Peer;
use crate::table::Backend;

use body::{Idle, Shared};
pub(crate) use upgrade::Upgrades;

/// The way to endpoints.
pub(crate) struct Proxy {
    client: Client<HttpConnector, Shared>,
    metrics: Arc<Metrics>,
    upgrades: Upgrades,
    patience: Patience,
}

/// Why an endpoint gave no answer.
enum Failure {
    /// It could not be reached; nothing was sent.
    Connect(String),
    /// It took the request and answered nothing that can be passed on.
    Answer(String),
    Timeout,
}

impl Proxy {
    /// Upgraded connections end when `stop` is cancelled.
    pub(crate) fn new(metrics: Arc<Metrics>, patience: Patience, stop: CancellationToken) -> Proxy {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(patience.connect));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(ENDPOINT_IDLE_TIMEOUT)
            .pool_max_idle_per_host(ENDPOINT_IDLE_MAX)
            .build(connector);
        Proxy { client, metrics, upgrades: Upgrades::new(stop), patience }
    }

    /// Waits until no upgraded connection is left.
    pub(crate) async fn drained(&self) {
        self.upgrades.drained().await;
    }

    /// Answers one request.
    pub(crate) async fn serve(
        &self,
        backend: &Backend,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let Some((first, second)) = backend.pick() else {
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, &backend.why_none());
        };
        let (mut parts, body) = request.into_parts();
        let upgrade = upgrade::wanted(&mut parts);
        headers::prepare_request(&mut parts, peer, upgrade.as_ref());
        let body = Shared::new(body);
        let mut sent = self.send(first, &parts, &body).await;
        if let (Err(Failure::Connect(_)), Some(second), true) = (&sent, second, body.is_whole()) {
            Metrics::count(&self.metrics.retries);
            sent = self.send(second, &parts, &body).await;
        }
        match sent {
            Ok(response) => self.pass_on(response, upgrade),
            Err(Failure::Timeout) => {
                let seconds = self.patience.response.as_secs();
                let reason = format!("an endpoint of {} did not answer within {seconds} s", backend.name);
                answer::text(StatusCode::GATEWAY_TIMEOUT, &reason)
            }
            Err(Failure::Connect(why)) => {
                let reason = format!("no endpoint of {} could be reached: {why}", backend.name);
                answer::text(StatusCode::BAD_GATEWAY, &reason)
            }
            Err(Failure::Answer(why)) => {
                let reason = format!("an endpoint of {} gave no valid answer: {why}", backend.name);
                answer::text(StatusCode::BAD_GATEWAY, &reason)
            }
        }
    }

    async fn send(
        &self,
        endpoint: SocketAddr,
        parts: &Parts,
        body: &Shared,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(body.clone());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = endpoint_uri(endpoint, &parts.uri);
        *request.headers_mut() = parts.headers.clone();
        *request.version_mut() = Version::HTTP_11;
        let sending = self.client.request(request);
        tokio::pin!(sending);
        loop {
            // The time counts from the last piece of the request's body: a long upload is no slow answer.
            let deadline = body.last_progress() + self.patience.response;
            match tokio::time::timeout_at(deadline.into(), &mut sending).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) if error.is_connect() => return Err(Failure::Connect(root_cause(&error))),
                Ok(Err(error)) => return Err(Failure::Answer(root_cause(&error))),
                Err(_) if body.last_progress() + self.patience.response > Instant::now() => {}
                Err(_) => return Err(Failure::Timeout),
            }
        }
    }

    fn pass_on(&self, mut response: Response<Incoming>, upgrade: Option<upgrade::Wanted>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else {
                return answer::text(
                    StatusCode::BAD_GATEWAY,
                    "the endpoint upgraded a connection that did not ask to be",
                );
            };
            Metrics::count(&self.metrics.upgrades);
            self.upgrades.join(upgrade.client, hyper::upgrade::on(&mut response));
            headers::prepare_response(&mut response, Some(&upgrade.protocol));
        } else {
            headers::prepare_response(&mut response, None);
        }
        response.map(|body| Idle::new(body, self.patience.body).boxed_unsync())
    }
}

fn endpoint_uri(endpoint: SocketAddr, uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let built =
        Uri::builder().scheme(Scheme::HTTP).authority(endpoint.to_string()).path_and_query(path).build();
    built.expect("an address and the path of a URI make a URI")
}

/// hyper's errors say little; what is below them says what happened.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}
