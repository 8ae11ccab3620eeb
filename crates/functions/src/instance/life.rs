//! The life of an instance from its start to its end: one task minds the process, freezes it when it is idle, and stops
//! it when it has been idle for long. A timer runs only while there is something to wait for.

use super::extended::Settling;
use super::program::{argv, settings};
use super::{InitFailure, Instance, State};
use crate::code::merged_name;
use crate::definition::Definition;
use crate::door::{self, DOOR_PORT};
use crate::environment::{API_PORT, environment};
use crate::extensions::{self, Extensions, Identity, Launch};
use crate::fault::Fault;
use crate::journal::Journal;
use crate::machine::Machine;
use crate::pool::Pool;
use crate::preboot::{Kind, is_read_at_start};
use crate::report::{self, Status};
use crate::runtime_api;
use crate::runtimes::Program;
use crate::sandboxes::{Sandbox, Spec, StartError};
use crate::stages::Stopwatch;
use crate::telemetry::Telemetry;
use crate::web::Web;
use bytes::Bytes;
use jiff::Timestamp;
use sandbox::Exit;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

/// How long an idle instance runs on before it is frozen. Lambda freezes at once; a little later costs a function
/// nothing and saves freezing and thawing between the calls of a busy client.
const FREEZE_AFTER: Duration = Duration::from_millis(20);

/// How long the last output of an ended process may take to be read.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

const MIB: u64 = 1024 * 1024;

/// What the minder does next.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing until the state changes.
    Wait,
    FreezeAt(Instant),
    StopAt(Instant),
    /// See whether it still has not asked for its next event.
    LookAt(Instant),
    End,
}

impl Instance {
    /// Starts an instance; the receiver tells when its runtime is ready, or why it never will be.
    pub(crate) async fn start(
        machine: &Arc<Machine>,
        definition: &Definition,
        pool: &Arc<Pool>,
        kept: bool,
        phase: &'static str,
        mut watch: Stopwatch,
    ) -> Result<(Arc<Instance>, oneshot::Receiver<Result<(), InitFailure>>), InitFailure> {
        let born = Instant::now();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let logging = definition.revision.logging.clone();
        let stream = logging.stream(&definition.name, &definition.version, &id, Timestamp::now());
        let Plan { mut spec, kind, web, external } = plan(machine, definition, &id, &stream).await?;
        if kept {
            let how = spec.env.iter_mut().find(|(name, _)| name == "AWS_LAMBDA_INITIALIZATION_TYPE");
            how.into_iter().for_each(|(_, value)| "provisioned-concurrency".clone_into(value));
        }
        let launch = Launch::of(&spec, external);
        watch.mark("prepare");
        let sandbox = sandbox(machine, spec, kind, &mut watch).await?;
        let broken = |error: io::Error| InitFailure::Machine(error.to_string());
        let listener =
            sandbox.take_listener().ok_or_else(|| InitFailure::Machine("no listener".to_owned()))?;
        let listener = listening(listener).map_err(broken)?;
        let inside = sandbox.take_door().map(listening).transpose().map_err(broken)?;
        let log = machine.logs.of(&definition.namespace, &logging.group(&definition.name));
        let telemetry = Arc::new(Telemetry::new(logging.format, launch.is_some()));
        // One that is held prints nothing itself.
        let output = sandbox.take_output().filter(|_| launch.is_none());
        let journal =
            Journal::new(log, stream, logging.clone(), telemetry.clone(), output).map_err(broken)?;
        let (ready, started) = oneshot::channel();
        let instance = Arc::new(Instance {
            id,
            version: definition.version.clone(),
            memory_mb: definition.revision.memory_mb,
            timeout: definition.revision.timeout,
            sandbox,
            held: launch.is_some(),
            journal,
            logging,
            function: definition.name.clone(),
            pool: Arc::downgrade(pool),
            extensions: Extensions::new(Identity::of(machine, definition), launch.is_some()),
            telemetry,
            phase,
            born,
            init: Mutex::default(),
            watch: Mutex::new(Some(watch)),
            state: Mutex::new(State::Starting(Some(ready))),
            changed: Notify::new(),
            unminded: AtomicBool::new(false),
            kept: AtomicBool::new(kept),
            rotate_at: born + machine.aws.rotate_after(),
            stream_brake: machine.stream_brake,
            voice: OnceLock::new(),
        });
        pool.admit(&instance);
        let door =
            inside.map(|inside| door::serve(inside, machine.aws.door.clone(), instance.id.as_str().into()));
        let web = web.map(|web| web.serve(instance.clone(), instance.sandbox.clone()));
        tokio::spawn(instance.clone().live(listener, door, web, machine.keep_alive));
        if let Some(launch) = launch {
            tokio::spawn(launch.run(instance.clone()));
        }
        Ok((instance, started))
    }

    /// Writes the last lines about a start that failed; the end of what was logged during it.
    pub(crate) fn end_start(&self, status: Status<'_>) -> Bytes {
        self.tell_init_failed(status);
        let mut lines = self.extension_lines();
        lines.extend(report::init_failed(&self.logging, self.age(), self.phase, status));
        self.journal.end_start(&lines)
    }

    /// What it uses now.
    pub(crate) fn usage(&self) -> sandbox::Usage {
        self.sandbox.usage()
    }

    /// How long it has existed.
    pub(crate) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Tells the minder to end the instance.
    pub(super) fn end(&self) {
        self.changed.notify_one();
    }

    async fn live(
        self: Arc<Self>,
        listener: TcpListener,
        door: Option<impl Future<Output = ()> + Send + 'static>,
        web: Option<impl Future<Output = ()> + Send + 'static>,
        keep_alive: Duration,
    ) {
        let api = tokio::spawn(runtime_api::serve(listener, self.clone()));
        let (door, web) = (door.map(tokio::spawn), web.map(tokio::spawn));
        let instance = self.clone();
        let output = (!self.held).then(|| tokio::spawn(async move { instance.journal.follow().await }));
        let mut exit = Box::pin(self.runtime_exit());
        loop {
            let rest = self.rest(keep_alive);
            let timer = match rest {
                Rest::FreezeAt(at) | Rest::StopAt(at) | Rest::LookAt(at) => Some(at),
                Rest::Wait => None,
                Rest::End => break,
            };
            tokio::select! {
                exit = &mut exit => {
                    // What it printed last comes before the lines about its end.
                    drop(tokio::time::timeout(LAST_OUTPUT, self.journal.ended()).await);
                    self.exited(exit);
                    break;
                }
                () = self.changed.notified() => {}
                () = until(timer) => self.act(&rest),
            }
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.gone(&self.id);
        }
        if self.extensions.any() {
            self.shut_down().await;
            self.telemetry.end();
        }
        api.abort();
        for task in door.into_iter().chain(web) {
            task.abort();
        }
        self.sandbox.kill().await;
        drop(tokio::time::timeout(LAST_OUTPUT, self.journal.ended()).await);
        if let Some(output) = output {
            output.abort();
        }
        self.extensions.has_ended();
    }

    /// The runtime's end: of the sandbox's own command, or of a program in it.
    async fn runtime_exit(&self) -> Exit {
        if !self.held {
            return self.sandbox.wait().await;
        }
        let program = async { self.extensions.until_runtime().await.wait().await };
        tokio::select! {
            exit = program => exit,
            exit = self.sandbox.wait() => exit,
        }
    }

    fn rest(&self, keep_alive: Duration) -> Rest {
        // Raised before the state is read: whoever changes it afterwards sees the flag.
        self.unminded.store(true, Ordering::Release);
        let rest = match &*self.lock() {
            State::Gone => Rest::End,
            State::Idle { frozen: true, .. } if self.is_kept() => Rest::StopAt(self.rotate_at),
            State::Idle { since, frozen: true, .. } => {
                Rest::StopAt((*since + keep_alive).min(self.rotate_at))
            }
            State::Idle { since, .. } => Rest::FreezeAt(*since + FREEZE_AFTER.min(keep_alive)),
            // Nobody waits any more for one that has answered, so what it still does needs an end of its own.
            State::Finished(since) | State::Settling { since, until: Settling::Invocation, .. } => {
                Rest::LookAt(self.pending_deadline().unwrap_or(*since + self.timeout))
            }
            State::Busy(_) => Rest::LookAt(Instant::now() + self.timeout),
            State::Starting(_) | State::Settling { .. } => Rest::Wait,
        };
        if matches!(rest, Rest::FreezeAt(_)) {
            self.unminded.store(false, Ordering::Release);
        }
        rest
    }

    /// A timer has run out. Whatever has happened since it was set counts more.
    fn act(self: &Arc<Self>, rest: &Rest) {
        match rest {
            Rest::FreezeAt(_) => {
                let mut state = self.lock();
                if let State::Idle { since, frozen, .. } = &mut *state
                    && since.elapsed() >= FREEZE_AFTER
                {
                    self.sandbox.freeze();
                    *frozen = true;
                }
            }
            Rest::StopAt(at) => {
                let due = matches!(&*self.lock(), State::Idle { frozen: true, .. }) && *at <= Instant::now();
                if due && self.pool.upgrade().is_none_or(|pool| pool.withdraw(&self.id)) {
                    self.stop();
                }
            }
            Rest::LookAt(_) if self.pending_deadline().is_some() => {
                if self.pending_deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                    self.time_out_pending();
                }
            }
            Rest::LookAt(_) => {
                let timeout = self.timeout;
                let late =
                    matches!(&*self.lock(), State::Finished(answered) if answered.elapsed() >= timeout);
                if late {
                    tracing::info!(
                        instance = self.id,
                        "a runtime answered and did not come back; it is stopped"
                    );
                    self.stop();
                }
            }
            Rest::Wait | Rest::End => {}
        }
    }
}

fn listening(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn until(timer: Option<Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// A booted one that is assigned now, or a fresh one.
async fn sandbox(
    machine: &Arc<Machine>,
    spec: Spec,
    kind: Option<Kind>,
    watch: &mut Stopwatch,
) -> Result<Arc<dyn Sandbox>, InitFailure> {
    if let Some(kind) = kind
        && let Some(sandbox) = machine.stock.assign(machine, kind, &spec).await
    {
        watch.mark("assign a booted one");
        return Ok(sandbox);
    }
    let sandbox = machine.host.start(spec).await.map_err(|error| match error {
        StartError::Entrypoint(reason) => InitFailure::Fault(Fault::Entrypoint(reason)),
        StartError::WorkingDirectory(reason) => InitFailure::Fault(Fault::WorkingDirectory(reason)),
        StartError::Machine(reason) => InitFailure::Machine(reason),
    })?;
    watch.mark_parts(sandbox.stages(), "hand over");
    Ok(sandbox)
}

/// What to start for a function.
struct Plan {
    spec: Spec,
    /// The kind of booted runtime that could serve instead.
    kind: Option<Kind>,
    /// Speaks for it, should it be a web server.
    web: Option<Web>,
    /// Its external extensions.
    external: Vec<String>,
}

/// The external extensions: those of layers, else those that the image brings.
fn external(program: &Program, layers: Option<&Path>) -> Vec<String> {
    if let Some(layers) = layers {
        return extensions::find(layers);
    }
    let image = program.image.iter().flat_map(|image| &image.layers);
    let all: BTreeSet<String> = image.flat_map(|layer| extensions::find(&layer.join("opt"))).collect();
    all.into_iter().collect()
}

/// A missing `bootstrap` is found here, before anything is started, and so is what the web adapter cannot do.
async fn plan(
    machine: &Arc<Machine>,
    definition: &Definition,
    id: &str,
    stream: &str,
) -> Result<Plan, InitFailure> {
    let revision = &definition.revision;
    let program = machine.program(revision).await.map_err(|error| InitFailure::Machine(error.to_string()))?;
    let task = match &revision.image {
        Some(_) => None,
        None => Some(machine.codes.task(&revision.code_sha256).ok_or_else(|| {
            InitFailure::Machine(format!(
                "the code of {} is not in the code store: upload it again",
                definition.name
            ))
        })?),
    };
    let layers = layers(machine, &revision.layers).await?;
    let external = external(&program, layers.as_deref());
    let entry = |reason: String| InitFailure::Fault(Fault::Entrypoint(reason));
    let web = settings(revision, &program, layers.as_deref()).map_err(entry)?;
    let argv = argv(revision, &program, task.as_deref(), layers.as_deref(), web.is_some()).map_err(entry)?;
    let env = environment(machine, definition, &program, id, stream);
    // A wrapper, or what it starts, may read its standard input.
    let connected = program.connected && argv == program.argv;
    let own_start = argv != program.argv || revision.environment.keys().any(|name| is_read_at_start(name));
    let web = web.map(|settings| Web::new(settings, &env));
    let spec = Spec {
        id: id.to_owned(),
        argv,
        env,
        unassigned: false,
        connected,
        held: !external.is_empty(),
        cwd: program.cwd.clone(),
        image: program.image.as_ref().map(|image| image.layers.clone()),
        task,
        runtime: machine.runtimes.dir().to_owned(),
        layers,
        prefixes: program.prefixes.clone(),
        memory_bytes: u64::from(revision.memory_mb) * MIB,
        tmp_bytes: u64::from(revision.ephemeral_storage_mb) * MIB,
        api_port: API_PORT,
        door_port: DOOR_PORT,
        egress: machine.egress,
    };
    // External extensions start before the runtime, so a booted one comes too early.
    let kind = if own_start || spec.held { None } else { Kind::of(&program, &spec) };
    Ok(Plan { spec, kind, web, external })
}

/// The tree of these layers. It was made when the function got them; a store that was swept or moved since gets it
/// again.
async fn layers(machine: &Arc<Machine>, layers: &[String]) -> Result<Option<PathBuf>, InitFailure> {
    let Some(name) = merged_name(layers) else { return Ok(None) };
    if let Some(tree) = machine.codes.task(&name) {
        return Ok(Some(tree));
    }
    let (shared, layers) = (machine.clone(), layers.to_vec());
    let merged = tokio::task::spawn_blocking(move || shared.codes.merge(&layers)).await;
    let merged = merged.map_err(|error| InitFailure::Machine(error.to_string()))?;
    merged.map_err(|error| InitFailure::Machine(format!("the layers cannot be put together: {error}")))?;
    Ok(machine.codes.task(&name))
}
