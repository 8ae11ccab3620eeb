//! The way to the server that each node runs (logs, exec). Implemented by whoever composes the platform; the API
//! server only authorizes, finds the pod's node, rewrites the path and forwards.

use crate::Body;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};

/// Hands a request to the kubelet-like server of one node.
pub trait Nodes: Send + Sync + 'static {
    /// Forwards `request`, whose path is already the node's (`/containerLogs/{namespace}/{pod}/{container}`,
    /// `/exec/…`), with its upgrade extension, to `node`.
    fn forward(&self, node: &str, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

/// A cluster without nodes: every request is answered 503.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoNodes;

impl Nodes for NoNodes {
    fn forward(&self, node: &str, _request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let message = format!("node {node:?} is not reachable from this API server");
        Box::pin(async move { crate::answer::text(StatusCode::SERVICE_UNAVAILABLE, message) })
    }
}
