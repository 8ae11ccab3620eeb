//! A role of the platform as it runs: its task, alone or under a lease, and its end.

use client::kube;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::lease;

/// A running role.
pub struct Handle {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Handle {
    /// Runs `work`: at once, or whenever the lease is held. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start<W>(
        client: kube::Client,
        lease: Option<lease::Settings>,
        work: impl Fn(CancellationToken) -> W + Send + Sync + 'static,
    ) -> Handle
    where
        W: Future<Output = ()> + Send,
    {
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            match lease {
                Some(lease) => lease::lead(&client, &lease, stop, work).await,
                None => work(stop).await,
            }
        });
        Handle { shutdown, task }
    }

    /// Stops the role; what has begun is finished first.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // It ends by itself then; a panic in it was reported where it happened.
        let _ = self.task.await;
    }
}
