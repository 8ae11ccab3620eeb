//! Sockets of the Kubernetes and AWS doors: accept, TLS, one task per connection, drain.
//!
//! What a request means is decided in `apiserver` and `aws`; this file only carries it to them.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::pki::Pki;

/// Bodies as they cross every door.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
/// What answers the requests of a listener.
pub type Handler = Arc<dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// Connections at once on one listener: a bound on memory, far above what one machine's clients open.
const CONNECTIONS_MAX: usize = 4096;
/// A client that has not finished its TLS handshake or headers by then is not a client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open requests may take to finish once the platform stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Binds, or says who else may have the port.
pub async fn bind(address: SocketAddr, what: &str, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            anyhow::anyhow!(
                "port {} for the {what} is already taken; stop what listens there (`ss -ltnp`), or choose another \
                 port with {flag} PORT",
                address.port()
            )
        } else {
            anyhow::Error::new(error).context(format!("cannot listen on {address} for the {what}"))
        }
    })
}

/// The same socket, watched by the threads of another runtime.
pub fn hand_over(listener: TcpListener, to: &Handle) -> std::io::Result<TcpListener> {
    let listener = listener.into_std()?;
    let _entered = to.enter();
    TcpListener::from_std(listener)
}

/// The certificate that the next handshake is given; replaced while the server runs.
#[derive(Debug)]
pub struct Serving(RwLock<Arc<CertifiedKey>>);

impl Serving {
    pub fn new(key: Arc<CertifiedKey>) -> Arc<Serving> {
        Arc::new(Serving(RwLock::new(key)))
    }

    pub fn replace(&self, key: Arc<CertifiedKey>) {
        *self.0.write().expect("no holder of this lock panics") = key;
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().expect("no holder of this lock panics").clone())
    }
}

/// TLS for the Kubernetes door: client certificates of our authority are verified, none is asked for by force.
pub fn tls(pki: &Pki, serving: Arc<Serving>) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki.authority_der()?)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .context("the client certificate verifier")?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves one listener until `stop`, then lets open requests finish for a moment.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, slot)) = accepted else { continue };
        let (tls, handler, watcher) = (tls.clone(), handler.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _slot = slot;
            connection(stream, tls, handler, watcher).await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            // Out of descriptors, mostly: a short pause lets connections end instead of spinning.
            tracing::warn!(%error, "failed to accept a connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Handler, watcher: Watcher) {
    stream.set_nodelay(true).ok();
    let Some(tls) = tls else { return http(stream, None, handler, watcher).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let peer = peer.map(|certificate| apiserver::PeerCertificate(certificate.to_vec()));
            http(stream, peer, handler, watcher).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake timed out"),
    }
}

/// Serves one connection that was accepted elsewhere, to its end.
pub async fn inside(stream: TcpStream, handler: Handler) {
    let graceful = GracefulShutdown::new();
    connection(stream, None, handler, graceful.watcher()).await;
}

async fn http<S>(stream: S, peer: Option<apiserver::PeerCertificate>, handler: Handler, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        if let Some(peer) = peer.clone() {
            request.extensions_mut().insert(peer);
        }
        answer(handler.clone(), request)
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(1000);
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(
    handler: Handler,
    request: Request<Body>,
) -> Result<Response<Body>, std::convert::Infallible> {
    Ok(handler(request).await)
}
