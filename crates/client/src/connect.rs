//! The two ways to an API server: a tower service in this process, or the address in a kubeconfig.
//! Never decides which one is meant; `dory` and the tests do.

use std::path::Path;

use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use tower::ServiceExt;
use tower::util::BoxCloneService;

/// What can go wrong below a service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The one body type that crosses rooms.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, BoxError>;

/// What the embedded API server records as the manager of fields that its own roles write.
const AGENT: HeaderValue = HeaderValue::from_static("dory");

/// Why no client came out of a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file is missing, not readable, or not a kubeconfig.
    #[error("failed to read the kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
    /// The kubeconfig names something that cannot be used, such as a broken certificate.
    #[error("failed to make a client from the kubeconfig")]
    Client(#[from] kube::Error),
}

/// A client over a service in this process: no socket, no TLS. Must be called inside a tokio runtime.
#[must_use]
pub fn in_process(service: BoxCloneService<Request<Body>, Response<Body>, BoxError>) -> kube::Client {
    let service = service.map_request(|mut request: Request<kube::client::Body>| {
        request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
        request.map(|body| body.map_err(BoxError::from).boxed_unsync())
    });
    kube::Client::new(service, "default")
}

/// A client for the current context of a kubeconfig file.
pub async fn from_kubeconfig(path: &Path) -> Result<kube::Client, ConnectError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}
