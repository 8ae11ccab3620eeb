//! One file per controller: key in, desired state compared, patches out.
//!
//! ```text
//!   caches ──► reconcile::Loop ──key──► controller ── plan_* (pure) ──► steps ── apply_* ──► client
//! ```
//!
//! A controller sees the API through `client` alone and so runs unchanged against a remote Kubernetes. It
//! reads caches, writes patches, and never holds state that it could not read again after a restart.
#![deny(missing_docs)]

mod conditions;
mod cron_job;
mod daemon_set;
mod deployment;
mod discovery;
mod disruption;
mod endpoint_slice;
mod endpoints;
mod ephemeral_volume;
mod garbage;
mod horizontal_pod_autoscaler;
mod job;
mod namespace;
mod node_lifecycle;
mod own_writes;
mod owned_pods;
mod ownership;
mod pod;
mod pod_control;
mod pod_gc;
mod replica_set;
mod revisions;
mod root_ca;
mod service;
mod service_account;
mod stateful_set;
mod storage_protection;
mod taint_eviction;
mod ttl_after_finished;
mod volume_binding;

use client::Caches;
use client::kube;
use reconcile::CancellationToken;
pub use reconcile::Handle;
use tokio::task::JoinSet;

/// What the controllers need to know besides the API.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The certificate authority that pods trust, for `kube-root-ca.crt`; none on a cluster that has
    /// its own controller for it.
    pub ca_pem: Option<String>,
    /// The lease to hold before anything is done; none when this dory is alone.
    pub lease: Option<reconcile::lease::Settings>,
}

/// Starts all controllers. Must be called inside a tokio runtime.
#[must_use]
pub fn start(client: kube::Client, options: Options) -> Handle {
    let (lease, own) = (options.lease.clone(), client.clone());
    Handle::start(client, lease, move |stop| run(Caches::new(own.clone()), &options, stop))
}

/// Runs every loop until `shutdown`.
fn run(caches: Caches, options: &Options, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let mut loops = vec![
        deployment::controller(&caches),
        replica_set::controller(&caches),
        daemon_set::controller(&caches),
        stateful_set::controller(&caches),
        horizontal_pod_autoscaler::controller(&caches),
        job::controller(&caches),
        job::orphans::controller(&caches),
        ttl_after_finished::controller(&caches),
        cron_job::controller(&caches),
        disruption::controller(&caches),
        service_account::controller(&caches),
        endpoint_slice::controller(&caches),
        endpoints::controller(&caches),
        namespace::controller(&caches),
        node_lifecycle::controller(&caches),
        taint_eviction::controller(&caches),
        pod_gc::controller(&caches),
        volume_binding::controller(&caches),
        storage_protection::controller(&caches),
        ephemeral_volume::controller(&caches),
    ];
    loops.extend(options.ca_pem.clone().map(|ca_pem| root_ca::controller(&caches, ca_pem)));
    async move {
        let mut tasks = JoinSet::new();
        for work in loops {
            tasks.spawn(work.run(shutdown.clone()));
        }
        tasks.spawn(garbage::run(caches, shutdown));
        while tasks.join_next().await.is_some() {}
    }
}
