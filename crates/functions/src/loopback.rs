//! Instances without sandboxes: plain processes of this user whose Runtime API is a port of the machine's own loopback.
//! For tests only (feature `loopback`): it isolates nothing and limits nothing.

use crate::credentials::Aws;
use crate::events::EventConfig;
use crate::functions::Config;
use futures::future::BoxFuture;
use instance::{Door, Program, Running, Sandbox, Sandboxes, Spec, StartError};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Exit, Pipes};
use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The fake host. Counts what tests ask about.
#[derive(Debug, Default)]
pub struct Loopback {
    /// Instances started so far.
    pub started: AtomicUsize,
    /// How often an instance was frozen.
    pub frozen: Arc<AtomicUsize>,
}

struct Process {
    listener: Mutex<Option<TcpListener>>,
    door: Mutex<Option<TcpListener>>,
    main: Child,
    programs: Mutex<Vec<Arc<Child>>>,
    paths: Paths,
    frozen: Arc<AtomicUsize>,
}

/// One process.
struct Child {
    output: Mutex<Option<OwnedFd>>,
    pid: Pid,
    exit: watch::Receiver<Option<Exit>>,
}

/// There is no mount: the paths and addresses of the sandbox become the real ones.
struct Paths {
    task: String,
    runtime: String,
    opt: String,
    api: (String, String),
    door: (String, String),
}

/// A door that nobody stands behind: connections are closed.
#[derive(Debug)]
pub struct NoDoor;

impl Door for NoDoor {
    fn serve(&self, stream: TcpStream, _: Arc<str>) -> BoxFuture<'static, ()> {
        drop(stream);
        Box::pin(std::future::ready(()))
    }
}

/// What instances have of AWS where nothing is behind the door.
pub fn no_aws() -> Aws {
    let keys = Arc::new(sigv4::Keys::new(Vec::new(), b"loopback"));
    Aws { keys, door: Arc::new(NoDoor), session: Duration::from_secs(3600) }
}

/// Functions whose instances are such processes, with everything below this directory.
pub async fn config(client: client::kube::Client, dir: &std::path::Path) -> Config {
    Config {
        client,
        host: Arc::new(Loopback::default()),
        images: images(dir),
        dir: dir.to_owned(),
        keep_alive: Duration::from_secs(60),
        prebooted: 0,
        egress: true,
        stream_brake: false,
        concurrency: 1000,
        growth: None,
        account_id: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        interpreter_dirs: Vec::new(),
        aws: no_aws(),
        events: EventConfig::in_memory().await,
    }
}

/// An image store in this directory, empty.
///
/// # Panics
/// When it cannot be made.
pub fn images(dir: &std::path::Path) -> Arc<sandbox::image::Store> {
    Arc::new(sandbox::image::Store::open(&dir.join("images")).expect("an image store"))
}

impl Sandboxes for Loopback {
    fn start(&self, spec: Spec) -> BoxFuture<'_, Result<Arc<dyn Sandbox>, StartError>> {
        Box::pin(async move {
            self.started.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::new(self.spawn(spec)?) as Arc<dyn Sandbox>)
        })
    }
}

impl Loopback {
    fn spawn(&self, spec: Spec) -> Result<Process, StartError> {
        let broken = |error: std::io::Error| StartError::Machine(error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").map_err(broken)?;
        let port = listener.local_addr().map_err(broken)?.port();
        let door = TcpListener::bind("127.0.0.1:0").map_err(broken)?;
        let door_port = door.local_addr().map_err(broken)?.port();
        let opt = spec.layers.as_ref().map(|layers| layers.to_string_lossy().into_owned());
        let paths = Paths {
            task: spec.task.clone().unwrap_or_default().to_string_lossy().into_owned(),
            runtime: spec.runtime.to_string_lossy().into_owned(),
            opt: opt.unwrap_or_else(|| "/opt".to_owned()),
            api: (format!("127.0.0.1:{}", spec.api_port), format!("127.0.0.1:{port}")),
            door: (format!("127.0.0.1:{}", spec.door_port), format!("127.0.0.1:{door_port}")),
        };
        let program = match spec.held {
            true => {
                Program { argv: vec!["sleep".into(), "1000000".into()], env: Vec::new(), cwd: "/".into() }
            }
            false => Program { argv: spec.argv, env: spec.env, cwd: "/var/task".to_owned() },
        };
        let main = paths.spawn(&program)?;
        Ok(Process {
            listener: Mutex::new(Some(listener)),
            door: Mutex::new(Some(door)),
            main,
            programs: Mutex::default(),
            paths,
            frozen: self.frozen.clone(),
        })
    }
}

impl Paths {
    fn real(&self, text: &str) -> String {
        // The door first: the real port of the other may begin as the door's does, 45660 as 4566, and ports from the range for
        // any never begin as 9001 does.
        text.replace("/var/task", &self.task)
            .replace("/var/runtime", &self.runtime)
            .replace("/opt/extensions", &format!("{}/extensions", self.opt))
            .replace(&self.door.0, &self.door.1)
            .replace(&self.api.0, &self.api.1)
    }

    fn spawn(&self, program: &Program) -> Result<Child, StartError> {
        let broken = |error: std::io::Error| StartError::Machine(error.to_string());
        let Program { argv, env, cwd } = program;
        let (reader, writer) = std::io::pipe().map_err(broken)?;
        let mut child = Command::new(self.real(&argv[0]))
            .args(argv[1..].iter().map(|argument| self.real(argument)))
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, self.real(value))))
            .current_dir(self.real(cwd))
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(broken)?)
            .stderr(writer)
            .spawn()
            .map_err(|error| StartError::Entrypoint(format!("fork/exec {}: {}", argv[0], words(&error))))?;
        let pid = Pid::from_child(&child);
        let (ended, exit) = watch::channel(None);
        std::thread::spawn(move || {
            let status = child.wait().unwrap_or_default();
            let signal = status.signal();
            let code = status.code().unwrap_or(128 + signal.unwrap_or(0));
            ended.send_replace(Some(Exit { code, signal, oom: false }));
        });
        Ok(Child { output: Mutex::new(Some(reader.into())), pid, exit })
    }
}

/// As the sandbox says it.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

impl Process {
    /// To all that run.
    fn signal(&self, signal: Signal) {
        self.main.signal(signal);
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.iter().for_each(|program| program.signal(signal));
    }
}

impl Child {
    fn signal(&self, signal: Signal) {
        if self.exit.borrow().is_none() {
            // It may end at this very moment, which is what a kill wants anyway.
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Sandbox for Process {
    fn take_listener(&self) -> Option<TcpListener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn take_door(&self) -> Option<TcpListener> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A plain process connects.
    fn take_pipes(&self) -> Option<Pipes> {
        None
    }

    fn connect(&self, address: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }

    fn take_output(&self) -> Option<OwnedFd> {
        self.main.output.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn assign<'a>(&'a self, _: &'a Spec) -> BoxFuture<'a, Result<(), StartError>> {
        // Paths were made real at the start, and nothing can be mounted.
        Box::pin(async { Err(StartError::Machine("plain processes cannot be assigned later".to_owned())) })
    }

    fn stages(&self) -> Vec<(&'static str, Duration)> {
        Vec::new()
    }

    fn run(&self, program: Program) -> BoxFuture<'_, Result<Arc<dyn Running>, StartError>> {
        Box::pin(async move {
            let child = Arc::new(self.paths.spawn(&program)?);
            self.programs.lock().unwrap_or_else(PoisonError::into_inner).push(child.clone());
            Ok(child as Arc<dyn Running>)
        })
    }

    fn terminate(&self) -> BoxFuture<'_, ()> {
        self.main.signal(Signal::TERM);
        Box::pin(std::future::ready(()))
    }

    fn wait(&self) -> BoxFuture<'_, Exit> {
        Running::wait(&self.main)
    }

    fn freeze(&self) {
        self.frozen.fetch_add(1, Ordering::Relaxed);
        self.signal(Signal::STOP);
    }

    fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.signal(Signal::KILL);
            Sandbox::wait(self).await;
        })
    }

    /// A plain process has no control group that counts.
    fn usage(&self) -> sandbox::Usage {
        sandbox::Usage::default()
    }

    fn memory_peak_bytes(&self) -> u64 {
        0
    }
}

impl Running for Child {
    fn take_output(&self) -> Option<OwnedFd> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn wait(&self) -> BoxFuture<'_, Exit> {
        let mut exit = self.exit.clone();
        Box::pin(async move {
            let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
            ended.unwrap_or(Exit { code: 137, signal: Some(9), oom: false })
        })
    }

    fn signal(&self, signal: i32) -> BoxFuture<'_, ()> {
        if let Some(signal) = Signal::from_named_raw(signal) {
            Child::signal(self, signal);
        }
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_the_real_ones_whatever_port_there_was() {
        let address = |port: u16| format!("127.0.0.1:{port}");
        let paths = Paths {
            task: "/tmp/task".to_owned(),
            runtime: "/tmp/runtime".to_owned(),
            opt: "/opt".to_owned(),
            api: (address(9001), address(45_661)),
            door: (address(4566), address(34_567)),
        };
        assert_eq!(paths.real("127.0.0.1:9001"), "127.0.0.1:45661");
        assert_eq!(paths.real("http://127.0.0.1:4566/"), "http://127.0.0.1:34567/");
        assert_eq!(paths.real("/var/task/bootstrap"), "/tmp/task/bootstrap");
    }
}
