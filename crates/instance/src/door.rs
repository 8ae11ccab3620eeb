//! The way from inside an instance to the AWS endpoint: a listener in the instance's own network, whose connections are
//! handed on. No route leads there, so an instance reaches this one door and no other.

use crate::accept::accept;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

/// Where the AWS endpoint listens inside an instance: the port that it has on the host, unless somebody chose another.
pub const DOOR_PORT: u16 = 4566;

/// Connections from one instance at a time: more than the pool of any SDK (50).
const CONNECTIONS_MAX: usize = 64;

/// Serves the AWS API to instances.
pub trait Door: Send + Sync + 'static {
    /// Serves one connection from the instance of that id, to its end.
    fn serve(&self, stream: TcpStream, instance: Arc<str>) -> BoxFuture<'static, ()>;
}

/// Hands on the connections of one instance until the caller drops the future, which ends them too.
pub(crate) async fn serve(listener: TcpListener, door: Arc<dyn Door>, instance: Arc<str>) {
    accept(listener, "the AWS door", CONNECTIONS_MAX, |stream| door.serve(stream, instance.clone())).await;
}
