//! What kube-proxy and the cluster's name server do on a real cluster: Services and EndpointSlices, watched, become the
//! network's table of services and the zone of cluster names.

mod entries;
pub(crate) mod zone;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;
use client::k8s_openapi::api::discovery::v1 as discovery;
use client::{Cache, Changes, Objects};
use futures::StreamExt;
use net::{Network, PortEntry, Protocol, ServiceEntry};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::entries::{Backed, entry};
use self::zone::{Cluster, Names};

/// The name server's port.
pub(crate) const DNS_PORT: u16 = 53;
/// Changes come in bursts (a deployment's slices, say); this long after the first the table is made.
const GATHER: Duration = Duration::from_millis(2);
/// After the network refused a table.
const RETRY: Duration = Duration::from_secs(1);

/// What the proxy works with.
pub(crate) struct Proxy {
    pub(crate) services: Cache,
    pub(crate) slices: Cache,
    pub(crate) network: Arc<Network>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) api_server: SocketAddrV4,
}

impl Proxy {
    /// Keeps table and names current until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let work = async {
            let mut changes = (self.services.subscribe(), self.slices.subscribe());
            let mut applied: Option<Vec<ServiceEntry>> = None;
            // A table made of half a list would cut services that are in use.
            self.services.synced().await;
            self.slices.synced().await;
            loop {
                let wanted = self.gather();
                if applied.as_ref() != Some(&wanted) {
                    match self.network.apply_services(wanted.clone()).await {
                        Ok(()) => applied = Some(wanted),
                        Err(error) => {
                            tracing::warn!(%error, "failed to apply the table of services; trying again");
                            tokio::time::sleep(RETRY).await;
                            continue;
                        }
                    }
                }
                if !next(&mut changes).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Reads the caches: the names are replaced, the table is returned.
    fn gather(&self) -> Vec<ServiceEntry> {
        let services: Vec<api::Service> = parse_all(&self.services);
        let slices: Vec<discovery::EndpointSlice> = parse_all(&self.slices);
        let mut by_service: HashMap<(&str, &str), Vec<&discovery::EndpointSlice>> = HashMap::new();
        for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
            let labels = slice.metadata.labels.as_ref();
            let service = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
            if let (Some(namespace), Some(service)) = (slice.metadata.namespace.as_deref(), service) {
                by_service.entry((namespace, service)).or_default().push(slice);
            }
        }
        let backed: Vec<Backed<'_>> = services
            .iter()
            .map(|service| {
                let metadata = &service.metadata;
                let name = metadata.name.as_deref().unwrap_or_default();
                let key = (metadata.namespace.as_deref().unwrap_or_default(), name);
                Backed { service, slices: by_service.remove(&key).unwrap_or_default() }
            })
            .collect();
        self.cluster.replace(Names::of(backed.iter()));
        let dns = self.dns_entry();
        let mut table: Vec<_> = backed
            .iter()
            .filter_map(|backed| entry(backed, self.api_server))
            .filter(|entry| entry.cluster_ip != dns.cluster_ip)
            .collect();
        table.push(dns);
        table
    }

    /// The cluster's name server listens on the gateway address of this host.
    fn dns_entry(&self) -> ServiceEntry {
        let server = SocketAddrV4::new(self.network.gateway(), DNS_PORT);
        let port =
            |protocol| PortEntry { protocol, port: DNS_PORT, node_port: None, endpoints: vec![server] };
        ServiceEntry {
            name: "kube-system/kube-dns".to_owned(),
            cluster_ip: self.network.dns_address(),
            ports: vec![port(Protocol::Udp), port(Protocol::Tcp)],
            session_affinity: None,
        }
    }
}

/// Waits for a change and takes all that come with it; `false` when the caches are gone.
async fn next(changes: &mut (Changes, Changes)) -> bool {
    let (services, slices) = changes;
    let more = tokio::select! {
        change = services.next() => change.is_some(),
        change = slices.next() => change.is_some(),
    };
    tokio::time::sleep(GATHER).await;
    while futures::FutureExt::now_or_never(services.next()).flatten().is_some() {}
    while futures::FutureExt::now_or_never(slices.next()).flatten().is_some() {}
    more
}

fn parse_all<K: serde::de::DeserializeOwned>(cache: &Cache) -> Vec<K> {
    cache.list().iter().filter_map(|object| client::parse(object).ok()).collect()
}

/// Makes the `kube-system/kube-dns` Service, so that its address is taken and clients find it where they expect it.
pub(crate) async fn announce_dns(client: &client::kube::Client, address: Ipv4Addr) {
    let services = Objects::of::<api::Service>(client);
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": { "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" },
        },
        "spec": {
            "clusterIP": address.to_string(),
            "ports": [
                { "name": "dns", "port": DNS_PORT, "protocol": "UDP" },
                { "name": "dns-tcp", "port": DNS_PORT, "protocol": "TCP" },
            ],
        },
    });
    match services.create("kube-system", &service).await {
        Ok(_) => {}
        Err(error) if client::is_already_exists(&error) => {}
        Err(error) => tracing::warn!(%error, "failed to make the kube-dns Service"),
    }
}
