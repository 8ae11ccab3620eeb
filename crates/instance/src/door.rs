//! The way from inside an instance to the AWS endpoint: a listener in the instance's own network, whose connections are
//! handed on. No route leads there, so an instance reaches this one door and no other.

use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

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
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = door.serve(stream, instance.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the AWS door of an instance cannot accept");
                return;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}
