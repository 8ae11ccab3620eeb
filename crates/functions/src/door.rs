//! The way from inside an instance to the AWS endpoint: a listener in the instance's own network, whose connections are
//! handed on. No route leads there, so an instance reaches this one door and no other. Also the credentials that an
//! instance signs with: of its function's role, for this instance, and for a while.

use crate::definition::Definition;
use crate::machine::Machine;
use crate::role::{DEFAULT_ROLE, role_name};
use futures::future::BoxFuture;
use jiff::Timestamp;
use sigv4::{Credentials, Keys, Session};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Where the AWS endpoint listens inside an instance: the port that it has on the host, unless somebody chose another.
pub(crate) const DOOR_PORT: u16 = 4566;

/// Connections from one instance at a time: more than the pool of any SDK (50).
const CONNECTIONS_MAX: usize = 64;

/// Serves the AWS API to instances.
pub trait Door: Send + Sync + 'static {
    /// Serves one connection from the instance of that id, to its end.
    fn serve(&self, stream: TcpStream, instance: Arc<str>) -> BoxFuture<'static, ()>;
}

/// What instances have of AWS.
#[derive(Clone)]
pub struct Aws {
    /// Makes their credentials.
    pub keys: Arc<Keys>,
    /// Answers what they ask.
    pub door: Arc<dyn Door>,
    /// How long their credentials are valid. An instance is replaced when eleven twelfths of it have passed, and what
    /// is left must be longer than the longest invocation.
    pub session: Duration,
}

impl Aws {
    /// The age at which an instance takes no more events.
    pub(crate) fn rotate_after(&self) -> Duration {
        self.session - self.session / 12
    }

    /// The credentials of an instance that starts now.
    pub(crate) fn credentials(&self, machine: &Machine, definition: &Definition, id: &str) -> Credentials {
        let role = role_name(&definition.revision.role, &machine.account_id).unwrap_or(DEFAULT_ROLE);
        let seconds = i64::try_from(self.session.as_secs()).unwrap_or(i64::MAX);
        self.keys.mint(&Session {
            role: Some(role.to_owned()),
            name: definition.name.clone(),
            expires: Timestamp::now().as_second().saturating_add(seconds),
            instance: Some(id.to_owned()),
        })
    }
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
