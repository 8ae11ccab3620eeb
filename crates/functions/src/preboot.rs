//! Booted runtimes without a function: for each kind of runtime in use a few sandboxes in which the interpreter has
//! started and waits. A cold start takes one, gives it code, environment and identity, and asks for another; one that was
//! assigned never comes back. Kinds that nobody asks for any more are dropped.

use crate::machine::Machine;
use crate::runtimes::Program;
use instance::{Sandbox, Spec};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A new one boots this long after one was taken, so as not to compete with the start that took it.
const REFILL_AFTER: Duration = Duration::from_millis(20);

/// Booted ones wait at least this long, where instances of functions hardly wait at all.
const IN_USE_MIN: Duration = Duration::from_secs(10);

/// Booted ones of all kinds together: a Node waiting holds some 12 MB for itself, a Python 5 MB.
const BOOTED_MAX: usize = 8;

/// What interpreters and the C library read when they start, by how the names begin; what a function sets of these comes
/// too late for a booted one.
const READ_AT_START: [&str; 11] =
    ["GLIBC_", "LANG", "LC_", "LD_", "MALLOC_", "NODE_", "OPENSSL_", "PYTHON", "SSL_", "TZ", "UV_"];

/// Whether an environment variable must be there when the interpreter starts.
pub(crate) fn is_read_at_start(name: &str) -> bool {
    READ_AT_START.iter().any(|prefix| name.starts_with(prefix))
}

/// What cannot be changed after the start. Functions of the same kind can use each other's booted ones, because those
/// know nothing of any function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    memory_bytes: u64,
    tmp_bytes: u64,
}

impl Kind {
    /// The kind that serves this start; `None` for programs that are the function's own. Interpreters size their heaps
    /// by the memory limit when they start, so the limit is a part of it.
    pub(crate) fn of(program: &Program, spec: &Spec) -> Option<Kind> {
        let env =
            spec.env.iter().filter(|(name, _)| is_read_at_start(name) || name == "AWS_LAMBDA_RUNTIME_API");
        Some(Kind {
            argv: program.waiting.clone()?,
            env: env.cloned().collect(),
            memory_bytes: spec.memory_bytes,
            tmp_bytes: spec.tmp_bytes,
        })
    }

    fn spec(&self, like: &Spec) -> Spec {
        Spec {
            id: uuid::Uuid::new_v4().simple().to_string(),
            argv: self.argv.clone(),
            env: self.env.clone(),
            unassigned: true,
            held: false,
            layers: None,
            ..like.clone()
        }
    }
}

/// The booted ones of all kinds.
pub(crate) struct Stock {
    /// How many to keep of each kind; 0 = none at all.
    size: usize,
    /// A kind that no cold start asked for in this time is not in use.
    in_use: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shelves: HashMap<Kind, Shelf>,
    closed: bool,
}

struct Shelf {
    ready: VecDeque<Arc<dyn Sandbox>>,
    asked: Instant,
    wake: Arc<Notify>,
}

impl Stock {
    /// `keep_alive` is how long idle instances of functions are kept. Booted ones wait twice as long: also for the call
    /// that comes a little after those have ended, which is when one is needed.
    pub(crate) fn new(size: usize, keep_alive: Duration) -> Stock {
        Stock { size, in_use: (keep_alive * 2).max(IN_USE_MIN), state: Mutex::default() }
    }

    /// How many wait, over all kinds.
    pub(crate) fn len(&self) -> usize {
        self.lock().booted()
    }

    /// A booted sandbox that has become what `spec` says. Notes that the kind is in use, also when there is none.
    pub(crate) async fn assign(
        &self,
        machine: &Arc<Machine>,
        kind: Kind,
        spec: &Spec,
    ) -> Option<Arc<dyn Sandbox>> {
        if self.size == 0 {
            return None;
        }
        while let Some(sandbox) = self.take(machine, &kind, spec) {
            match sandbox.assign(spec).await {
                Ok(()) => return Some(sandbox),
                // It has ended while it waited; dropped, it is cleaned up.
                Err(error) => tracing::debug!(%error, "a booted runtime could not be assigned"),
            }
        }
        None
    }

    /// The one that has waited longest. The first call for a kind starts the task that minds its shelf.
    fn take(&self, machine: &Arc<Machine>, kind: &Kind, spec: &Spec) -> Option<Arc<dyn Sandbox>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        if let Some(shelf) = state.shelves.get_mut(kind) {
            shelf.asked = Instant::now();
            shelf.wake.notify_one();
            return shelf.ready.pop_front();
        }
        let wake = Arc::new(Notify::new());
        let shelf = Shelf { ready: VecDeque::new(), asked: Instant::now(), wake: wake.clone() };
        state.shelves.insert(kind.clone(), shelf);
        tokio::spawn(mind(machine.clone(), kind.clone(), kind.spec(spec), wake));
        None
    }

    /// Ends all of them, for good.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for shelf in state.shelves.drain().map(|(_, shelf)| shelf) {
            shelf.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do for a shelf now.
    fn plan(&self, kind: &Kind) -> Plan {
        let mut state = self.lock();
        let all = state.booted();
        let Some(shelf) = state.shelves.get(kind) else { return Plan::End };
        let (asked, missing) = (shelf.asked, shelf.ready.len() < self.size);
        if asked.elapsed() >= self.in_use {
            state.shelves.remove(kind);
            return Plan::End;
        }
        if missing && asked.elapsed() < REFILL_AFTER {
            return Plan::Wait(asked + REFILL_AFTER);
        }
        if missing && (all < BOOTED_MAX || state.make_room(asked)) {
            return Plan::Boot;
        }
        Plan::Wait(asked + self.in_use)
    }

    fn put(&self, kind: &Kind, sandbox: Arc<dyn Sandbox>) {
        if let Some(shelf) = self.lock().shelves.get_mut(kind) {
            shelf.ready.push_back(sandbox);
        }
    }
}

impl State {
    fn booted(&self) -> usize {
        self.shelves.values().map(|shelf| shelf.ready.len()).sum()
    }

    /// Drops one of the kind that was asked for longest ago, if that is before `asked`.
    fn make_room(&mut self, asked: Instant) -> bool {
        let others = self.shelves.values_mut().filter(|shelf| shelf.asked < asked && !shelf.ready.is_empty());
        others.min_by_key(|shelf| shelf.asked).is_some_and(|shelf| shelf.ready.pop_back().is_some())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Boot,
    Wait(Instant),
    End,
}

/// Keeps one shelf filled until its kind is not in use any more.
async fn mind(machine: Arc<Machine>, kind: Kind, spec: Spec, wake: Arc<Notify>) {
    loop {
        let until = match machine.stock.plan(&kind) {
            Plan::End => return,
            Plan::Wait(until) => until,
            Plan::Boot => {
                // In line with all other starts: what somebody waits for has come first.
                let permit = machine.starts.acquire().await;
                let id = uuid::Uuid::new_v4().simple().to_string();
                let booted = machine.host.start(Spec { id, ..spec.clone() }).await;
                drop(permit);
                match booted {
                    Ok(sandbox) => {
                        machine.stock.put(&kind, sandbox);
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a runtime could not be booted ahead; functions start without");
                        Instant::now() + machine.stock.in_use
                    }
                }
            }
        };
        // A new call only moves the time; a refill comes a moment after it.
        drop(tokio::time::timeout_at(until.into(), wake.notified()).await);
    }
}
