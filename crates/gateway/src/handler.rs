//! One request: found in the table, sent on, counted. A bug in it is caught here.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::Metrics;
use crate::answer::{self, Body};
use crate::function::Door;
use crate::peer::{Peer, authority, without_port};
use crate::proxy::Proxy;
use crate::table::{Destination, Table};

/// The table in force.
#[derive(Default)]
pub(crate) struct Current(RwLock<Arc<Table>>);

impl Current {
    /// The table now; a request keeps it to its end.
    pub(crate) fn get(&self) -> Arc<Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another table in force.
    pub(crate) fn set(&self, table: Table) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

/// Answers requests.
pub(crate) struct Handler {
    pub(crate) table: Arc<Current>,
    pub(crate) proxy: Proxy,
    pub(crate) functions: Door,
    pub(crate) metrics: Arc<Metrics>,
}

impl Handler {
    /// Answers one request.
    pub(crate) async fn handle(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        Metrics::count(&self.metrics.requests);
        let answered = AssertUnwindSafe(self.answer(peer, request)).catch_unwind().await;
        let response = answered.unwrap_or_else(|_| {
            Metrics::count(&self.metrics.panics);
            answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the gateway met a bug; its log has more")
        });
        if response.status().is_client_error() {
            Metrics::count(&self.metrics.client_errors);
        } else if response.status().is_server_error() {
            Metrics::count(&self.metrics.server_errors);
        }
        response
    }

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let host = without_port(authority(request.uri(), request.headers()));
        let destination = self.table.get().find(host, request.uri().path());
        match destination {
            Destination::Backend(backend) => self.proxy.serve(&backend, peer, request).await,
            Destination::Function { function, path } => {
                Metrics::count(&self.metrics.function_requests);
                self.functions.serve(&function, &path, peer, request).await
            }
            Destination::Nowhere(reason) => answer::text(StatusCode::NOT_FOUND, &reason),
        }
    }
}
