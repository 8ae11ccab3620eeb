//! The spawner of function instances: forks them, watches them, cleans up behind them. When dory goes, it kills them
//! all, cleans up and goes too; when it dies itself, the kernel kills them.
use super::stock::{Prepared, Stock};
use program::Program;
mod program;

use super::{SEND_WAIT, parent_connection, say};
use crate::Exit;
use crate::wire::{Answer, Envelope, Fault, InstanceOrder, Message, Request};
use container::bundle::RootFs;
use container::cgroup::{Group, Hierarchy};
use container::fork::Child;
use container::frame;
use container::graft;
use container::launch::OrderFds;
use container::mount::Mount;
use container::process::{StartError, StartErrorKind};
use container::seccomp::Filter;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The stock is refilled this long after a start, so as not to compete with the instance for the CPU; but soon, because
/// cold starts that follow each other would otherwise empty it, and each would then wait for its own preparation.
const REFILL_AFTER: Duration = Duration::from_millis(3);

/// As long as so many are left, the next start will find one, and the one under way keeps the machine to itself: until
/// an interpreter has started.
const LEFT: usize = 2;
const REFILL_LATER: Duration = Duration::from_millis(25);

/// The stock shrinks to [`STOCK_IDLE`] when nothing has been started for this long.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// Prepared instances (some 300 KB each) kept while nothing happens: one, so that the first start after a quiet night
/// is fast too.
const STOCK_IDLE: usize = 1;

/// A prepared instance that somebody killed is replaced by another, as long as nothing of the function has run; three that
/// are killed at once are no accident.
const TRIES: u32 = 3;

/// What dory tells the spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpawnerFile {
    /// The control group of all instances below the roots.
    pub(crate) group: String,
    /// Prepared instances while starts come in.
    pub(crate) parked: usize,
    /// First of the ids that instances use.
    pub(crate) ids_base: u32,
}

pub(super) fn run(dir: &Path) -> i32 {
    let Ok(client) = parent_connection() else { return 1 };
    match Spawner::set_up(dir) {
        Ok(mut spawner) => {
            say(&client, &Message::Ready(Vec::new()), &[]);
            spawner.serve(&client);
            spawner.end();
            0
        }
        Err(error) => {
            say(&client, &Message::Failed(error.to_string()), &[]);
            1
        }
    }
}

struct Instance {
    child: Child,
    group: Group,
    slot: u32,
    /// Of one that is held: what programs join.
    users: Option<OwnedFd>,
    programs: Vec<Program>,
}

/// The descriptors that come with an instance's order.
struct Near {
    output: OwnedFd,
    network: OwnedFd,
    /// What its process gets beside its three streams.
    handed: Vec<OwnedFd>,
    input: Option<OwnedFd>,
}

/// Something that has ended.
enum Ended {
    Instance(String),
    /// Of this instance, by its number among the programs.
    Program(String, u64),
}

struct Spawner {
    group: Group,
    stock: Stock,
    parked: usize,
    null: OwnedFd,
    instances: BTreeMap<String, Instance>,
    last_start: Option<Instant>,
}

impl Spawner {
    fn set_up(dir: &Path) -> io::Result<Spawner> {
        let _ = rustix::process::setsid();
        let _ = rustix::process::chdir("/");
        let _ = rustix::thread::set_name(c"dory-spawner");
        let file: SpawnerFile = serde_json::from_slice(&std::fs::read(dir.join("instances.json"))?)?;
        let mountpoint: PathBuf = dir.join("rootfs");
        std::fs::create_dir_all(&mountpoint)?;
        Filter::compile_ahead();
        let group = Arc::new(Hierarchy::detect()?).group(&file.group);
        group.create_parent()?;
        let mut stock = Stock::new(group.clone(), mountpoint, file.ids_base);
        stock.aim(file.parked.min(STOCK_IDLE));
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into();
        let parked = file.parked;
        Ok(Spawner { group, stock, parked, null, instances: BTreeMap::new(), last_start: None })
    }

    /// Serves until dory hangs up.
    fn serve(&mut self, client: &UnixStream) {
        let _ = client.set_read_timeout(Some(SEND_WAIT));
        loop {
            let Ok((heard, ended)) = self.sleep(client) else { return };
            for one in ended {
                match one {
                    Ended::Instance(id) => self.instance_ended(&id, client),
                    Ended::Program(id, run) => self.program_ended(&id, run, client),
                }
            }
            if heard && !self.listen(client) {
                return;
            }
            if !heard {
                self.tend_stock();
            }
        }
    }

    /// Whether dory said something, and what has ended.
    fn sleep(&self, client: &UnixStream) -> io::Result<(bool, Vec<Ended>)> {
        let mut fds = vec![PollFd::new(client, PollFlags::IN)];
        fds.extend(self.instances.values().map(|instance| PollFd::new(&instance.child.pidfd, PollFlags::IN)));
        let programs = self.programs();
        fds.extend(programs.iter().map(|(_, program)| PollFd::new(&program.child.pidfd, PollFlags::IN)));
        let timeout = self
            .next_tending()
            .map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) });
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok((false, Vec::new())),
            other => other?,
        };
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (instances, others) = ready[1..].split_at(self.instances.len());
        let programs = programs.iter().zip(others).filter(|(_, ready)| **ready);
        // Programs first: the first process of an instance is gone only when all that it held is collected.
        let programs = programs.map(|((id, program), _)| Ended::Program((*id).to_owned(), program.run));
        let instances = self.instances.keys().zip(instances).filter(|(_, ready)| **ready);
        let instances = instances.map(|(id, _)| Ended::Instance(id.clone()));
        Ok((ready[0], programs.chain(instances).collect()))
    }

    /// When the stock wants attention; `None` = not before something happens.
    fn next_tending(&self) -> Option<Duration> {
        let quiet = self.last_start.map(|at| at.elapsed());
        if !self.stock.is_settled() {
            return Some(quiet.map_or(Duration::ZERO, |quiet| self.refill_after().saturating_sub(quiet)));
        }
        quiet.map(|quiet| IDLE_AFTER.saturating_sub(quiet))
    }

    fn tend_stock(&mut self) {
        let quiet = self.last_start.map(|at| at.elapsed());
        if quiet.is_some_and(|quiet| quiet >= IDLE_AFTER) {
            self.last_start = None;
            self.stock.aim(self.parked.min(STOCK_IDLE));
            self.stock.forget_images();
        }
        if quiet.is_none_or(|quiet| quiet >= self.refill_after()) && !self.stock.is_settled() {
            self.stock.settle();
        }
    }

    fn refill_after(&self) -> Duration {
        if self.stock.has(LEFT) { REFILL_LATER } else { REFILL_AFTER }
    }

    /// Handles one request. False when dory has hung up or wants the end.
    fn listen(&mut self, client: &UnixStream) -> bool {
        let Ok(Some((body, fds))) = frame::receive(client) else { return false };
        let Ok(Envelope { id, request }) = serde_json::from_slice(&body) else { return false };
        let (result, on) = match request {
            Request::StartInstance(order) => (self.start(*order, fds), true),
            Request::MountInstance { id, mounts } => (self.mount(&id, &mounts), true),
            Request::KillInstance { id } => {
                if let Some(instance) = self.instances.get(&id) {
                    instance.group.kill();
                    instance.child.kill();
                }
                (Ok(Answer::Done), true)
            }
            Request::SignalInstance { id, signal } => (self.signal_instance(&id, signal), true),
            Request::RunInInstance { id: instance, process } => {
                (self.run_program(id, &instance, *process, fds), true)
            }
            Request::SignalProgram { run, signal } => (self.signal_program(run, signal), true),
            Request::End => {
                self.end();
                (Ok(Answer::Done), false)
            }
            _ => (Err(Fault::Other("the spawner holds no pod".into())), true),
        };
        say(client, &Message::Reply { id, result, fds: 0 }, &[]) && on
    }

    fn start(&mut self, order: InstanceOrder, fds: Vec<OwnedFd>) -> Result<Answer, Fault> {
        let mut fds = fds.into_iter();
        let (Some(output), Some(network)) = (fds.next(), fds.next()) else {
            return Err(Fault::Other("an instance needs an output and a network".into()));
        };
        let handed = fds.by_ref().take(order.order.process.handed).collect();
        let near = Near { output, network, handed, input: fds.next() };
        if self.instances.contains_key(&order.id) {
            return Err(Fault::Exists(order.id));
        }
        let mut tries = 1;
        let instance = loop {
            match self.try_start(&order, &near) {
                Err(error) if error.kind == StartErrorKind::Lost && tries < TRIES => tries += 1,
                outcome => break outcome?,
            }
        };
        let path = instance.group.path().to_string_lossy().into_owned();
        let answer = Answer::Instance { pid: instance.child.pid, group: path };
        self.instances.insert(order.id, instance);
        Ok(answer)
    }

    fn try_start(&mut self, order: &InstanceOrder, near: &Near) -> Result<Instance, StartError> {
        let prepared = match (&order.layers, &order.dir) {
            (Some(lower), _) => self.stock.take_image(lower.clone(), self.parked > 0)?,
            (None, Some(dir)) => self.stock.make(RootFs::Dir(dir.clone()))?,
            (None, None) => self.stock.take()?,
        };
        let Prepared { embryo, group, users, slot } = prepared;
        let output = near.output.as_fd();
        let fds = OrderFds {
            stdio: [near.input.as_ref().unwrap_or(&self.null).as_fd(), output, output],
            handed: near.handed.iter().map(AsFd::as_fd).collect(),
            network: Some(near.network.as_fd()),
            user: Some(users.as_fd()),
        };
        let limit = || group.limit(&order.limits).map_err(StartError::limits);
        let started = embryo.order(&order.order, &fds, limit);
        self.last_start = Some(Instant::now());
        self.stock.aim(self.parked);
        match started {
            Ok(running) => {
                let users = order.order.hold.then_some(users);
                Ok(Instance { child: running.child, group, slot, users, programs: Vec::new() })
            }
            Err(error) => {
                let _ = group.remove();
                self.stock.free(slot);
                Err(error)
            }
        }
    }

    fn mount(&self, id: &str, mounts: &[Mount]) -> Result<Answer, Fault> {
        let instance = self.instances.get(id).ok_or_else(|| Fault::NotRunning(id.to_owned()))?;
        graft::graft(instance.child.pidfd.as_fd(), mounts)?;
        Ok(Answer::Done)
    }

    fn instance_ended(&mut self, id: &str, client: &UnixStream) {
        let Some(instance) = self.instances.get(id) else { return };
        for run in instance.programs.iter().map(|program| program.run).collect::<Vec<_>>() {
            self.program_ended(id, run, client);
        }
        let Some(instance) = self.instances.get(id) else { return };
        let Ok(Some(ended)) = instance.child.reap() else { return };
        let Some(Instance { group, slot, .. }) = self.instances.remove(id) else { return };
        let exit = Exit { code: ended.code, signal: ended.signal, oom: group.oom_kills() > 0 };
        let memory_peak_bytes = group.memory_peak().read();
        say(client, &Message::InstanceEnded { id: id.to_owned(), exit, memory_peak_bytes }, &[]);
        if let Err(error) = group.remove() {
            eprintln!("control group of instance {id}: {error}");
        }
        self.stock.free(slot);
    }

    /// Kills everything and removes its traces.
    fn end(&mut self) {
        for instance in self.instances.values() {
            instance.group.kill();
            instance.child.kill();
        }
        for instance in std::mem::take(&mut self.instances).into_values() {
            for program in instance.programs {
                program.child.kill();
                let _ = program.child.wait_blocking();
            }
            let _ = instance.child.wait_blocking();
        }
        self.stock.clear();
        let _ = self.group.remove();
    }
}
