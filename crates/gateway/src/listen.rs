//! The sockets: accept, TLS, HTTP/1.1 and HTTP/2, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::handler::{Current, Handler};
use crate::limits::{ACCEPT_PAUSE, CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, HEADER_BYTES_MAX, HEADER_TIMEOUT};
use crate::peer::Peer;

/// What all connections share.
pub(crate) struct Listening {
    pub(crate) handler: Arc<Handler>,
    pub(crate) connections: TaskTracker,
    /// Cancelled when the gateway stops: no new connections, open ones finish what is under way.
    pub(crate) stop: CancellationToken,
    room: Arc<Semaphore>,
}

impl Listening {
    pub(crate) fn new(handler: Arc<Handler>, stop: CancellationToken) -> Arc<Listening> {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Arc::new(Listening { handler, connections: TaskTracker::new(), stop, room })
    }

    /// Accepts until the gateway stops.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        while let Some(next) = self.stop.run_until_cancelled(self.next(&listener)).await {
            let Some((stream, address, permit)) = next else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (shared, tls) = (self.clone(), tls.clone());
            self.connections.spawn(async move {
                let _permit = permit;
                shared.connection(stream, address, tls).await;
            });
        }
    }

    async fn next(
        &self,
        listener: &TcpListener,
    ) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let permit = self.room.clone().acquire_owned().await.ok()?;
        let (stream, address) = listener.accept().await.ok()?;
        Some((stream, address, permit))
    }

    async fn connection(&self, stream: TcpStream, address: SocketAddr, tls: Option<TlsAcceptor>) {
        // Small answers must not wait for more.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return self.serve(stream, Peer { address, secure: false }).await;
        };
        match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, Peer { address, secure: true }).await,
            Ok(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let handler = self.handler.clone();
        let service = service_fn(move |request| {
            let handler = handler.clone();
            async move { Ok::<_, std::convert::Infallible>(handler.handle(peer, request).await) }
        });
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER_BYTES_MAX)
            .half_close(true);
        http.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES_MAX as u32);
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(address = %peer.address, %error, "a connection ended");
        }
    }
}

/// TLS with the certificate that the table has for the name a client asks for.
pub(crate) fn tls(table: Arc<Current>, fallback: Arc<CertifiedKey>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(ByName { table, fallback }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct ByName {
    table: Arc<Current>,
    /// For names without a certificate.
    fallback: Arc<CertifiedKey>,
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByName")
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.table.get().certificates.find(name));
        Some(named.unwrap_or_else(|| self.fallback.clone()))
    }
}
