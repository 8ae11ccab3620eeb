//! The node itself: what it is started with, its parts put together, its end.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use client::k8s_openapi::api::core::v1 as api;
use client::k8s_openapi::api::discovery::v1 as discovery;
use client::{Objects, Recorder, Selectors};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claims::Claims;
use crate::container::resolv::Resolver;
use crate::inotify::Watcher;
use crate::machine::Machine;
use crate::metering;
use crate::pod::ground::Ground;
use crate::pod::status::Host;
use crate::pods::Pods;
use crate::provision::{self, Directories};
use crate::register::{self, Registration};
use crate::runtime::{Real, Runtime};
use crate::server;
use crate::services::zone::Cluster;
use crate::services::{self, DNS_PORT, Proxy};
use crate::sources::Sources;

/// The one body type that crosses rooms.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What a [`Node`] is started with.
pub struct NodeConfig {
    /// The way to the API, shared with whoever watches the same resources.
    pub caches: client::Caches,
    /// Where pods run.
    pub host: Arc<sandbox::Host>,
    /// Where they get addresses, and what makes services real.
    pub network: Arc<net::Network>,
    /// The Node object's name; a DNS label.
    pub name: String,
    /// The machine's address in the Node's and the pods' status.
    pub address: Ipv4Addr,
    /// The node's own directory: logs and volumes of pods live in `<data_dir>/<uid>`.
    pub data_dir: PathBuf,
    /// Where the provisioner of this node makes volumes: they outlive pods, and the node.
    pub volumes_dir: PathBuf,
    /// Where connections to the `default/kubernetes` service go: the API server's listener as the host reaches it.
    pub api_server: SocketAddrV4,
    /// Further labels of the Node object.
    pub labels: Vec<(String, String)>,
    /// What hears of the pods that run.
    pub meter: Arc<meter::Meter>,
}

/// Why the node did not start; reads after "failed to start the node: ".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Pods of an earlier run could not be looked up.
    #[error("adopt the pods that run already: {0}")]
    Adopt(#[source] sandbox::Error),
    /// The cluster's name server could not be started.
    #[error("start the cluster's name server: {0}")]
    Dns(#[source] net::dns::Error),
    /// The data directory cannot be used.
    #[error("use {path}: {source}")]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A running node. It goes on until [`Node::stop`].
pub struct Node {
    name: String,
    pods: Arc<Pods>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Starts the node: adopts the pods that still run, registers with the API, then serves.
pub async fn start(config: NodeConfig) -> Result<Arc<Node>, Error> {
    let dir = config.data_dir.clone();
    std::fs::create_dir_all(&dir).map_err(|source| Error::Directory { path: dir.clone(), source })?;
    let runtime: Arc<dyn Runtime> = Arc::new(Real(config.host.clone(), Arc::default()));
    let adopted = runtime.adopt().await.map_err(Error::Adopt)?;
    let cluster = Arc::new(Cluster::default());
    let server = SocketAddrV4::new(config.network.gateway(), DNS_PORT);
    let dns = net::dns::Server::start(&[server], cluster.clone()).await.map_err(Error::Dns)?;
    let machine = Machine::read(&dir);
    let ground = Arc::new(ground(&config, runtime, dir, &machine));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let client = config.caches.client().clone();
    let registration = Registration {
        name: config.name.clone(),
        address: config.address.to_string(),
        pod_cidr: config.network.pod_cidr(),
        labels: config.labels.clone(),
        machine,
    };
    tasks.spawn(register::run(client.clone(), registration, stop.clone()));
    let pods = Pods::new(ground.clone(), adopted);
    let selector =
        Selectors { fields: Some(format!("spec.nodeName={}", config.name)), ..Selectors::default() };
    let own_pods = config.caches.get(client::resource::<api::Pod>(), selector);
    tasks.spawn(pods.clone().follow(own_pods.clone(), stop.clone()));
    tasks.spawn(metering::follow(config.meter.clone(), own_pods.clone(), stop.clone()));
    let (sweeper, network) = (pods.clone(), config.network.clone());
    let sweep = async move {
        sweeper.sweep(&own_pods).await;
        network.sweep().await;
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(sweep));
    let directories = Directories::open(config.volumes_dir.clone())
        .map_err(|source| Error::Directory { path: config.volumes_dir.clone(), source })?;
    tasks.spawn(provision::run(config.caches.clone(), config.name.clone(), directories, stop.clone()));
    let proxy = Proxy {
        services: ground.services.clone(),
        slices: config.caches.of::<discovery::EndpointSlice>(),
        network: config.network.clone(),
        cluster,
        api_server: config.api_server,
    };
    tasks.spawn(proxy.run(stop.clone()));
    tasks.spawn(watch_images(config.host.images().dir().to_owned(), pods.clone(), stop.clone()));
    let dns_address = config.network.dns_address();
    tasks.spawn(async move { services::announce_dns(&client, dns_address).await });
    let stopped = stop.clone();
    // Before the network: another platform may take this one's addresses as soon as its bridge is gone.
    tasks.spawn(async move {
        stopped.cancelled().await;
        dns.close().await;
    });
    Ok(Arc::new(Node { name: config.name, pods, stop, tasks }))
}

/// Takes away the volumes of pods that a killed platform left in its data directory: some are mounts. For when nothing
/// runs any more.
pub fn sweep(data_dir: &std::path::Path) -> std::io::Result<()> {
    for pod in std::fs::read_dir(data_dir).into_iter().flatten().flatten() {
        crate::volume::remove(&pod.path().join("volumes"))?;
    }
    Ok(())
}

fn ground(config: &NodeConfig, runtime: Arc<dyn Runtime>, dir: PathBuf, machine: &Machine) -> Ground {
    let client = config.caches.client().clone();
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    Ground {
        node: config.name.clone(),
        host: Host { address: config.address.to_string() },
        runtime,
        pods: Objects::of::<api::Pod>(&client),
        sources: Sources::new(&config.caches),
        claims: Claims::new(&client, &config.name),
        services: config.caches.of::<api::Service>(),
        recorder: Recorder::start_on(&client, "kubelet", &config.name),
        client,
        dir,
        cluster_dns: config.network.dns_address(),
        resolver: Resolver::parse(&resolver),
        cpu_milli: machine.cpus * 1000,
        memory_bytes: machine.memory_bytes,
    }
}

/// Images come by other processes (`dory image build`): a change of the store's directory is what tells of them.
async fn watch_images(dir: PathBuf, pods: Arc<Pods>, stop: CancellationToken) {
    let work = async {
        let mut watcher = Watcher::new()?;
        watcher.add(&dir)?;
        loop {
            watcher.changed().await?;
            pods.tell(|news| news.images = true);
        }
    };
    let failed: std::io::Result<std::convert::Infallible> = tokio::select! {
        () = stop.cancelled() => return,
        result = work => result,
    };
    let Err(error) = failed;
    tracing::warn!(dir = %dir.display(), %error, "failed to watch the image store; new images are found later");
}

impl Node {
    /// The Node object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Answers what the API server forwards to a node: logs, exec, stats. Whoever calls has authorized it.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        server::handle(&self.pods, request).await
    }

    /// Tells the node that an image was added to the store: pods that wait for it start at once.
    pub fn image_added(&self) {
        self.pods.tell(|news| news.images = true);
    }

    /// Ends the node's work. With `keep_pods` running pods run on and are adopted by the next start; without, they are
    /// ended (without grace) and their volumes and logs removed.
    pub async fn stop(&self, keep_pods: bool) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.pods.leave().await;
        if !keep_pods {
            self.pods.remove_all().await;
        }
    }
}
