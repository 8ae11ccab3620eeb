//! The API server itself: starts the cache and the bootstrap objects, and takes each request through its stations.

use crate::{
    Body, BoxError, Config, Identity, admission,
    answer::{self, Reply},
    api::Api,
    attributes::Attributes,
    authenticate::authenticate,
    bootstrap,
    cache::Cache,
    call::Call,
    dispatch, health, impersonate,
    media::Media,
    metrics::{Metrics, Observed},
    query::Query,
    rbac::Rbac,
    token::Tokens,
    turns::Turns,
    upkeep,
};
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, request::Parts};
use http_body::Body as _;
use object::Status;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// How long a request may take that is neither a watch nor a stream to a container; upstream's figure.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests that are worked on at once, without watches and streams: upstream's sum for reads and writes.
const IN_FLIGHT_MAX: usize = 600;
/// Bytes of the bodies of these together: some twenty of the largest. Read as an object a body takes several times as much.
const BODIES_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(answer::BODY_BYTES_MAX <= BODIES_BYTES_MAX, "the largest body must fit");

/// Why an API server could not start; reads after "failed to start the API server: ".
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting has no meaning.
    #[error("setting {0}")]
    Setting(String),
    /// The store could not be read.
    #[error("the store could not be read")]
    Store(#[from] store::Error),
    /// A bootstrap object could not be made.
    #[error("bootstrap object {name} could not be made: {why}")]
    Bootstrap {
        /// Which one.
        name: String,
        /// What the server said.
        why: String,
    },
}

/// A running API server. Cheap to share; serves as long as somebody holds it.
pub struct ApiServer {
    api: Arc<Api>,
    in_flight: Semaphore,
    bodies: Semaphore,
    _chores: JoinSet<()>,
}

impl ApiServer {
    /// Loads the store into the cache, makes the bootstrap objects, and is then ready for requests.
    pub async fn start(config: Config) -> Result<Arc<ApiServer>, StartError> {
        let tokens = Tokens::new(&config.service_account_key, &config.issuer).map_err(StartError::Setting)?;
        if !admission::is_service_range(&config.service_cidr) {
            return Err(StartError::Setting(format!(
                "service_cidr {:?} is not an IPv4 range between /8 and /28",
                config.service_cidr
            )));
        }
        let store = config.store.clone();
        let cache = Cache::start(&store).await?;
        let rbac = Rbac::new(cache.clone());
        let addresses = tokio::sync::Mutex::default();
        let (turns, metrics) = (Turns::default(), Metrics::default());
        let api = Arc::new(Api { cache, store, config, tokens, rbac, addresses, turns, metrics });
        bootstrap::run(&api).await?;
        let chores = upkeep::start(&api);
        let (in_flight, bodies) = (Semaphore::new(IN_FLIGHT_MAX), Semaphore::new(BODIES_BYTES_MAX));
        Ok(Arc::new(ApiServer { api, in_flight, bodies, _chores: chores }))
    }

    #[cfg(test)]
    pub(crate) fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// Answers one request. The caller is who the request's extensions ([`Identity`] or
    /// [`PeerCertificate`](crate::PeerCertificate)) or its bearer token say.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query());
        let attributes = Attributes::of(&parts.method, parts.uri.path(), &query);
        let observed = Observed::new(&attributes);
        let answered = AssertUnwindSafe(self.answer(parts, body, query, attributes)).catch_unwind().await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => answer::failure(&status),
            Err(_) => {
                self.api.metrics.panicked();
                answer::failure(&Status::internal("this request met a bug in the API server"))
            }
        };
        self.api.metrics.answered(observed, response.status(), started.elapsed());
        response
    }

    async fn answer(&self, parts: Parts, body: Body, query: Query, attributes: Attributes) -> Reply {
        let mut identity = authenticate(&self.api, &parts)?;
        if let Some(other) = impersonate::wanted(&parts.headers)? {
            impersonate::check(&self.api, &identity, &other, &parts.headers)?;
            identity = other;
        }
        if identity.is_anonymous() && !health::is_public(parts.uri.path()) {
            return Err(Status::unauthorized());
        }
        if is_long(&attributes) {
            return self.route(parts, body, query, attributes, identity).await;
        }
        // The platform's own roles are few and bounded, and a flood from outside must not cost a node its lease.
        let inside = parts.extensions.get::<Inside>().is_some();
        let permit = if inside { None } else { Some(self.in_flight.try_acquire()) };
        if let Some(Err(_)) = permit {
            return Err(Status::too_many_requests(
                "the server has too many requests in flight, please try again later",
                1,
            ));
        }
        let bytes = if inside { 0 } else { body_bytes(&body) };
        let Ok(_room) = self.bodies.try_acquire_many(bytes) else {
            return Err(Status::too_many_requests(
                "the server has too many bytes of requests in flight, please try again later",
                1,
            ));
        };
        let routed = self.route(parts, body, query, attributes, identity);
        tokio::time::timeout(REQUEST_TIMEOUT, routed).await.unwrap_or_else(|_| {
            Err(Status::timeout("the request did not end within the time allowed, 60 seconds"))
        })
    }

    async fn route(
        &self,
        parts: Parts,
        body: Body,
        query: Query,
        attributes: Attributes,
        identity: Identity,
    ) -> Reply {
        let pretty = query.flag("pretty") || (!query.has("pretty") && is_person(&parts));
        // A path is answered in its own media type whatever is asked for; only resources are negotiated.
        let media = match Media::negotiate(&parts.headers, pretty) {
            Ok(media) => media,
            Err(status) if attributes.is_resource() && !dispatch::is_stream(&attributes) => {
                return Err(status);
            }
            Err(_) => Media { pretty, ..Media::JSON },
        };
        let now = jiff::Timestamp::now();
        let mut parts = parts;
        let headers = std::mem::take(&mut parts.headers);
        let call = Call { attributes, query, headers, media, identity, now };
        if !health::is_public(parts.uri.path()) || call.attributes.is_resource() {
            self.api.rbac.check(&call.identity, &call.attributes)?;
        }
        dispatch::dispatch(&self.api, &call, parts, body).await
    }

    /// The API server as a service that acts as `identity`: the in-process transport of a `kube::Client`.
    pub fn service(self: &Arc<Self>, identity: Identity) -> InProcess {
        InProcess { server: self.clone(), identity }
    }
}

/// What will be read of a body, at most.
fn body_bytes(body: &Body) -> u32 {
    let bytes = body.size_hint().upper().unwrap_or(u64::MAX);
    u32::try_from(bytes).unwrap_or(u32::MAX).min(answer::BODY_BYTES_MAX as u32)
}

/// Requests that last as long as the client likes.
fn is_long(attributes: &Attributes) -> bool {
    attributes.verb == "watch" || dispatch::is_stream(attributes)
}

/// People who type a URL get indented JSON, as upstream has it.
fn is_person(parts: &Parts) -> bool {
    let agent = parts.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.is_some_and(|agent| ["curl/", "Wget/", "Mozilla/"].iter().any(|own| agent.starts_with(own)))
}

/// Marks a request that came through the in-process transport.
#[derive(Debug, Clone, Copy)]
struct Inside;

/// The in-process transport: no socket, no TLS, one fixed identity.
#[derive(Clone)]
pub struct InProcess {
    server: Arc<ApiServer>,
    identity: Identity,
}

impl tower::Service<Request<Body>> for InProcess {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let server = self.server.clone();
        request.extensions_mut().insert(self.identity.clone());
        request.extensions_mut().insert(Inside);
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}
