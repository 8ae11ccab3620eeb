//! `Functions`, what callers hold. Owns the wiring of definitions, pools, code and logs; called by the doors.

mod follow;
mod images;
mod stream;
mod web;

pub use follow::{Watched, layer_resource, own_resource, resource};
pub use images::AddRuntimeError;

use crate::Sandboxes;
use crate::catalog::{Catalog, Function};
use crate::code::{Code, CodeError, Codes};
use crate::concurrency::{Account, Slot};
use crate::credentials::Aws;
use crate::definition::object_name;
use crate::detached::Detached;
use crate::events::{EVENT_BYTES_MAX, EventConfig, Events};
use crate::images::Images;
use crate::invocation::{Invocation, InvocationKind, InvokeError, Outcome};
use crate::machine::Machine;
use crate::metering::Metering;
use crate::pool::{Pool, Unstarted};
use crate::preboot::Stock;
use crate::runtimes::{RuntimeError, RuntimeImages, RuntimeVersion, Runtimes};
use crate::throttle::{Throttle, ThrottleReason};
use crate::trace;
use bytes::Bytes;
use client::{Key, Objects};
use futures::stream::BoxStream;
use instance::{
    Answer, Caller, InitFailure, Instance, Metered, PAYLOAD_BYTES_MAX, Reply, Stage, TAIL_BYTES, Unserved,
    Work, default_group, streams_of,
};
use jiff::Timestamp;
use managed::{GroupError, LogQuery, Logs};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};
use tokio::sync::{Semaphore, oneshot, watch};

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

/// How often an event is handed to another instance when the first one is gone just then.
const DISPATCH_TRIES: u32 = 5;

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
            machine,
            account,
            events: Events::new(config.events),
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

    /// Runs a function. The invocation goes on when the caller goes away, as on Lambda.
    pub async fn invoke(self: &Arc<Self>, invocation: Invocation) -> Result<Outcome, InvokeError> {
        self.invoke_as(invocation, uuid::Uuid::new_v4().to_string(), true).await
    }

    /// The same, for a `caller` or for an event that waited; its request id may have been used for an earlier try.
    pub(crate) async fn invoke_as(
        self: &Arc<Self>,
        mut invocation: Invocation,
        request_id: String,
        caller: bool,
    ) -> Result<Outcome, InvokeError> {
        let function = self.admit(&mut invocation)?;
        if invocation.kind == InvocationKind::DryRun {
            return Ok(Outcome::accepted(request_id, &function.definition.version));
        }
        if invocation.kind == InvocationKind::Event {
            return self.accept(&function, invocation, request_id).await;
        }
        let slot = self.enter(&function, invocation.qualifier.as_deref(), caller)?;
        let machine = self.machine.clone();
        let run = Detached::new(async move { run(&machine, &function, invocation, request_id, slot).await });
        run.await
    }

    /// Counts an invocation, if there is room for it.
    fn enter(&self, function: &Function, qualifier: Option<&str>, caller: bool) -> Result<Slot, InvokeError> {
        let slot = self.account.enter(&function.limits(), caller).map_err(|throttle| {
            self.machine.throttled(function, qualifier);
            InvokeError::TooManyRequests(throttle)
        })?;
        self.machine.entered(function, qualifier, &slot, &self.account);
        Ok(slot)
    }

    /// The function that an invocation means, if what it asks can be asked of it.
    fn admit(&self, invocation: &mut Invocation) -> Result<Function, InvokeError> {
        let key = Key::new(invocation.namespace.clone(), object_name(&invocation.name));
        let function = self.catalog.resolve(&key, invocation.qualifier.as_deref());
        let function = function.ok_or_else(|| self.not_found(invocation))?;
        if invocation.kind == InvocationKind::Event && invocation.payload.len() > EVENT_BYTES_MAX {
            return Err(InvokeError::EventTooLarge { size: invocation.payload.len() });
        }
        if invocation.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(InvokeError::PayloadTooLarge { size: invocation.payload.len() });
        }
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&invocation.payload) {
            return Err(InvokeError::NotJson(error.to_string()));
        }
        // An event goes through the function when it is run, and is stopped then.
        if invocation.kind == InvocationKind::Event {
            return Ok(function);
        }
        let may_loop = self.catalog.get(&key).is_some_and(|whole| whole.definition.may_loop);
        invocation.trace_id = Some(self.trace(&function, may_loop, invocation)?);
        Ok(function)
    }

    /// Checks and stores a zip archive. It is kept as long as a function names it, and for a while before.
    pub async fn put_code(&self, zip: Bytes) -> Result<Code, CodeError> {
        let machine = self.machine.clone();
        let stored = tokio::task::spawn_blocking(move || machine.codes.put(&zip)).await;
        let code = stored.map_err(io::Error::other)??;
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.insert(code.sha256.clone(), Instant::now());
        Ok(code)
    }

    /// Makes what functions with these layers will see at `/opt`, and gives how many bytes the layers and the function's
    /// own code take unpacked.
    pub async fn put_layers(&self, code: Option<String>, layers: Vec<String>) -> Result<u64, CodeError> {
        let machine = self.machine.clone();
        let work = move || -> Result<u64, CodeError> {
            machine.codes.merge(&layers)?;
            let all = layers.iter().chain(&code).map(|sha256| machine.codes.unzipped_bytes(sha256));
            Ok(all.sum::<io::Result<u64>>()?)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// The archive that was uploaded, as a file.
    pub fn code_archive(&self, sha256: &str) -> Option<PathBuf> {
        self.machine.codes.archive(sha256)
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

    /// The trace header that the function gets. Whether it may loop is for all its versions.
    fn trace(
        &self,
        function: &Function,
        may_loop: bool,
        invocation: &Invocation,
    ) -> Result<String, InvokeError> {
        let arn = self.machine.function_arn(&invocation.name);
        let header = invocation.trace_id.as_deref();
        let passed = trace::pass_on(header, &arn, function.definition.traced, !may_loop);
        passed.map_err(|trace::Loop| InvokeError::Recursive)
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

    fn not_found(&self, invocation: &Invocation) -> InvokeError {
        InvokeError::NotFound(self.machine.qualified_arn(&invocation.name, invocation.qualifier.as_deref()))
    }
}

/// `place` is what the invocation takes up until it is over.
async fn run(
    machine: &Arc<Machine>,
    function: &Function,
    invocation: Invocation,
    request_id: String,
    place: impl Send + 'static,
) -> Result<Outcome, InvokeError> {
    let (caller, mut answer) = oneshot::channel();
    let caller = Caller::Whole(caller);
    let taken = hand_in(machine, function, invocation, request_id.clone(), caller).await?;
    let taken = match taken {
        Ok(taken) => taken,
        Err(reply) => return Ok(outcome(request_id, function, reply).0),
    };
    let reply = taken.in_time(&mut answer).await;
    let reply = reply.map_err(|_| InvokeError::Start("the instance was stopped".to_owned()))?;
    let (outcome, run) = outcome(request_id, function, reply);
    machine.meter(function, taken.qualifier, run, place);
    Ok(outcome)
}

/// An event in work.
struct Taken {
    request_id: String,
    qualifier: Option<String>,
    instance: Arc<Instance>,
    timeout: Duration,
    deadline: tokio::time::Instant,
}

impl Taken {
    /// What the instance has to say, at the latest that it took too long.
    async fn in_time<T>(&self, answer: &mut oneshot::Receiver<T>) -> Result<T, oneshot::error::RecvError> {
        match tokio::time::timeout_at(self.deadline, &mut *answer).await {
            Ok(answered) => answered,
            Err(_) => {
                self.instance.time_out(&self.request_id, self.timeout);
                answer.await
            }
        }
    }
}

/// Finds an instance for an event and hands it in. Without an instance there may still be an answer.
async fn hand_in(
    machine: &Machine,
    function: &Function,
    invocation: Invocation,
    request_id: String,
    mut caller: Caller,
) -> Result<Result<Taken, Reply>, InvokeError> {
    let timeout = function.definition.revision.timeout;
    let qualifier = invocation.qualifier.clone();
    let called = Instant::now();
    let mut work = Work {
        request_id: request_id.clone(),
        invoked_arn: machine.qualified_arn(&function.definition.name, invocation.qualifier.as_deref()),
        deadline_ms: 0,
        payload: invocation.payload,
        trace_id: invocation.trace_id,
        client_context: invocation.client_context,
    };
    for _ in 0..DISPATCH_TRIES {
        let lease = match function.pool.take().await {
            Ok(lease) => lease,
            Err(Unstarted::Throttled(wait)) => {
                machine.throttled(function, qualifier.as_deref());
                let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
                return Err(InvokeError::TooManyRequests(Throttle::new(reason, wait)));
            }
            Err(Unstarted::Failed { failure, log_tail }) => {
                let before = invocation.log_tail.then_some(log_tail);
                let (reply, run) = failed_to_start(machine, function, &request_id, called, failure, before)?;
                machine.ran(function, qualifier.as_deref(), run);
                return Ok(Err(reply));
            }
        };
        let Some(instance) = lease.instance() else { continue };
        work.deadline_ms =
            Timestamp::now().as_millisecond() + i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX / 2);
        let deadline = tokio::time::Instant::now() + timeout;
        match instance.dispatch(work, invocation.log_tail, caller) {
            Ok(()) => {
                return Ok(Ok(Taken { request_id, qualifier, instance, timeout, deadline }));
            }
            Err(rejected) => (work, caller) = (rejected.work, rejected.caller),
        }
    }
    Err(InvokeError::Start("instances end before they take the event".to_owned()))
}

fn outcome(request_id: String, function: &Function, reply: Reply) -> (Outcome, Metered) {
    let outcome = Outcome {
        request_id,
        payload: reply.answer.payload,
        content_type: reply.answer.content_type,
        error: reply.answer.error,
        log_tail: reply.log_tail,
        executed_version: function.definition.version.clone(),
    };
    (outcome, reply.run)
}

/// There is no instance to write this invocation's lines, so they are written here. `before` is the end of what was logged
/// during the start, for a caller who wants the end of the log.
fn failed_to_start(
    machine: &Machine,
    function: &Function,
    request_id: &str,
    called: Instant,
    failure: InitFailure,
    before: Option<Bytes>,
) -> Result<(Reply, meter::Run), InvokeError> {
    let definition = &function.definition;
    let logging = &definition.revision.logging;
    let (version, memory_mb) = (definition.version.as_str(), definition.revision.memory_mb);
    let unserved = Unserved { request_id, version, memory_mb, logging, waited: called.elapsed() };
    let failed = unserved.answer(failure).map_err(InvokeError::Start)?;
    let stream =
        logging.stream(&definition.name, &definition.version, &request_id.replace('-', ""), Timestamp::now());
    let log = machine.logs.of(&definition.namespace, &logging.group(&definition.name));
    log.append(&stream, failed.lines.iter().map(String::as_bytes));
    let log_tail = before.map(|before| {
        let mut whole = [&before[..], failed.lines.join("\n").as_bytes(), b"\n"].concat();
        whole.drain(..whole.len().saturating_sub(TAIL_BYTES));
        Bytes::from(whole)
    });
    let reply = Reply { answer: Answer::failed(failed.payload), log_tail, run: Metered::Now(failed.run) };
    Ok((reply, failed.run))
}
