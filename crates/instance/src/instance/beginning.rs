//! The beginning of an instance: what it is made of, and what is wired together then.

use super::memory::MemoryPeak;
use super::{InitFailure, Instance, State};
use crate::door::{self, Door};
use crate::extensions::{Extensions, Identity, Launch};
use crate::journal::Journal;
use crate::logging::Logging;
use crate::owner::Owner;
use crate::runtime_api::Stream;
use crate::sandboxes::Sandbox;
use crate::stages::Stopwatch;
use crate::telemetry::Telemetry;
use crate::web::Web;
use managed::Log;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

/// What one instance is made of.
pub struct Beginning {
    /// Unique among all instances of this process.
    pub id: String,
    /// Whose instance it is.
    pub identity: Identity,
    /// Memory in MB, as the function is billed for it.
    pub memory_mb: u32,
    /// How long an invocation may take, what the runtime does between two of them included.
    pub timeout: Duration,
    /// How the function logs.
    pub logging: Logging,
    /// Where.
    pub log: Arc<Log>,
    /// The log stream of this instance.
    pub stream: String,
    /// Where it runs.
    pub sandbox: Arc<dyn Sandbox>,
    /// What is started in a sandbox that has no command of its own: where there are external extensions.
    pub launch: Option<Launch>,
    /// Speaks for it, should it be a web server.
    pub web: Option<Web>,
    /// It is one of those that are kept ready.
    pub kept: bool,
    /// In which it starts: `init`, or `invoke` when a start failed before and an event waits for this one.
    pub phase: &'static str,
    /// When its start began.
    pub born: Instant,
    /// How the time of its start was spent so far.
    pub watch: Stopwatch,
}

/// What holds for all instances of a machine.
#[derive(Clone)]
pub struct Terms {
    /// How long an idle one is kept.
    pub keep_alive: Duration,
    /// The age at which one takes no more events.
    pub rotate_after: Duration,
    /// Whether streamed answers are held back as on AWS.
    pub stream_brake: bool,
    /// The AWS endpoint.
    pub door: Arc<dyn Door>,
}

/// An instance, and where it tells that its runtime is ready, or why it never will be.
pub type Born = (Arc<Instance>, oneshot::Receiver<Result<(), InitFailure>>);

impl Instance {
    /// Starts to live with what it has.
    pub fn start(beginning: Beginning, owner: Weak<dyn Owner>, terms: Terms) -> io::Result<Born> {
        let Beginning { sandbox, launch, web, .. } = beginning;
        let listener = sandbox.take_listener().ok_or_else(|| io::Error::other("no listener"))?;
        let listener = listening(listener)?;
        let pipes = sandbox.take_pipes().map(Stream::piped).transpose()?;
        let inside = sandbox.take_door().map(listening).transpose()?;
        let logging = beginning.logging;
        let telemetry = Arc::new(Telemetry::new(logging.format, launch.is_some()));
        // One that is held prints nothing itself.
        let output = sandbox.take_output().filter(|_| launch.is_none());
        let (log, stream) = (beginning.log, beginning.stream);
        let journal = Journal::new(log, stream, logging.clone(), telemetry.clone(), output)?;
        let (ready, started) = oneshot::channel();
        let instance = Arc::new(Instance {
            id: beginning.id,
            version: beginning.identity.version.clone(),
            memory_mb: beginning.memory_mb,
            timeout: beginning.timeout,
            sandbox,
            memory_peak: MemoryPeak::default(),
            held: launch.is_some(),
            journal,
            logging,
            function: beginning.identity.function.clone(),
            owner,
            extensions: Extensions::new(beginning.identity, launch.is_some()),
            telemetry,
            phase: beginning.phase,
            born: beginning.born,
            init: Mutex::default(),
            watch: Mutex::new(Some(beginning.watch)),
            state: Mutex::new(State::Starting(Some(ready))),
            changed: Notify::new(),
            unminded: AtomicBool::new(false),
            kept: AtomicBool::new(beginning.kept),
            rotate_at: beginning.born + terms.rotate_after,
            stream_brake: terms.stream_brake,
            voice: OnceLock::new(),
        });
        if let Some(owner) = instance.owner.upgrade() {
            owner.admit(&instance);
        }
        let door = inside.map(|inside| door::serve(inside, terms.door, instance.id.as_str().into()));
        let web = web.map(|web| web.serve(instance.clone(), instance.sandbox.clone()));
        tokio::spawn(instance.clone().live((listener, pipes), door, web, terms.keep_alive));
        if let Some(launch) = launch {
            tokio::spawn(launch.run(instance.clone()));
        }
        Ok((instance, started))
    }
}

fn listening(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
