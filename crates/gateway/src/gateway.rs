//! The gateway's life: start, serve, drain.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::function::{Door, access};
use crate::handler::{Current, Handler};
use crate::limits::{DRAIN_TIMEOUT, Patience};
use crate::listen::{Listening, tls};
use crate::proxy::Proxy;
use crate::watch::Watch;
use crate::{Invoke, Metrics};

/// What a gateway is made of.
pub struct Config {
    /// Whose routes are served.
    pub client: client::kube::Client,
    /// Who runs functions.
    pub functions: Arc<dyn Invoke>,
    /// Where HTTP is served.
    pub http: TcpListener,
    /// Where HTTPS is served.
    pub https: TcpListener,
    /// The region in function events.
    pub region: String,
    /// The account in function events.
    pub account_id: String,
    /// The keys that `AWS_IAM` function URLs accept.
    pub keys: Arc<sigv4::Keys>,
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificate could be made for names without one.
    #[error("make the gateway's own certificate: {0}")]
    Certificate(String),
}

/// A running gateway. Dropping it ends it at once; [`Gateway::stop`] is kinder.
pub struct Gateway {
    listening: Arc<Listening>,
    metrics: Arc<Metrics>,
    /// Accept loops and the watch; aborted when dropped.
    _tasks: JoinSet<()>,
}

/// Serves until [`Gateway::stop`]. Routes follow the API from the moment its lists are read.
pub async fn start(config: Config) -> Result<Gateway, Error> {
    start_with(config, Patience::default())
}

/// As [`start`], with other timeouts. Must be called inside a tokio runtime.
pub(crate) fn start_with(config: Config, patience: Patience) -> Result<Gateway, Error> {
    let metrics = Arc::new(Metrics::default());
    let table = Arc::new(Current::default());
    let stop = CancellationToken::new();
    let acceptor =
        tls(table.clone(), own_certificate()?).map_err(|error| Error::Certificate(error.to_string()))?;
    let handler = Handler {
        table: table.clone(),
        proxy: Proxy::new(metrics.clone(), patience, stop.clone()),
        functions: Door {
            functions: config.functions,
            region: config.region,
            account_id: config.account_id,
            keys: config.keys,
            roles: access::roles(config.client.clone()),
        },
        metrics: metrics.clone(),
    };
    let listening = Listening::new(Arc::new(handler), stop);
    let mut tasks = JoinSet::new();
    tasks.spawn(Watch::new(config.client).run(table));
    tasks.spawn(listening.clone().accept(config.http, None));
    tasks.spawn(listening.clone().accept(config.https, Some(acceptor)));
    Ok(Gateway { listening, metrics, _tasks: tasks })
}

impl Gateway {
    /// What went through so far.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Takes no new connections, lets requests under way finish for a while, then ends.
    pub async fn stop(&self) {
        self.listening.stop.cancel();
        self.listening.connections.close();
        let drained = async {
            self.listening.connections.wait().await;
            self.listening.handler.proxy.drained().await;
        };
        if timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::info!(
                connections = self.listening.connections.len(),
                "connections were cut at the end of draining"
            );
        }
    }
}

/// For names that no Ingress has a certificate for: signed by nobody, new at every start.
fn own_certificate() -> Result<Arc<CertifiedKey>, Error> {
    let failed = |error: &dyn std::error::Error| Error::Certificate(error.to_string());
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| failed(&error))?;
    Ok(Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key)))
}
