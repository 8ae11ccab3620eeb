//! Ready-made networks: leased in microseconds, refilled and torn down by one thread when nobody waits for it. That
//! thread sleeps on a condition while the pools are full. Called by `Network`.

mod maker;
mod name;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::namespace::Pins;
use crate::slot::Slot;
use crate::{Error, Lease};

use maker::Maker;
pub(crate) use name::Kind;
use name::{Name, Numbers};

/// How long after a lease the refill waits: starting the pod comes first, both want the same lock in the kernel.
const REFILL_QUIET: Duration = Duration::from_millis(20);
/// How long after the last lease or release used networks are torn down: that holds the kernel's lock for 10 ms.
const TEAR_DOWN_QUIET: Duration = Duration::from_secs(1);
/// With this many used networks waiting they are torn down without more ado.
const TEAR_DOWN_MAX: usize = 64;

/// Leases that wait for a network to be made, of one kind: more than a machine starts at once is a runaway caller.
const WAITING_MAX: usize = 4096;

/// The pools of one instance.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    slot: Slot,
    pins: Pins,
    marks: PathBuf,
    size: usize,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    numbers: Numbers,
    ready: [VecDeque<Name>; 3],
    waiting: [VecDeque<Waiter>; 3],
    leased: HashSet<Name>,
    /// Of networks, each kept from its making until somebody takes them. They keep the network alive.
    sockets: HashMap<Name, Vec<OwnedFd>>,
    /// Pods' networks of an earlier process, not adopted yet.
    orphans: HashSet<Name>,
    used: Vec<Name>,
    last_lease: Instant,
    last_use: Instant,
    /// A refill failed; the next lease tries again.
    refill_failed: bool,
    closing: bool,
}

type Waiter = oneshot::Sender<Result<Handed, Error>>;

/// A network on its way to whoever waits for it. If that one has gone meanwhile, it is ready for the next.
struct Handed {
    name: Name,
    shared: Arc<Shared>,
    taken: bool,
}

impl Drop for Handed {
    fn drop(&mut self) {
        if !self.taken {
            self.shared.return_unused(self.name);
        }
    }
}

/// What the thread does next.
enum Job {
    Serve(Kind, Waiter),
    Refill(Kind),
    TearDown(Vec<Name>),
    Wait(Option<Duration>),
    Stop,
}

impl Pool {
    /// Takes over the pins an earlier process of this owner left, and starts the thread.
    /// `links` are the names of the host's links.
    pub(crate) fn open(
        slot: Slot,
        pins: Pins,
        marks: PathBuf,
        size: usize,
        links: &[String],
    ) -> io::Result<Pool> {
        std::fs::create_dir_all(&marks)?;
        let state = recover(&slot, &pins, &marks, links)?;
        let shared = Shared { slot, pins, marks, size, state: Mutex::new(state), wake: Condvar::new() };
        let shared = Arc::new(shared);
        let worker = Arc::clone(&shared);
        let maker = Maker::new(slot, shared.pins.clone())?;
        let thread =
            std::thread::Builder::new().name("net-pool".to_owned()).spawn(move || worker.run(maker))?;
        Ok(Pool { shared, thread: Mutex::new(Some(thread)) })
    }

    /// A network of that kind: a ready one, or the next one made.
    pub(crate) async fn lease(&self, kind: Kind) -> Result<Lease, Error> {
        let waiting = {
            let mut state = self.shared.lock();
            if state.closing {
                return Err(Error::Closed);
            }
            state.last_lease = Instant::now();
            state.last_use = state.last_lease;
            state.refill_failed = false;
            self.shared.wake.notify_one();
            match state.ready[kind as usize].pop_front() {
                Some(name) => {
                    state.leased.insert(name);
                    Ok(name)
                }
                None if state.waiting[kind as usize].len() >= WAITING_MAX => {
                    return Err(Error::Exhausted("place in the queue for a network"));
                }
                None => {
                    let (sender, receiver) = oneshot::channel();
                    state.waiting[kind as usize].push_back(sender);
                    Err(receiver)
                }
            }
        };
        let name = match waiting {
            Ok(name) => name,
            Err(made) => {
                let mut handed = made.await.map_err(|_| Error::Closed)??;
                handed.taken = true;
                handed.name
            }
        };
        // The mark tells a later process that this pin is in use.
        if let Err(error) = File::create(self.shared.mark(name)) {
            self.give_back(name);
            return Err(Error::kernel("mark a network namespace as in use")(error));
        }
        Ok(self.shared.lease(name))
    }

    pub(crate) fn take_sockets(&self, lease: &Lease) -> Vec<OwnedFd> {
        let Ok(name) = lease.name.parse::<Name>() else { return Vec::new() };
        self.shared.lock().sockets.remove(&name).unwrap_or_default()
    }

    /// The lease of a network that an earlier process handed out.
    pub(crate) fn adopt(&self, name: &str) -> Result<Lease, Error> {
        let unknown = || Error::Unknown(name.to_owned());
        let name: Name = name.parse().map_err(|()| unknown())?;
        let mut state = self.shared.lock();
        if !state.orphans.remove(&name) {
            return Err(unknown());
        }
        state.leased.insert(name);
        Ok(self.shared.lease(name))
    }

    /// Tears down what nobody adopted.
    pub(crate) fn sweep(&self) {
        let mut state = self.shared.lock();
        for name in std::mem::take(&mut state.orphans) {
            let _ = std::fs::remove_file(self.shared.mark(name));
            state.used.push(name);
        }
        self.shared.wake.notify_one();
    }

    /// Takes a lease back. A second release of the same lease does nothing.
    pub(crate) fn release(&self, lease: &Lease) {
        if let Ok(name) = lease.name.parse::<Name>() {
            self.give_back(name);
        }
    }

    fn give_back(&self, name: Name) {
        let mut state = self.shared.lock();
        if !state.leased.remove(&name) {
            return;
        }
        let _ = std::fs::remove_file(self.shared.mark(name));
        state.sockets.remove(&name);
        state.last_use = Instant::now();
        // A loopback-only namespace whose processes had no privileges is as good as new: their sockets died with them.
        let ready = &mut state.ready[name.kind as usize];
        if name.kind == Kind::Isolated && ready.len() < 2 * self.shared.size {
            ready.push_back(name);
        } else {
            state.used.push(name);
        }
        self.shared.wake.notify_one();
    }

    /// Stops the thread; waiting leases fail. Blocking for as long as one network takes to make.
    pub(crate) fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between statements; a panic elsewhere does not make it less so.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, name: Name) -> PathBuf {
        self.marks.join(name.to_string())
    }

    fn lease(&self, name: Name) -> Lease {
        let address = (name.kind != Kind::Isolated).then(|| self.slot.pod_address(name.number));
        let text = name.to_string();
        Lease { netns: self.pins.path(&text), name: text, address }
    }

    fn return_unused(&self, name: Name) {
        let mut state = self.lock();
        state.leased.remove(&name);
        state.ready[name.kind as usize].push_back(name);
    }

    fn run(self: &Arc<Self>, mut maker: Maker) {
        loop {
            let mut state = self.lock();
            match state.next_job(self.size) {
                Job::Stop => return,
                Job::Wait(None) => drop(self.wake.wait(state)),
                Job::Wait(Some(time)) => drop(self.wake.wait_timeout(state, time)),
                Job::Serve(kind, waiter) => {
                    let made = self.make(state, &mut maker, kind);
                    let made = made.map(|name| Handed { name, shared: Arc::clone(self), taken: false });
                    drop(waiter.send(made));
                }
                Job::Refill(kind) => match self.make(state, &mut maker, kind) {
                    Ok(name) => self.return_unused(name),
                    Err(error) => {
                        tracing::warn!(%error, "could not refill the pool of networks");
                        self.lock().refill_failed = true;
                    }
                },
                Job::TearDown(names) => {
                    drop(state);
                    names.iter().for_each(|name| maker.unmake(*name));
                    let mut state = self.lock();
                    names.into_iter().for_each(|name| state.numbers.give_back(name));
                }
            }
        }
    }

    /// Makes one network, counted as leased, without holding the lock meanwhile.
    fn make(&self, mut state: MutexGuard<'_, State>, maker: &mut Maker, kind: Kind) -> Result<Name, Error> {
        let name = state.numbers.take(kind).ok_or(Error::Exhausted("pod address"))?;
        drop(state);
        let made = maker.make(name);
        let mut state = self.lock();
        match made {
            Ok(sockets) => {
                state.sockets.insert(name, sockets);
                state.leased.insert(name);
                Ok(name)
            }
            Err(error) => {
                state.numbers.give_back(name);
                Err(error)
            }
        }
    }
}

impl State {
    fn next_job(&mut self, size: usize) -> Job {
        if self.closing {
            return Job::Stop;
        }
        for kind in Kind::ALL {
            if let Some(waiter) = self.waiting[kind as usize].pop_front() {
                return Job::Serve(kind, waiter);
            }
        }
        let short = Kind::ALL.into_iter().filter(|kind| self.ready[*kind as usize].len() < size);
        let shortest = short.min_by_key(|kind| self.ready[*kind as usize].len());
        if let Some(kind) = shortest.filter(|_| !self.refill_failed) {
            let quiet = self.last_lease.elapsed();
            if quiet >= REFILL_QUIET || self.ready[kind as usize].is_empty() {
                return Job::Refill(kind);
            }
            return Job::Wait(Some(REFILL_QUIET - quiet));
        }
        if self.used.is_empty() {
            return Job::Wait(None);
        }
        let quiet = self.last_use.elapsed();
        if quiet >= TEAR_DOWN_QUIET || self.used.len() >= TEAR_DOWN_MAX {
            return Job::TearDown(std::mem::take(&mut self.used));
        }
        Job::Wait(Some(TEAR_DOWN_QUIET - quiet))
    }
}

/// Sorts the pins an earlier process left: what was ready is ready again if its link is still there, what a pod had is
/// an orphan, what a function had is to be torn down, for functions do not outlive the process.
fn recover(slot: &Slot, pins: &Pins, marks: &std::path::Path, links: &[String]) -> io::Result<State> {
    let mut state = State {
        numbers: Numbers::after(HashSet::new()),
        ready: Default::default(),
        waiting: Default::default(),
        leased: HashSet::new(),
        sockets: HashMap::new(),
        orphans: HashSet::new(),
        used: Vec::new(),
        last_lease: Instant::now(),
        last_use: Instant::now(),
        refill_failed: false,
        closing: false,
    };
    let mut names = HashSet::new();
    for name in pins.files()?.iter().filter_map(|text| text.parse::<Name>().ok()) {
        names.insert(name);
        let marked = marks.join(name.to_string()).exists();
        let linked = name.kind == Kind::Isolated || links.contains(&maker::link_name(slot, name));
        match (marked, name.kind) {
            (true, Kind::Pod) => drop(state.orphans.insert(name)),
            (false, kind) if linked => state.ready[kind as usize].push_back(name),
            _ => state.used.push(name),
        }
    }
    for entry in std::fs::read_dir(marks)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().parse::<Name>().ok();
        if name.is_none_or(|name| !state.orphans.contains(&name)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    state.numbers = Numbers::after(names);
    Ok(state)
}
