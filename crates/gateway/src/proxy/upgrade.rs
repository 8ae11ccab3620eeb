//! Connections that stop being HTTP (WebSocket): the two ends are joined and bytes pass both ways.

use http::HeaderValue;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// An upgrade that a client asks for.
pub(super) struct Wanted {
    pub(super) client: OnUpgrade,
    /// The value of the Upgrade header.
    pub(super) protocol: HeaderValue,
}

/// Takes the wish out of a request. HTTP/2 has no such upgrade.
pub(super) fn wanted(parts: &mut Parts) -> Option<Wanted> {
    let connection = parts.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut words = connection.flat_map(|value| value.split(',')).map(str::trim);
    if !words.any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let protocol = parts.headers.get(UPGRADE)?.clone();
    let client = parts.extensions.remove::<OnUpgrade>()?;
    Some(Wanted { client, protocol })
}

/// The connections that were upgraded.
pub(crate) struct Upgrades {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Upgrades {
    pub(super) fn new(stop: CancellationToken) -> Upgrades {
        Upgrades { tasks: TaskTracker::new(), stop }
    }

    /// Joins the two ends as soon as both have switched.
    pub(super) fn join(&self, client: OnUpgrade, endpoint: OnUpgrade) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let ends = match futures::try_join!(client, endpoint) {
                Ok(ends) => ends,
                Err(error) => return tracing::debug!(%error, "an upgrade did not happen"),
            };
            let (mut client, mut endpoint) = (TokioIo::new(ends.0), TokioIo::new(ends.1));
            let copying = tokio::io::copy_bidirectional(&mut client, &mut endpoint);
            if let Some(Err(error)) = stop.run_until_cancelled(copying).await {
                tracing::debug!(%error, "an upgraded connection broke");
            }
        });
    }

    pub(super) async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
