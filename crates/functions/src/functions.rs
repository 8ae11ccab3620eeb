//! `Functions`, what callers hold. Owns the wiring of definitions, pools, code and logs from the start to the end, and
//! answers what callers ask about them; the larger things that can be asked for are files of their own below.

mod follow;
mod images;
mod invoke;
mod stream;
mod upload;
mod web;

pub use follow::{Watched, layer_resource, resource};
pub use images::AddRuntimeError;

use crate::catalog::Catalog;
use crate::code::Codes;
use crate::concurrency::Account;
use crate::credentials::Aws;
use crate::definition::object_name;
use crate::events::{EventConfig, Events};
use crate::images::Images;
use crate::machine::Machine;
use crate::metering::Metering;
use crate::pool::Pool;
use crate::preboot::Stock;
use crate::runtimes::{RuntimeError, RuntimeImages, RuntimeVersion, Runtimes};
use crate::sources::Sources;
use bytes::Bytes;
use client::{Key, Objects};
use futures::stream::BoxStream;
use instance::{Sandboxes, Stage, default_group, streams_of};
use managed::{GroupError, LogQuery, Logs};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};
use tokio::sync::{Semaphore, watch};

/// How the room is set up.
pub struct Config {
    /// Where function objects are.
    pub client: client::kube::Client,
    /// Where sandboxes come from: the machine's `sandbox::Host`.
    pub host: Arc<dyn Sandboxes>,
    /// Where images come from.
    pub images: Arc<sandbox::image::Store>,
    /// Owns `code/`, `logs/`, `meter/`, `runtimes/` and `runtime-images.json` below it.
    pub dir: PathBuf,
    /// How long an idle instance is kept.
    pub keep_alive: Duration,
    /// Booted interpreters to keep waiting for each kind of runtime in use; 0 boots none ahead.
    pub prebooted: usize,
    /// Whether instances reach the world; without, they have their own loopback alone, and the AWS endpoint on it.
    pub egress: bool,
    /// Whether streamed answers are held back as on AWS: 2 MiB in a second after the first 6.
    pub stream_brake: bool,
    /// Invocations at the same time, over all functions.
    pub concurrency: u32,
    /// New instances of one function in ten seconds, as Lambda limits them, and ten requests a second for each unit of
    /// concurrency; `None` is as many as the machine can take.
    pub growth: Option<u32>,
    /// The account in ARNs, such as `000000000000`.
    pub account_id: String,
    /// The region in ARNs and in the functions' environment, such as `us-east-1`.
    pub region: String,
    /// Directories to search for interpreters, in order: the entries of PATH, and `bin` of version-manager prefixes.
    pub interpreter_dirs: Vec<PathBuf>,
    /// The AWS endpoint and the credentials for it, as instances have them.
    pub aws: Aws,
    /// Asynchronous invocations.
    pub events: EventConfig,
}

/// All functions of this machine.
pub struct Functions {
    pub(crate) machine: Arc<Machine>,
    pub(crate) account: Arc<Account>,
    pub(crate) catalog: Catalog,
    pub(crate) events: Events,
    pub(crate) sources: Sources,
    /// Archives that were uploaded a short while ago, and that an object may be about to name.
    uploads: Mutex<HashMap<String, Instant>>,
    /// The version of each object that the catalog shows, for callers who have just written one.
    seen: watch::Sender<HashMap<(Watched, Key), u64>>,
    /// Whether a sweep of the code store is due already.
    sweeping: AtomicBool,
    /// The layers, whose archives are kept.
    layers: Objects,
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
}

/// A function URL, found by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUrl {
    /// The namespace of the function's object.
    pub namespace: String,
    /// The function's name, as AWS knows it.
    pub name: String,
    /// Whether callers must sign (`AWS_IAM`); else anyone may call.
    pub signed: bool,
}

/// How long the end of the platform waits for those of instances with extensions: the two seconds that they have, and what
/// killing and a last look at the output take.
const ENDS_WAIT: Duration = Duration::from_secs(4);

impl Functions {
    /// Starts watching function objects and serving invocations; returns when those that exist are known.
    pub async fn start(config: Config) -> io::Result<Arc<Functions>> {
        fs::create_dir_all(&config.dir)?;
        let hands = std::thread::available_parallelism().map_or(2, usize::from);
        let machine = Arc::new(Machine {
            host: config.host,
            codes: Codes::open(config.dir.join("code"))?,
            runtimes: Runtimes::open(config.dir.join("runtimes"), config.interpreter_dirs)?,
            images: Images::new(config.images),
            runtime_images: RuntimeImages::open(config.dir.join("runtime-images.json"))?,
            logs: Logs::open(config.dir.join("logs"))?,
            metering: Metering::new(meter::Meter::open(&config.dir.join("meter"))?),
            aws: config.aws,
            keep_alive: config.keep_alive,
            egress: config.egress,
            stream_brake: config.stream_brake,
            account_id: config.account_id,
            region: config.region,
            starts: Semaphore::new(hands * 4),
            stock: Stock::new(config.prebooted, config.keep_alive),
        });
        let account = Account::new(config.concurrency, config.growth.is_some());
        let functions = Arc::new(Functions {
            catalog: Catalog::new(machine.clone(), account.clone(), config.growth),
            events: Events::new(config.events, machine.clone()),
            sources: Sources::default(),
            machine,
            account,
            uploads: Mutex::default(),
            seen: watch::Sender::new(HashMap::new()),
            sweeping: AtomicBool::new(false),
            layers: Objects::new(config.client.clone(), layer_resource()),
            tasks: Mutex::default(),
        });
        functions.follow(&config.client).await;
        functions.resume_events();
        Ok(functions)
    }

    /// Stops every instance, with the shutdown phase where there are extensions, and writes out the logs.
    pub async fn close(&self) {
        // First: what an instance that is stopped says of its event is not the function's answer.
        self.events.close();
        self.sources.close();
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.machine.stock.close();
        let pools = self.catalog.pools();
        let instances = pools.iter().flat_map(|pool| pool.instances());
        let extended: Vec<_> = instances.filter(|instance| instance.is_extended()).collect();
        pools.iter().for_each(|pool| pool.kill());
        // Their shutdown phase is bounded, and all have it at the same time; so is what is left to clean up behind it.
        let ends = extended.iter().map(|instance| instance.until_ended());
        drop(tokio::time::timeout(ENDS_WAIT, futures::future::join_all(ends)).await);
        self.machine.logs.flush();
        self.machine.metering.meter.flush();
    }

    /// Works on the logs where reading files may take its time.
    pub async fn with_logs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Logs) -> Result<T, GroupError> + Send + 'static,
    ) -> Result<T, GroupError> {
        let machine = self.machine.clone();
        let done = tokio::task::spawn_blocking(move || work(&machine.logs)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error).into()))
    }

    /// What everything took.
    pub fn meter(&self) -> &Arc<meter::Meter> {
        &self.machine.metering.meter
    }

    /// The queues of SQS.
    pub fn broker(&self) -> &Arc<managed::Broker> {
        self.events.broker()
    }

    /// The ARN of a queue.
    pub fn queue_arn(&self, name: &str) -> String {
        self.machine.queue_arn(name)
    }

    /// The name of a queue of this account and region.
    pub fn queue_name<'a>(&self, arn: &'a str) -> Option<&'a str> {
        self.machine.queue_name(arn)
    }

    /// Which version of this runtime functions run on here, if they can; looks for the interpreter the first time.
    pub async fn runtime_version(&self, runtime: &str) -> Result<RuntimeVersion, RuntimeError> {
        self.machine.runtime_version(runtime).await
    }

    /// Where the time of the last cold start went, from the invocation that found no instance to its answer. `None` when
    /// there is no such function; empty when it was not started since its code or configuration changed.
    pub fn cold_start(&self, namespace: &str, name: &str) -> Option<Vec<Stage>> {
        let function = self.catalog.get(&Key::new(namespace, object_name(name)))?;
        Some(function.pool.cold_start())
    }

    /// The log of a function, by its AWS name. `None` when there is neither such a function nor a log of one.
    pub fn logs(
        &self,
        namespace: &str,
        name: &str,
        query: LogQuery,
    ) -> Option<BoxStream<'static, io::Result<Bytes>>> {
        // A namespace becomes part of a path: one that could not exist is not looked for.
        if namespace.contains(['.', '/']) {
            return None;
        }
        let function = self.catalog.get(&Key::new(namespace, object_name(name)));
        let group = match &function {
            Some(function) => function.definition.revision.logging.group(name),
            None => default_group(name),
        };
        if function.is_none() && !self.machine.logs.exists(namespace, &group) {
            return None;
        }
        // A group of its own has lines of this function only.
        let only = (group != default_group(name)).then(|| streams_of(name.to_owned()));
        Some(Box::pin(self.machine.logs.of(namespace, &group).read(query, only)))
    }

    /// The function that a URL id (the first label of its host) leads to.
    pub fn by_url(&self, id: &str) -> Option<FunctionUrl> {
        let definition = self.catalog.by_url(id)?.definition;
        Some(FunctionUrl {
            namespace: definition.namespace.clone(),
            name: definition.name.clone(),
            signed: definition.url.as_ref().is_some_and(|url| url.signed),
        })
    }

    /// How many functions a namespace has, and what the archives of all of them and their versions take, in bytes.
    pub fn totals(&self, namespace: &str) -> (u64, u64) {
        let totals = self.catalog.totals(namespace);
        (totals.functions, totals.code_bytes)
    }

    /// The objects of the versions or aliases of a function, by the name of its own object.
    pub fn objects_of(&self, watched: Watched, function: &Key) -> Vec<Key> {
        self.catalog.objects_of(watched, function)
    }

    /// The pools of all functions.
    pub(crate) fn pools(&self) -> Vec<Arc<Pool>> {
        self.catalog.pools()
    }

    /// Running instances, over all functions.
    pub fn instances(&self) -> usize {
        self.catalog.pools().iter().map(|pool| pool.len()).sum()
    }

    /// Those of them that wait for an event.
    pub fn idle_instances(&self) -> usize {
        self.catalog.pools().iter().map(|pool| pool.idle()).sum()
    }

    /// Booted runtimes that wait for a function.
    pub fn booted(&self) -> usize {
        self.machine.stock.len()
    }

    /// The account's limit of invocations at the same time, and what functions without a reservation share of it.
    pub fn concurrency(&self) -> (u32, u32) {
        (self.account.limit(), self.account.unreserved_limit())
    }

    /// What is provisioned for a version or an alias: instances that are wanted, those that are ready, and why the last
    /// start of one failed.
    pub fn provisioned(
        &self,
        namespace: &str,
        name: &str,
        qualifier: &str,
    ) -> Option<(u32, u32, Option<String>)> {
        let key = Key::new(namespace, object_name(name));
        let found = self.catalog.provisioned(&key, qualifier)?;
        Some((found.wanted, found.ready, found.failure))
    }
}
