//! A running platform: every concrete part, in the order they start and stop.
//!
//! ```text
//!  store ─► apiserver ─► client ─┬─► controllers, scheduler
//!  network ─► sandbox host ──────┼─► node
//!                                ├─► functions ─► aws door
//!                                └─► gateway
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use apiserver::ApiServer;
use cli::{Endpoints, Up};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Environment;
use crate::credentials::Credentials;
use crate::data_dir::DataDir;
use crate::listen::{self, Handler, Serving};
use crate::parts::{self, Late};
use crate::pki::{self, Pki};

/// What stays when the platform stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Pods run on; the next start adopts them.
    Pods,
    /// Nothing outside the data directory.
    Nothing,
}

/// Every part of a running platform.
pub struct Running {
    endpoints: Endpoints,
    data: DataDir,
    stop: CancellationToken,
    listeners: JoinSet<()>,
    network: Arc<net::Network>,
    host: Arc<sandbox::Host>,
    functions: Arc<functions::Functions>,
    gateway: gateway::Gateway,
    controllers: controllers::Handle,
    scheduler: scheduler::Handle,
    node: Arc<node::Node>,
}

/// The sockets, bound before anything else is made: a taken port costs nothing to find out.
struct Sockets {
    api: TcpListener,
    aws: TcpListener,
    http: TcpListener,
    https: TcpListener,
}

impl Sockets {
    async fn bind(options: &Up) -> Result<Sockets> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Sockets {
            api: listen::bind(local(options.api_port), "Kubernetes API", "--api-port").await?,
            aws: listen::bind(local(options.aws_port), "AWS endpoint", "--aws-port").await?,
            http: listen::bind(local(options.http_port), "gateway's HTTP", "--http-port").await?,
            https: listen::bind(local(options.https_port), "gateway's HTTPS", "--https-port").await?,
        })
    }

    fn endpoints(&self) -> Result<Endpoints> {
        Ok(Endpoints {
            api_port: self.api.local_addr()?.port(),
            aws_port: self.aws.local_addr()?.port(),
            http_port: self.http.local_addr()?.port(),
            https_port: self.https.local_addr()?.port(),
            region: parts::REGION.to_owned(),
            account_id: parts::ACCOUNT_ID.to_owned(),
        })
    }
}

impl Running {
    /// Starts everything; when this returns, every door answers. The Kubernetes door does so on threads of its own
    /// (`own`).
    pub async fn start(
        data: &DataDir,
        options: &Up,
        environment: &Environment,
        own: &Handle,
    ) -> Result<Running> {
        let sockets = Sockets::bind(options).await?;
        let endpoints = sockets.endpoints()?;
        let pki = Arc::new(Pki::open(data)?);
        let keys = Arc::new(Credentials::open(data)?.into_keys());
        let network = Arc::new(parts::network(data).await?);
        let host = parts::host(data, network.clone()).await?;
        let late = Arc::new(Late::default());
        let api = parts::api(data, &pki, &network, &late, &endpoints).await?;

        let controllers = parts::controllers(&api, &pki);
        let scheduler = parts::scheduler(&api);
        let functions = parts::functions(data, &api, &host, options, environment, (&keys, &late)).await?;
        late.functions.set(functions.clone()).ok();
        let node = parts::node(data, &api, &host, &network, &endpoints, &functions).await?;
        late.node.set(node.clone()).ok();
        let buckets = parts::buckets(data).await?;
        let topics = parts::topics(data).await?;
        let door = parts::aws_door(&api, &functions, (buckets, topics), &keys, &endpoints);
        late.aws.set(door.clone()).ok();
        door.make_default_role().await.context("cannot make the default role of functions")?;
        let gateway = parts::gateway(&api, &functions, &keys, (sockets.http, sockets.https)).await?;
        late.gateway.set(gateway.metrics().clone()).ok();

        let stop = CancellationToken::new();
        let mut listeners = JoinSet::new();
        let serving = Serving::new(pki.serving(&addresses(&network))?.certified_key()?);
        let tls = listen::tls(&pki, serving.clone())?;
        // Pods reach the API through the service `kubernetes`, whose endpoint is the bridge's own address.
        let bridge = SocketAddr::from((network.gateway(), endpoints.api_port));
        let bridge = listen::bind(bridge, "Kubernetes API on the pod network", "--api-port").await?;
        for socket in [sockets.api, bridge] {
            let socket = listen::hand_over(socket, own)?;
            listeners.spawn_on(listen::serve(socket, Some(tls.clone()), to_api(&api), stop.clone()), own);
        }
        listeners.spawn(until_stop(door.clone().keep_house(), stop.clone()));
        listeners.spawn(listen::serve(sockets.aws, None, to_door(door), stop.clone()));
        listeners.spawn(renew(pki.clone(), serving, addresses(&network), stop.clone()));
        crate::kubeconfig::write(data, &pki, endpoints.api_port)?;
        data.write_json(cli::ENDPOINTS_FILE, &endpoints)?;
        let data = data.clone();
        Ok(Running {
            endpoints,
            data,
            stop,
            listeners,
            network,
            host,
            functions,
            gateway,
            controllers,
            scheduler,
            node,
        })
    }

    /// Where it listens.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Stops from the outside in: doors first, then the minds, then what runs.
    pub async fn stop(mut self, leave: Leave) -> Result<()> {
        std::fs::remove_file(self.data.join(cli::ENDPOINTS_FILE)).ok();
        self.gateway.stop().await;
        self.stop.cancel();
        while self.listeners.join_next().await.is_some() {}
        self.scheduler.stop().await;
        self.controllers.stop().await;
        self.functions.close().await;
        self.node.stop(leave == Leave::Pods).await;
        let remove = leave == Leave::Nothing;
        self.host.close(remove).await.context("cannot remove every sandbox")?;
        self.network.close(remove).await;
        Ok(())
    }
}

/// Removes what a killed platform of this data directory left on the host.
pub async fn sweep(data: &DataDir) -> Result<()> {
    let network = Arc::new(parts::network(data).await?);
    parts::host(data, network.clone()).await?.close(true).await?;
    network.close(true).await;
    node::sweep(&data.join("node")).context("cannot take the volumes of pods away")?;
    Ok(())
}

/// Work that has no end of its own.
async fn until_stop(work: impl Future<Output = ()>, stop: CancellationToken) {
    stop.run_until_cancelled(work).await;
}

fn to_api(api: &Arc<ApiServer>) -> Handler {
    let api = api.clone();
    Arc::new(move |request| {
        let api = api.clone();
        Box::pin(async move { api.handle(request).await })
    })
}

fn to_door(door: Arc<aws::Door>) -> Handler {
    Arc::new(move |request| {
        let door = door.clone();
        Box::pin(async move { door.handle(request).await })
    })
}

/// Every address that clients use for the Kubernetes API.
fn addresses(network: &net::Network) -> Vec<IpAddr> {
    let service = parts::first_service_address(network);
    [Ipv4Addr::LOCALHOST, network.gateway(), service].map(IpAddr::V4).to_vec()
}

/// Signs a fresh serving certificate now and then, for as long as the platform runs.
async fn renew(pki: Arc<Pki>, serving: Arc<Serving>, addresses: Vec<IpAddr>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(pki::RENEW_AFTER)).await.is_some() {
        match pki.serving(&addresses).and_then(|signed| signed.certified_key()) {
            Ok(key) => serving.replace(key),
            Err(error) => tracing::error!(%error, "failed to renew the serving certificate"),
        }
    }
}
