//! One running container, from its start to the record of its end.
use super::super::log::Log;
use super::super::stream::Stream;
use super::Supervisor;
use crate::wire::{Fault, Message};
use crate::{ContainerRecord, ContainerSpec, ContainerState, Root};
use container::bundle::{Bundle, Order, Process, RootFs};
use container::capability::Set;
use container::cgroup::Group;
use container::fork::{Child, Ended};
use container::launch::{Embryo, OrderFds};
use container::mount::{Mount, Tree};
use container::process::{Seccomp, StartError, StartErrorKind};
use rustix::pipe::PipeFlags;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::SystemTime;

/// What asks a process to end when neither the pod nor the image says otherwise.
const SIGTERM: i32 = 15;

/// A running container.
pub(super) struct Container {
    pub(super) child: Child,
    pub(super) streams: Vec<Stream>,
    pub(super) process: Process,
    pub(super) group: Group,
    pub(super) stop_signal: i32,
    /// Whether its end ends all its processes (own process namespace).
    ends_whole: bool,
    log: Log,
    attempt: u32,
    id: String,
    started_at: SystemTime,
    /// Kept open so that reading from standard input waits instead of ending.
    pub(super) stdin: Option<OwnedFd>,
    /// Standard input ends with the first who attached.
    pub(super) stdin_once: bool,
    pub(super) tty: bool,
}

/// The standard streams of a new process: their far ends, and what the supervisor keeps.
struct Streams {
    far: [OwnedFd; 3],
    near: Vec<Stream>,
    stdin: Option<OwnedFd>,
}

impl Container {
    pub(super) fn pump(&mut self, buffer: &mut Vec<u8>) {
        let log = &mut self.log;
        self.streams.retain_mut(|stream| stream.pump(log, buffer));
    }

    pub(super) fn kill(&self) {
        self.child.kill();
        if !self.ends_whole {
            self.group.kill();
        }
    }

    /// Waits until it has ended, without taking note of how.
    pub(super) fn wait(&self) {
        let mut fds = [rustix::event::PollFd::new(&self.child.pidfd, rustix::event::PollFlags::IN)];
        while rustix::event::poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
    }

    fn record(&self, name: &str, state: ContainerState) -> ContainerRecord {
        ContainerRecord { name: name.to_owned(), attempt: self.attempt, id: self.id.clone(), state }
    }
}

impl Supervisor {
    /// Starts a container and records it.
    pub(super) fn start(
        &mut self,
        spec: ContainerSpec,
        layers: Vec<PathBuf>,
    ) -> Result<ContainerRecord, Fault> {
        if self.containers.contains_key(&spec.name) {
            return Err(Fault::Exists(spec.name));
        }
        let other = |step: &'static str| move |e: io::Error| Fault::Other(format!("{step}: {e}"));
        let log = Log::open(&spec.log_path).map_err(other("opening the log"))?;
        let group = self.group.child(&format!("{}-{}", spec.name, spec.attempt));
        group.create().map_err(other("control group"))?;
        let started = group.limit(&spec.limits).map_err(StartError::limits).and_then(|()| {
            let bundle = self.bundle(&spec, layers, &group)?;
            let embryo = Embryo::conceive(bundle, &self.isolation, &group)?;
            self.deliver(&spec, embryo)
        });
        let (running, process, streams) = match started {
            Ok(started) => started,
            Err(error) => {
                let _ = group.remove();
                return Err(error.into());
            }
        };
        let mut container = Container {
            child: running.child,
            streams: streams.near,
            process,
            group,
            stop_signal: spec.stop_signal.unwrap_or(SIGTERM),
            ends_whole: self.isolation.process,
            log,
            attempt: spec.attempt,
            id: format!("{}/{}/{}", self.file.spec.id, spec.name, spec.attempt),
            started_at: SystemTime::now(),
            stdin: streams.stdin,
            stdin_once: spec.stdin_once,
            tty: spec.tty,
        };
        if let Some(terminal) = running.terminal {
            container.streams = vec![reader("stdout", terminal).map_err(other("terminal"))?];
        }
        let pid = container.child.pid;
        let record =
            container.record(&spec.name, ContainerState::Running { pid, started_at: container.started_at });
        self.containers.insert(spec.name, container);
        self.record(&record);
        Ok(record)
    }

    fn bundle(
        &self,
        spec: &ContainerSpec,
        layers: Vec<PathBuf>,
        group: &Group,
    ) -> Result<Bundle, StartError> {
        let root = match &spec.root {
            Root::Image(_) | Root::Layers(_) => {
                let private = Some(self.dir.layer(&spec.name, spec.attempt));
                RootFs::Layers { lower: layers, private }
            }
            Root::Dir(dir) => RootFs::Dir(dir.clone()),
            Root::Host { .. } => RootFs::Host,
        };
        Ok(Bundle {
            root,
            mountpoint: self.dir.mountpoint(),
            privileged: spec.privileged,
            unmasked_proc: spec.unmasked_proc,
            sys: Some(group.directories()),
            shm: Some(Tree::of(&self.dir.shm()).map_err(StartError::limits)?),
        })
    }

    fn deliver(
        &self,
        spec: &ContainerSpec,
        embryo: Embryo,
    ) -> Result<(container::launch::Running, Process, Streams), StartError> {
        let process = process(spec)?;
        let streams = streams(spec).map_err(StartError::limits)?;
        let order = Order {
            files: Vec::new(),
            mounts: self.etc_mounts(spec).chain(spec.mounts.iter().cloned()).collect(),
            read_only_root: spec.read_only_root,
            join_network: false,
            join_user: false,
            hold: false,
            process,
        };
        let [input, output, error] = &streams.far;
        let stdio = [input.as_fd(), output.as_fd(), error.as_fd()];
        let running = embryo.order(
            &order,
            &OrderFds { stdio, handed: Vec::new(), network: None, user: None },
            || Ok(()),
        )?;
        Ok((running, order.process, streams))
    }

    /// The pod's own files in `/etc`, unless the container mounts something of its own there.
    fn etc_mounts(&self, spec: &ContainerSpec) -> impl Iterator<Item = Mount> {
        let names = ["hosts", "resolv.conf", "hostname"].into_iter().map(|name| (self.dir.etc(name), name));
        let mounts = names
            .filter(|(source, _)| source.exists())
            .map(move |(source, name)| Mount::bind(source, format!("/etc/{name}"), spec.read_only_root));
        let taken: Vec<PathBuf> = spec.mounts.iter().map(|mount| mount.target.clone()).collect();
        mounts.filter(move |mount| !taken.contains(&mount.target))
    }

    /// Takes note of a container's end: logs what is left, records, tells.
    pub(super) fn container_ended(&mut self, name: &str) {
        let Some(container) = self.containers.get(name) else { return };
        let Ok(Some(ended)) = container.child.reap() else { return };
        let Some(mut container) = self.containers.remove(name) else { return };
        if !container.ends_whole {
            container.group.kill();
        }
        container.pump(&mut self.buffer);
        for stream in &mut container.streams {
            stream.finish(&mut container.log);
        }
        let oom = container.group.oom_kills() > 0;
        if let Err(error) = container.group.remove() {
            eprintln!("control group of container {}: {error}", container.id);
        }
        let Ended { code, signal } = ended;
        let (started_at, finished_at) = (container.started_at, SystemTime::now());
        let state = ContainerState::Exited { code, signal, oom, lost: false, started_at, finished_at };
        let record = container.record(name, state);
        self.record(&record);
        self.tell(&Message::Record(record), &[]);
    }
}

fn process(spec: &ContainerSpec) -> Result<Process, StartError> {
    let capabilities = if spec.privileged { Set::ALL } else { Set::from_spec(&spec.capabilities)? };
    if spec.argv.is_empty() {
        let message = "no command specified".to_owned();
        return Err(StartError { kind: StartErrorKind::Invalid, message });
    }
    let mut env = spec.env.clone();
    if spec.tty && !env.iter().any(|(key, _)| key == "TERM") {
        env.push(("TERM".into(), "xterm".into()));
    }
    Ok(Process {
        handed: 0,
        argv: spec.argv.clone(),
        env,
        cwd: spec.cwd.clone().unwrap_or_else(|| "/".into()),
        user: spec.user.clone(),
        capabilities,
        no_new_privileges: spec.no_new_privileges,
        seccomp: if spec.privileged { Seccomp::Unconfined } else { spec.seccomp },
        rlimits: spec.rlimits.clone(),
        // Not the supervisor's own, which children would inherit.
        oom_score_adj: Some(spec.oom_score_adj.unwrap_or(0)),
        batch: false,
        tty: spec.tty,
    })
}

fn streams(spec: &ContainerSpec) -> io::Result<Streams> {
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    if spec.tty {
        // A terminal takes their place.
        return Ok(Streams { far: [null()?, null()?, null()?], near: Vec::new(), stdin: None });
    }
    let (input, stdin) =
        if spec.stdin { pipe().map(|(read, write)| (read, Some(write)))? } else { (null()?, None) };
    let (output, error) = (pipe()?, pipe()?);
    let near = vec![reader("stdout", output.0)?, reader("stderr", error.0)?];
    Ok(Streams { far: [input, output.1, error.1], near, stdin })
}

fn reader(name: &'static str, fd: OwnedFd) -> io::Result<Stream> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(Stream::new(name, fd))
}

/// Reading and writing end.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}
