//! Holding a Lease of `coordination.k8s.io`, so that of several running dorys one leads. A dory that
//! is alone passes no settings and writes nothing.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use client::k8s_openapi::api::coordination::v1::Lease;
use client::{Key, Objects, kube};
use object::time::{self, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Which Lease, and for whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// Who holds it: unique per process.
    pub identity: String,
    /// How long others wait after the last renewal before they take it (client-go: 15 s).
    pub duration: Duration,
    /// How long the holder tries to renew before it gives up (client-go: 10 s).
    pub renew_deadline: Duration,
    /// How long between attempts (client-go: 2 s).
    pub retry_period: Duration,
}

impl Settings {
    /// client-go's timings.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        identity: impl Into<String>,
    ) -> Settings {
        Settings {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Runs `work` whenever this process holds the lease, until `shutdown`. When the lease is lost the token
/// that `work` was given is cancelled, and the campaign begins again once it has ended; when `work` ends
/// by itself, or on `shutdown`, the lease is given back so that another need not wait for it to expire.
pub async fn lead<F>(
    client: &kube::Client,
    settings: &Settings,
    shutdown: CancellationToken,
    work: impl Fn(CancellationToken) -> F,
) where
    F: Future<Output = ()>,
{
    let mut campaign = Campaign::new(client, settings.clone());
    while campaign.win(&shutdown).await {
        tracing::info!(lease = %campaign.key, "leading");
        let term = shutdown.child_token();
        let mut running = pin!(work(term.clone()));
        tokio::select! {
            () = &mut running => {
                campaign.give_back().await;
                return;
            }
            () = campaign.keep() => {
                tracing::warn!(lease = %campaign.key, "the lease was lost");
                term.cancel();
                running.await;
            }
        }
    }
}

struct Campaign {
    objects: Objects,
    key: Key,
    settings: Settings,
    /// What the lease said when it last changed, and when that was by our own clock: the clocks of other
    /// holders are not trusted.
    seen: Option<(Value, Instant)>,
}

impl Campaign {
    fn new(client: &kube::Client, settings: Settings) -> Campaign {
        let key = Key::new(settings.namespace.as_str(), settings.name.as_str());
        Campaign { objects: Objects::of::<Lease>(client), key, settings, seen: None }
    }

    /// Waits until the lease is ours; `false` on shutdown.
    async fn win(&mut self, shutdown: &CancellationToken) -> bool {
        loop {
            if shutdown.is_cancelled() {
                return false;
            }
            match self.try_to_hold().await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => tracing::debug!(lease = %self.key, %error, "the lease was not reached"),
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.retry_period) => {}
                () = shutdown.cancelled() => return false,
            }
        }
    }

    /// Renews until that fails for longer than the deadline, or another holds the lease.
    async fn keep(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.settings.retry_period).await;
            match self.try_to_hold().await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(error) => tracing::debug!(lease = %self.key, %error, "the lease was not renewed"),
            }
            if renewed.elapsed() > self.settings.renew_deadline {
                return;
            }
        }
    }

    async fn try_to_hold(&mut self) -> Result<bool, kube::Error> {
        let live = match self.objects.get(&self.key).await {
            Ok(live) => live,
            Err(error) if client::is_not_found(&error) => {
                let lease = plan_lease(&Value::Null, &self.settings, Timestamp::now());
                return self.objects.create(&self.key.namespace, &lease).await.map(|_| true);
            }
            Err(error) => return Err(error),
        };
        if self.seen.as_ref().is_none_or(|(spec, _)| *spec != live["spec"]) {
            self.seen = Some((live["spec"].clone(), Instant::now()));
        }
        let since = self.seen.as_ref().map_or_else(Instant::now, |(_, at)| *at);
        if !may_take(&live["spec"], &self.settings, since.elapsed()) {
            return Ok(false);
        }
        let lease = plan_lease(&live, &self.settings, Timestamp::now());
        match self.objects.replace(&self.key, &lease).await {
            Ok(_) => Ok(true),
            // Another was quicker.
            Err(error) if client::is_conflict(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn give_back(&self) {
        let Ok(mut live) = self.objects.get(&self.key).await else { return };
        if live["spec"]["holderIdentity"] == self.settings.identity.as_str() {
            live["spec"]["holderIdentity"] = "".into();
            live["spec"]["leaseDurationSeconds"] = 1.into();
            // Refused or not, it expires.
            let _ = self.objects.replace(&self.key, &live).await;
        }
    }
}

/// Whether the lease is ours, free, or not renewed for its whole duration.
fn may_take(spec: &Value, settings: &Settings, unchanged: Duration) -> bool {
    let holder = spec["holderIdentity"].as_str().unwrap_or_default();
    let duration = spec["leaseDurationSeconds"].as_u64().map_or(settings.duration, Duration::from_secs);
    holder.is_empty() || holder == settings.identity || unchanged > duration
}

/// The lease as we hold it from now on.
fn plan_lease(live: &Value, settings: &Settings, now: Timestamp) -> Value {
    let mut lease = if live.is_null() {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "namespace": settings.namespace, "name": settings.name },
            "spec": {},
        })
    } else {
        live.clone()
    };
    let spec = &mut lease["spec"];
    if spec["holderIdentity"] != settings.identity.as_str() {
        let transitions = spec["leaseTransitions"].as_u64().map_or(0, |count| count + 1);
        spec["leaseTransitions"] = transitions.into();
        spec["acquireTime"] = time::micros(now).into();
        spec["holderIdentity"] = settings.identity.as_str().into();
    }
    spec["leaseDurationSeconds"] = settings.duration.as_secs().into();
    spec["renewTime"] = time::micros(now).into();
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_free_ours_or_stale() {
        let settings = Settings::new("kube-system", "dory", "me");
        let spec = |holder: &str| json!({ "holderIdentity": holder, "leaseDurationSeconds": 15 });
        let fresh = Duration::from_secs(3);
        assert!(may_take(&spec(""), &settings, fresh));
        assert!(may_take(&spec("me"), &settings, fresh));
        assert!(!may_take(&spec("other"), &settings, fresh));
        assert!(may_take(&spec("other"), &settings, Duration::from_secs(16)));
    }

    #[test]
    fn renewing_keeps_the_time_of_acquisition() {
        let settings = Settings::new("kube-system", "dory", "me");
        let at = |seconds| Timestamp::from_second(seconds).expect("in range");
        let first = plan_lease(&Value::Null, &settings, at(1_000_000));
        let second = plan_lease(&first, &settings, at(1_000_002));
        assert_eq!(first["spec"]["acquireTime"], second["spec"]["acquireTime"]);
        assert_ne!(first["spec"]["renewTime"], second["spec"]["renewTime"]);
        let taken = plan_lease(&second, &Settings::new("kube-system", "dory", "other"), at(1_000_020));
        assert_eq!(taken["spec"]["leaseTransitions"], 1);
        assert_eq!(taken["spec"]["holderIdentity"], "other");
    }
}
