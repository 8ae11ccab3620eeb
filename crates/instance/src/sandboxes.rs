//! What instances need from the room below, as a small trait, so that pools can be tested without root and without
//! namespaces. The real one is `sandbox::Host`.

use futures::future::BoxFuture;
use sandbox::{
    Exit, HANDED_FIRST, Instance, InstanceSpec, Mount, Pipes, ProgramSpec, Reach, Root, StartErrorKind,
};
use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Processes and threads in one instance, as on Lambda.
const PIDS_MAX: u64 = 1024;

/// The environment variable with the numbers of two descriptors that are a connection to the Runtime API: what it says is read
/// from the first, and what it is told is written to the second.
pub const PIPES_VARIABLE: &str = "_DORY_RUNTIME_API_FDS";

/// Where functions find their layers.
const OPT: &str = "/opt";

/// Starts sandboxes.
pub trait Sandboxes: Send + Sync + 'static {
    /// Starts one; resolves when its first process runs.
    fn start(&self, spec: Spec) -> BoxFuture<'_, Result<Arc<dyn Sandbox>, StartError>>;
}

/// One running sandbox. Dropping it kills what runs inside.
pub trait Sandbox: Send + Sync + 'static {
    /// The Runtime API's listener, bound inside the sandbox. Can be taken once.
    fn take_listener(&self) -> Option<TcpListener>;
    /// The AWS door's listener, bound inside the sandbox. Can be taken once.
    fn take_door(&self) -> Option<TcpListener>;
    /// The near ends of the pipes to the Runtime API that its program was handed, where it was. Can be taken once.
    fn take_pipes(&self) -> Option<Pipes>;
    /// A connection to an address as it is seen from inside, such as a server on the sandbox's loopback.
    fn connect(&self, address: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>>;
    /// The reading end of the process's output. Can be taken once.
    fn take_output(&self) -> Option<OwnedFd>;
    /// Makes a sandbox that was started unassigned what `spec` says: mounts its code and layers, then hands it its
    /// environment on standard input, as `NAME=value`, each ended by a zero byte.
    fn assign<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), StartError>>;
    /// How long the steps of its start took, in order.
    fn stages(&self) -> Vec<(&'static str, Duration)>;
    /// Starts a program in a sandbox that is held.
    fn run(&self, program: Program) -> BoxFuture<'_, Result<Arc<dyn Running>, StartError>>;
    /// Asks the first process to end.
    fn terminate(&self) -> BoxFuture<'_, ()>;
    /// Resolves when the first process has ended.
    fn wait(&self) -> BoxFuture<'_, Exit>;
    /// Stops the clock of everything inside.
    fn freeze(&self);
    /// Lets it go on.
    fn thaw(&self);
    /// Kills everything inside; resolves when it is gone.
    fn kill(&self) -> BoxFuture<'_, ()>;
    /// The most memory that was ever in use inside, in bytes.
    fn memory_peak_bytes(&self) -> u64;
    /// What runs inside uses so much now; nothing where that is not counted.
    fn usage(&self) -> sandbox::Usage;
}

/// A program in a sandbox that is held. It ends with the sandbox at the latest.
pub trait Running: Send + Sync + 'static {
    /// The reading end of its output. Can be taken once.
    fn take_output(&self) -> Option<OwnedFd>;
    /// Resolves when it has ended.
    fn wait(&self) -> BoxFuture<'_, Exit>;
    /// Sends it a signal, by number.
    fn signal(&self, signal: i32) -> BoxFuture<'_, ()>;
}

/// A program for a sandbox that is held.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Unique among all instances of this process.
    pub id: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Started before it is known for which function: without code and layers, waiting on standard input.
    pub unassigned: bool,
    /// Its program is handed pipes to the Runtime API, which it may use instead of connecting to it, and is told so by
    /// [`PIPES_VARIABLE`].
    pub connected: bool,
    /// Started without a program: what runs is what [`Sandbox::run`] starts.
    pub held: bool,
    /// Where it starts.
    pub cwd: String,
    /// The layers of the image that is its root file system, lowest first; else the programs of the host are.
    pub image: Option<Vec<PathBuf>>,
    /// Where the code is, mounted read-only at `/var/task`. An image may bring its own.
    pub task: Option<PathBuf>,
    /// Where the bootstraps are, mounted read-only at `/var/runtime`; not in an image.
    pub runtime: PathBuf,
    /// Where the layers are, mounted read-only at `/opt`.
    pub layers: Option<PathBuf>,
    /// Directories of the host that the program needs beside the standard ones, read-only at their own paths.
    pub prefixes: Vec<PathBuf>,
    /// Memory limit in bytes.
    pub memory_bytes: u64,
    /// Size of the private `/tmp` in bytes.
    pub tmp_bytes: u64,
    /// The port of the Runtime API inside.
    pub api_port: u16,
    /// The port of the AWS door inside.
    pub door_port: u16,
    /// Whether it reaches the world.
    pub egress: bool,
}

/// Why a sandbox did not start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The program is not there or may not be executed.
    #[error("{0}")]
    Entrypoint(String),
    /// The working directory is not there or may not be entered.
    #[error("{0}")]
    WorkingDirectory(String),
    /// The machine refused.
    #[error("{0}")]
    Machine(String),
}

impl Sandboxes for sandbox::Host {
    fn start(&self, spec: Spec) -> BoxFuture<'_, Result<Arc<dyn Sandbox>, StartError>> {
        Box::pin(async move {
            let (program, cwd) = (spec.argv.first().cloned().unwrap_or_default(), spec.cwd.clone());
            match self.start_instance(instance_spec(spec)).await {
                Ok(instance) => Ok(Arc::new(instance) as Arc<dyn Sandbox>),
                Err(error) => Err(start_error(&program, &cwd, &error)),
            }
        })
    }
}

/// A program that cannot be run is the function's fault, and told as Lambda tells it; the rest is the machine's.
fn start_error(program: &str, cwd: &str, error: &sandbox::Error) -> StartError {
    // A name without a slash is looked up, and told as Go tells what it did not find.
    let name = !program.contains('/');
    let reason = match error {
        sandbox::Error::Start(start) => match start.kind {
            StartErrorKind::WorkingDirectory => {
                let denied = start.message.ends_with("permission denied");
                let reason = if denied { "permission denied" } else { "no such file or directory" };
                return StartError::WorkingDirectory(format!("chdir {cwd}: {reason}"));
            }
            StartErrorKind::NotFound if name => {
                return StartError::Entrypoint(format!(
                    "exec: \"{program}\": executable file not found in $PATH"
                ));
            }
            StartErrorKind::NotFound => "no such file or directory",
            StartErrorKind::PermissionDenied => "permission denied",
            StartErrorKind::ExecFormat => "exec format error",
            _ => return StartError::Machine(error.to_string()),
        },
        _ => return StartError::Machine(error.to_string()),
    };
    StartError::Entrypoint(format!("fork/exec {program}: {reason}"))
}

/// The most CPU that an instance may use, in thousandths of a core. Lambda gives one core per 1,769 MB, and less than one
/// below that; here nobody gets less than one, because slowing a small function down saves nothing on a machine of one's
/// own, and more only with the memory that buys it.
fn cpu_millis(memory_bytes: u64) -> u64 {
    const BYTES_PER_CORE: u64 = 1769 * 1024 * 1024;
    (memory_bytes.saturating_mul(1000) / BYTES_PER_CORE).max(1000)
}

fn instance_spec(spec: Spec) -> InstanceSpec {
    let mut mounts = if spec.unassigned { Vec::new() } else { function_mounts(&spec) };
    if spec.image.is_none() {
        mounts.push(Mount::bind(spec.runtime, "/var/runtime", true));
    }
    let root = match spec.image {
        Some(layers) => Root::Layers(layers),
        None => Root::Host { prefixes: spec.prefixes },
    };
    InstanceSpec {
        id: spec.id,
        argv: spec.argv,
        env: environment(spec.env, spec.connected && !spec.held),
        cwd: spec.cwd,
        mounts,
        root,
        memory_bytes: spec.memory_bytes,
        cpu_millis: Some(cpu_millis(spec.memory_bytes)),
        pids_max: Some(PIDS_MAX),
        tmp_bytes: spec.tmp_bytes,
        api_port: Some(spec.api_port),
        door_port: Some(spec.door_port),
        reach: if spec.egress { Reach::Egress } else { Reach::Nothing },
        resolv_conf: String::new(),
        unassigned: spec.unassigned,
        connected: spec.connected,
        held: spec.held,
    }
}

/// With what says where the pipes are, and without what somebody else may have set in its place.
fn environment(mut env: Vec<(String, String)>, connected: bool) -> Vec<(String, String)> {
    env.retain(|(name, _)| name != PIPES_VARIABLE);
    if connected {
        let value = format!("{HANDED_FIRST},{}", HANDED_FIRST + 1);
        env.push((PIPES_VARIABLE.to_owned(), value));
    }
    env
}

/// What makes a sandbox one function's.
fn function_mounts(spec: &Spec) -> Vec<Mount> {
    let layers = spec.layers.iter().flat_map(|layers| layer_mounts(layers, &spec.prefixes));
    let task = spec.task.iter().map(|task| Mount::bind(task, "/var/task", true));
    task.chain(layers).collect()
}

/// The layers at `/opt`. An interpreter that the host keeps below `/opt` must stay in sight there: then each entry of
/// the layers is mounted beside it.
fn layer_mounts(layers: &Path, prefixes: &[PathBuf]) -> Vec<Mount> {
    if !prefixes.iter().any(|prefix| prefix.starts_with(OPT)) {
        return vec![Mount::bind(layers, OPT, true)];
    }
    let entries = std::fs::read_dir(layers).into_iter().flatten().flatten();
    let beside = entries.map(|entry| (entry.path(), Path::new(OPT).join(entry.file_name())));
    beside.map(|(from, to)| Mount::bind(from, to, true)).collect()
}

impl Sandbox for Instance {
    fn take_listener(&self) -> Option<TcpListener> {
        Instance::take_listener(self)
    }

    fn take_door(&self) -> Option<TcpListener> {
        Instance::take_door(self)
    }

    fn take_pipes(&self) -> Option<Pipes> {
        Instance::take_pipes(self)
    }

    fn connect(&self, address: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(Instance::connect(self, address))
    }

    fn take_output(&self) -> Option<OwnedFd> {
        self.take_logs()
    }

    fn assign<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), StartError>> {
        let env = environment(spec.env.clone(), spec.connected);
        let text: String = env.iter().map(|(name, value)| format!("{name}={value}\0")).collect();
        Box::pin(async move {
            let assigned = Instance::assign(self, function_mounts(spec), text.as_bytes()).await;
            assigned.map_err(|error| StartError::Machine(error.to_string()))
        })
    }

    fn stages(&self) -> Vec<(&'static str, Duration)> {
        Instance::stages(self).to_vec()
    }

    fn run(&self, program: Program) -> BoxFuture<'_, Result<Arc<dyn Running>, StartError>> {
        Box::pin(async move {
            let name = program.argv.first().cloned().unwrap_or_default();
            let Program { argv, env, cwd } = program;
            let at = cwd.clone();
            match Instance::run(self, ProgramSpec { argv, env, cwd }).await {
                Ok(running) => Ok(Arc::new(running) as Arc<dyn Running>),
                Err(error) => Err(start_error(&name, &at, &error)),
            }
        })
    }

    fn terminate(&self) -> BoxFuture<'_, ()> {
        Box::pin(Instance::terminate(self))
    }

    fn wait(&self) -> BoxFuture<'_, Exit> {
        Box::pin(Instance::wait(self))
    }

    fn freeze(&self) {
        if let Err(error) = Instance::freeze(self) {
            tracing::warn!(instance = self.id(), %error, "an idle instance could not be frozen and runs on");
        }
    }

    fn thaw(&self) {
        if let Err(error) = Instance::thaw(self) {
            tracing::warn!(instance = self.id(), %error, "an instance could not be thawed");
        }
    }

    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(Instance::kill(self))
    }

    fn memory_peak_bytes(&self) -> u64 {
        Instance::memory_peak_bytes(self)
    }

    fn usage(&self) -> sandbox::Usage {
        Instance::usage(self)
    }
}

impl Running for sandbox::Program {
    fn take_output(&self) -> Option<OwnedFd> {
        sandbox::Program::take_output(self)
    }

    fn wait(&self) -> BoxFuture<'_, Exit> {
        Box::pin(sandbox::Program::wait(self))
    }

    fn signal(&self, signal: i32) -> BoxFuture<'_, ()> {
        Box::pin(sandbox::Program::signal(self, signal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_comes_with_memory() {
        let millis = |mb: u64| cpu_millis(mb * 1024 * 1024);
        assert_eq!([millis(128), millis(1769), millis(3538), millis(10_240)], [1000, 1000, 2000, 5788]);
    }
}
