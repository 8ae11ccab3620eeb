//! Each part of a platform, made with the settings of this composition. What the parts are is theirs; which ones there
//! are, and what each is told, stands here.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::{ApiServer, Identity, NoNodes};
use cli::{Egress, Endpoints, Up};
use client::kube;
use functions::{DeliveryError, Parcel};
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};

use crate::Environment;
use crate::data_dir::DataDir;
use crate::listen::{self, Body, Handler};
use crate::pki::Pki;

/// The account and region that ARNs and signatures carry.
pub const ACCOUNT_ID: &str = "000000000000";
pub const REGION: &str = "us-east-1";
/// Ready network namespaces: a Deployment's first pods and a few functions.
const NETWORK_POOL: usize = 8;
/// Function sandboxes that wait half-made.
const PARKED_INSTANCES: usize = 4;
const NODE_NAME: &str = "dory";
/// How long an instance's credentials are valid, as on Lambda. Instances live eleven twelfths of it; the last hour is
/// longer than the longest invocation, 15 minutes.
const INSTANCE_SESSION: Duration = Duration::from_secs(12 * 3600);

/// Parts that start after the API server which reports on them or forwards to them.
#[derive(Default)]
pub struct Late {
    pub node: OnceLock<Arc<node::Node>>,
    pub functions: OnceLock<Arc<functions::Functions>>,
    pub gateway: OnceLock<Arc<gateway::Metrics>>,
    pub aws: OnceLock<Arc<aws::Door>>,
}

impl apiserver::Nodes for Late {
    fn forward(&self, name: &str, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        match self.node.get() {
            Some(node) => {
                let node = node.clone();
                Box::pin(async move { node.handle(request).await })
            }
            None => NoNodes.forward(name, request),
        }
    }
}

/// The AWS door as instances reach it. What comes in is marked with the instance that it comes from.
impl functions::Door for Late {
    fn serve(&self, stream: TcpStream, instance: Arc<str>) -> BoxFuture<'static, ()> {
        let door = self.aws.get().cloned();
        Box::pin(async move {
            // Nothing runs before the doors are open.
            let Some(door) = door else { return };
            let handler: Handler = Arc::new(move |mut request| {
                request.extensions_mut().insert(aws::FromInstance(instance.to_string()));
                let door = door.clone();
                Box::pin(async move { door.handle(request).await })
            });
            listen::inside(stream, handler).await;
        })
    }
}

/// Topics take results of functions.
impl functions::Destination for Late {
    fn takes(&self, arn: &str) -> bool {
        arn.starts_with(&format!("arn:aws:sns:{REGION}:{ACCOUNT_ID}:"))
    }

    fn check(&self, arn: &str) -> Result<(), String> {
        match self.aws.get() {
            Some(door) => door.topics().check(arn),
            None => Err("The platform is being started.".to_owned()),
        }
    }

    fn deliver(&self, arn: String, parcel: Parcel) -> BoxFuture<'_, Result<(), DeliveryError>> {
        match self.aws.get() {
            Some(door) => door.topics().deliver(arn, parcel),
            None => Box::pin(async { Err(DeliveryError::Later("the platform is being started".to_owned())) }),
        }
    }
}

impl Late {
    fn metrics(&self, text: &mut String) {
        let instances = self.functions.get().map_or(0, |functions| functions.instances());
        text.push_str("# HELP dory_function_instances Function instances that live now.\n");
        text.push_str("# TYPE dory_function_instances gauge\n");
        text.push_str(&format!("dory_function_instances {instances}\n"));
        let booted = self.functions.get().map_or(0, |functions| functions.booted());
        text.push_str("# HELP dory_function_booted Booted runtimes that wait for a function.\n");
        text.push_str("# TYPE dory_function_booted gauge\n");
        text.push_str(&format!("dory_function_booted {booted}\n"));
        if let Some(functions) = self.functions.get() {
            functions.write_metrics(text);
        }
        if let Some(gateway) = self.gateway.get() {
            gateway.write(text);
        }
    }
}

pub async fn network(data: &DataDir) -> Result<net::Network> {
    let settings = net::Settings {
        dir: data.join("net"),
        owner: owner(data),
        pool: NETWORK_POOL,
        expose_node_ports: false,
    };
    net::Network::open(settings)
        .await
        .context("cannot make the pod network; `dory doctor` says what is missing")
}

pub async fn host(data: &DataDir, network: Arc<net::Network>) -> Result<Arc<sandbox::Host>> {
    let settings = sandbox::Settings {
        dir: data.join("sandboxes"),
        owner: owner(data),
        program: std::env::current_exe().context("cannot find the dory binary")?,
        network,
        images: Arc::new(images(data)?),
        parked: PARKED_INSTANCES,
    };
    sandbox::Host::open(settings)
        .await
        .context("cannot prepare sandboxes; `dory doctor` says what is missing")
}

pub fn images(data: &DataDir) -> Result<sandbox::image::Store> {
    sandbox::image::Store::open(&data.join("images")).context("cannot open the image store")
}

/// Tells the things of this data directory on the host from those of another: a short hash of its path.
fn owner(data: &DataDir) -> String {
    use std::os::unix::ffi::OsStrExt;
    let digest = ring::digest::digest(&ring::digest::SHA256, data.path().as_os_str().as_bytes());
    digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub async fn api(
    data: &DataDir,
    pki: &Pki,
    network: &net::Network,
    late: &Arc<Late>,
    endpoints: &Endpoints,
) -> Result<Arc<ApiServer>> {
    let store = store::sqlite(&data.join("state.db")).context("cannot open the platform's state")?;
    let mut config =
        apiserver::Config::new(store, pki.service_account_key()?, pki.authority_pem().to_owned());
    config.nodes = late.clone();
    config.service_cidr = network.service_cidr();
    config.advertise = Some(SocketAddr::from((network.gateway(), endpoints.api_port)));
    let late = late.clone();
    config.settled = Arc::new(sandbox::heap::give_back);
    config.metrics.push(Arc::new(move |text| late.metrics(text)));
    config.metrics.push(Arc::new(write_heap));
    Ok(ApiServer::start(config).await?)
}

/// Memory that grows while the used part does not is the allocator's, not somebody's.
fn write_heap(text: &mut String) {
    let Some(heap) = sandbox::heap::look() else { return };
    for (name, help, bytes) in [
        ("used", "Memory that is in use.", heap.used),
        (
            "free",
            "Memory that the allocator has and nobody uses, given back to the kernel or not.",
            heap.free,
        ),
    ] {
        let name = format!("dory_heap_{name}_bytes");
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {bytes}\n"));
    }
}

/// The service `kubernetes` has the first address of the service network.
pub fn first_service_address(network: &net::Network) -> Ipv4Addr {
    let [a, b, ..] = network.dns_address().octets();
    Ipv4Addr::new(a, b, 0, 1)
}

/// A client without a socket, under a name that shows in managed fields and metrics.
fn in_process(api: &Arc<ApiServer>, user: &str) -> kube::Client {
    client::in_process(tower::util::BoxCloneService::new(api.service(Identity::master(user))))
}

pub fn controllers(api: &Arc<ApiServer>, pki: &Pki) -> controllers::Handle {
    let options = controllers::Options {
        ca_pem: Some(pki.authority_pem().to_owned()),
        ..controllers::Options::default()
    };
    controllers::start(in_process(api, "system:kube-controller-manager"), options)
}

pub fn scheduler(api: &Arc<ApiServer>) -> scheduler::Handle {
    scheduler::start(in_process(api, "system:kube-scheduler"), scheduler::Options::default())
}

pub async fn functions(
    data: &DataDir,
    api: &Arc<ApiServer>,
    host: &Arc<sandbox::Host>,
    options: &Up,
    environment: &Environment,
    (keys, late): (&Arc<sigv4::Keys>, &Arc<Late>),
) -> Result<Arc<functions::Functions>> {
    let config = functions::Config {
        client: in_process(api, "dory:functions"),
        host: host.clone(),
        images: host.images().clone(),
        dir: data.join("functions"),
        keep_alive: Duration::from_secs(options.keep_warm.into()),
        prebooted: options.prebooted.into(),
        egress: options.function_egress == Egress::On,
        stream_brake: options.stream_brake,
        concurrency: options.function_concurrency,
        growth: options.function_growth.0,
        account_id: ACCOUNT_ID.to_owned(),
        region: REGION.to_owned(),
        interpreter_dirs: environment.path.clone(),
        aws: functions::Aws { keys: keys.clone(), door: late.clone(), session: INSTANCE_SESSION },
        events: events(data, options, late).await?,
    };
    functions::Functions::start(config).await.context("cannot start functions")
}

/// Events that wait have a store of their own, and so have queues: no invocation and no message is written to the platform's
/// state, and neither grows it.
async fn events(data: &DataDir, options: &Up, late: &Arc<Late>) -> Result<functions::EventConfig> {
    let failed = "cannot open the queues of asynchronous invocations";
    let store = store::sqlite(&data.join("queues.db")).context(failed)?;
    let queues = managed::Queues::open(store, Arc::new(managed::Wall)).await.context(failed)?;
    let [first, second] = options.async_retry_delays.0;
    let retries = functions::Retries { failed: [first, second], ..functions::Retries::default() };
    let failed = "cannot open the queues of SQS";
    let store = store::sqlite(&data.join("sqs.db")).context(failed)?;
    let broker = managed::Broker::open(store, Arc::new(managed::Wall)).await.context(failed)?;
    Ok(functions::EventConfig { queues, retries, destinations: vec![late.clone()], broker })
}

pub async fn node(
    data: &DataDir,
    api: &Arc<ApiServer>,
    host: &Arc<sandbox::Host>,
    network: &Arc<net::Network>,
    endpoints: &Endpoints,
    functions: &Arc<functions::Functions>,
) -> Result<Arc<node::Node>> {
    let config = node::NodeConfig {
        caches: client::Caches::new(in_process(api, &format!("system:node:{NODE_NAME}"))),
        host: host.clone(),
        network: network.clone(),
        name: NODE_NAME.to_owned(),
        address: network.gateway(),
        data_dir: data.join("node"),
        volumes_dir: data.join("volumes"),
        api_server: SocketAddrV4::new(network.gateway(), endpoints.api_port),
        labels: Vec::new(),
        meter: functions.meter().clone(),
    };
    node::start(config).await.context("cannot start the node")
}

/// Objects are files, and what is known of them is in a store of its own.
pub async fn buckets(data: &DataDir) -> Result<Arc<managed::Buckets>> {
    let failed = "cannot open the buckets of S3";
    let store = store::sqlite(&data.join("buckets.db")).context(failed)?;
    managed::Buckets::open(store, data.join("buckets"), Arc::new(managed::Wall)).await.context(failed)
}

/// Topics, and what waits for their subscribers, have a store of their own too.
pub async fn topics(data: &DataDir) -> Result<Arc<managed::Topics>> {
    let failed = "cannot open the topics of SNS";
    let store = store::sqlite(&data.join("sns.db")).context(failed)?;
    managed::Topics::open(store, Arc::new(managed::Wall)).await.context(failed)
}

pub fn aws_door(
    api: &Arc<ApiServer>,
    functions: &Arc<functions::Functions>,
    (buckets, topics): (Arc<managed::Buckets>, Arc<managed::Topics>),
    keys: &Arc<sigv4::Keys>,
    endpoints: &Endpoints,
) -> Arc<aws::Door> {
    Arc::new(aws::Door::new(aws::Config {
        keys: keys.clone(),
        client: in_process(api, "dory:aws"),
        functions: functions.clone(),
        buckets,
        topics,
        region: REGION.to_owned(),
        account_id: ACCOUNT_ID.to_owned(),
        endpoint: format!("http://127.0.0.1:{}", endpoints.aws_port),
        url_base: format!("localhost:{}", endpoints.http_port),
    }))
}

pub async fn gateway(
    api: &Arc<ApiServer>,
    functions: &Arc<functions::Functions>,
    keys: &Arc<sigv4::Keys>,
    (http, https): (TcpListener, TcpListener),
) -> Result<gateway::Gateway> {
    let config = gateway::Config {
        client: in_process(api, "dory:gateway"),
        functions: functions.clone(),
        http,
        https,
        region: REGION.to_owned(),
        account_id: ACCOUNT_ID.to_owned(),
        keys: keys.clone(),
    };
    gateway::start(config).await.context("cannot start the gateway")
}
