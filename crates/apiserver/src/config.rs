//! What an API server needs to be told. Read once at start by `dory` (or a test); never from the environment here.

use crate::nodes::{NoNodes, Nodes};
use std::{net::SocketAddr, ops::RangeInclusive, sync::Arc};
use store::Store;

/// A writer of Prometheus text for another room's metrics, called at every scrape.
pub type MetricsText = Arc<dyn Fn(&mut String) + Send + Sync>;

/// What is called when a burst of changes is over, and again when what was remembered of it is gone.
pub type Settled = Arc<dyn Fn() + Send + Sync>;

/// The settings of an [`ApiServer`](crate::ApiServer).
#[derive(Clone)]
pub struct Config {
    /// Where the objects live.
    pub store: Arc<dyn Store>,
    /// The way to the nodes, for logs and exec.
    pub nodes: Arc<dyn Nodes>,
    /// The P-256 key that signs ServiceAccount tokens, as PKCS #8 DER.
    pub service_account_key: Vec<u8>,
    /// The `iss` claim of ServiceAccount tokens.
    pub issuer: String,
    /// The cluster's certificate authority, as PEM.
    pub ca_pem: String,
    /// The addresses of Services, such as `10.43.0.0/16`.
    pub service_cidr: String,
    /// The ports that Services of type NodePort get.
    pub node_port_range: RangeInclusive<u16>,
    /// Where pods reach this API server: becomes the endpoint of the Service `default/kubernetes`.
    pub advertise: Option<SocketAddr>,
    /// Metrics of other rooms, appended to `/metrics`.
    pub metrics: Vec<MetricsText>,
    /// Told on a thread that may block: the time to give memory back.
    pub settled: Settled,
}

impl Config {
    /// Settings with the defaults of a single-machine cluster.
    pub fn new(store: Arc<dyn Store>, service_account_key: Vec<u8>, ca_pem: String) -> Self {
        Self {
            store,
            nodes: Arc::new(NoNodes),
            service_account_key,
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            ca_pem,
            service_cidr: "10.43.0.0/16".to_owned(),
            node_port_range: 30000..=32767,
            advertise: None,
            metrics: Vec::new(),
            settled: Arc::new(|| {}),
        }
    }
}
