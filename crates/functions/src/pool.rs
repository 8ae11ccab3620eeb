//! The instances of one revision of one function. Owns who waits, who is idle and how many starts are under way; an
//! invocation takes an idle instance, or waits for whichever is ready first: one that finishes, or a new one.

mod prepare;
mod provision;
mod start;

pub(crate) use provision::Provisioned;

use crate::concurrency::Usage;
use crate::definition::Definition;
use crate::machine::Machine;
use crate::pace::Growth;
use crate::trace::lineage;
use bytes::Bytes;
use instance::{InitFailure, Instance, Owner, Stage};
use meter::Invoked;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// An instance that has answered asks for its next event within a fraction of a millisecond. Whoever calls in between
/// waits for it, as long as starting another one would take, but within these bounds.
const GRACE_MIN: Duration = Duration::from_millis(5);
const GRACE_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Pool {
    machine: Arc<Machine>,
    pub(crate) definition: Arc<Definition>,
    /// Of the function, without a version.
    arn: Arc<str>,
    /// What chains of calls remember the function by.
    pub(crate) lineage: Box<str>,
    /// What calls without a qualifier are counted under, once there was one.
    pub(crate) invoked: OnceLock<Arc<Invoked>>,
    state: Mutex<State>,
    /// How much of what is provisioned is in use.
    pub(crate) provisioned_usage: Arc<Usage>,
    /// How many instances to keep ready.
    wanted: AtomicU32,
    /// How fast the function may grow.
    growth: Arc<Growth>,
}

#[derive(Default)]
struct State {
    /// The one used last is used next, so that the others can go when there are too many.
    idle: Vec<Arc<Instance>>,
    waiting: VecDeque<oneshot::Sender<Result<Lease, Unstarted>>>,
    starting: usize,
    finishing: HashSet<String>,
    live: HashMap<String, Arc<Instance>>,
    /// How long the newest instance took to start.
    last_start: Duration,
    /// The stages of the last cold start that was followed by an answer.
    cold_start: Vec<Stage>,
    /// Those that are kept ready, and starts of such under way.
    kept: HashSet<String>,
    keeping: usize,
    /// Why one could not be started, the last time it was tried.
    failure: Option<String>,
    /// No such start is tried now, because one has just failed.
    paused: bool,
    /// A newer revision has taken over: serve who waits, then end.
    closed: bool,
}

/// Why an invocation got no instance.
#[derive(Debug, Clone)]
pub(crate) enum Unstarted {
    /// It could not be started.
    Failed {
        /// Why.
        failure: InitFailure,
        /// The end of what was logged meanwhile.
        log_tail: Bytes,
    },
    /// The function grows as fast as it may; there is room for one more after this time.
    Throttled(Duration),
}

impl From<InitFailure> for Unstarted {
    fn from(failure: InitFailure) -> Unstarted {
        Unstarted::Failed { failure, log_tail: Bytes::new() }
    }
}

/// An instance taken out of its pool. It goes back when nobody dispatches to it.
pub(crate) struct Lease {
    instance: Option<Arc<Instance>>,
    pool: Arc<Pool>,
}

impl Lease {
    /// Takes the instance for an invocation; from then on it comes back by asking for its next event.
    pub(crate) fn instance(mut self) -> Option<Arc<Instance>> {
        self.instance.take()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.pool.clone().offer(instance, false);
        }
    }
}

impl Pool {
    pub(crate) fn new(machine: Arc<Machine>, definition: Arc<Definition>, growth: Arc<Growth>) -> Arc<Pool> {
        let arn = machine.function_arn(&definition.name);
        Arc::new(Pool {
            machine,
            definition,
            lineage: lineage(&arn),
            arn: arn.into(),
            invoked: OnceLock::new(),
            state: Mutex::default(),
            provisioned_usage: Arc::default(),
            wanted: AtomicU32::new(0),
            growth,
        })
    }

    /// The function's ARN, with the qualifier of a call.
    pub(crate) fn invoked_arn(&self, qualifier: Option<&str>) -> Arc<str> {
        qualifier.map_or_else(|| self.arn.clone(), |qualifier| format!("{}:{qualifier}", self.arn).into())
    }

    /// An instance that waits for an event.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Lease, Unstarted> {
        let (mut handed, grace) = {
            let mut state = self.lock();
            if let Some(instance) = state.idle_instance() {
                return Ok(Lease { instance: Some(instance), pool: self.clone() });
            }
            let (hand, handed) = oneshot::channel();
            state.waiting.push_back(hand);
            let enough = state.waiting.len() <= state.finishing.len() + state.starting;
            (handed, enough.then(|| state.last_start.clamp(GRACE_MIN, GRACE_MAX)))
        };
        if let Some(grace) = grace
            && let Ok(result) = tokio::time::timeout(grace, &mut handed).await
        {
            return received(result);
        }
        self.start_if_needed();
        received(handed.await)
    }

    /// The stages of the last cold start.
    pub(crate) fn cold_start(&self) -> Vec<Stage> {
        self.lock().cold_start.clone()
    }

    /// Ends the pool: idle instances stop now, the others after what they are doing.
    pub(crate) fn close(&self) {
        let idle = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.idle)
        };
        for instance in idle {
            instance.stop();
        }
    }

    /// Ends every instance, in work or not.
    pub(crate) fn kill(&self) {
        self.close();
        let live: Vec<Arc<Instance>> = self.lock().live.values().cloned().collect();
        for instance in live {
            instance.stop();
        }
    }

    /// Instances that exist.
    pub(crate) fn len(&self) -> usize {
        self.lock().live.len()
    }

    /// Those themselves.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        self.lock().live.values().cloned().collect()
    }

    /// Instances that wait for an event.
    pub(crate) fn idle(&self) -> usize {
        self.lock().idle.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner for Pool {
    /// An instance exists now.
    fn admit(&self, instance: &Arc<Instance>) {
        self.lock().live.insert(instance.id.clone(), instance.clone());
    }

    /// An instance has answered, and will ask for its next event soon.
    fn note_finished(&self, id: &str) {
        self.lock().finishing.insert(id.to_owned());
    }

    /// A first invocation was answered: this is how its time was spent.
    fn note_cold_start(&self, stages: Vec<Stage>) {
        self.lock().cold_start = stages;
    }

    /// An instance asks for an event: it goes to who waits longest, or becomes idle. `first` ends its start.
    fn offer(self: Arc<Self>, instance: Arc<Instance>, first: bool) {
        let mut instance = Some(instance);
        let mut unwanted = None;
        {
            let mut state = self.lock();
            if let Some(instance) = &instance {
                state.finishing.remove(&instance.id);
                if first && instance.is_kept() {
                    state.keep(instance.id.clone());
                } else if first {
                    state.starting = state.starting.saturating_sub(1);
                    state.last_start = instance.age();
                }
            }
            while let Some(waiting) = state.waiting.pop_front() {
                if !waiting.is_closed() {
                    let lease = Lease { instance: instance.take(), pool: self.clone() };
                    // Should it be lost between the check and here, the lease brings the instance back.
                    unwanted = waiting.send(Ok(lease)).err();
                    break;
                }
            }
            match instance.take() {
                Some(instance) if !state.closed => state.idle.push(instance),
                Some(instance) => {
                    drop(state);
                    instance.stop();
                }
                None => {}
            }
        }
        drop(unwanted);
    }

    /// Takes an idle instance out for good; false when it is not idle after all.
    fn withdraw(&self, id: &str) -> bool {
        let mut state = self.lock();
        let before = state.idle.len();
        state.idle.retain(|instance| instance.id != id);
        state.idle.len() < before
    }

    /// An instance has ended, whatever it was doing.
    fn gone(self: Arc<Self>, id: &str) {
        let gone = {
            let mut state = self.lock();
            state.idle.retain(|instance| instance.id != id);
            state.finishing.remove(id);
            state.kept.remove(id);
            state.live.remove(id)
        };
        if let Some(instance) = gone {
            self.lost(&instance);
        }
        // Who waited for this one needs another.
        self.start_if_needed();
    }
}

fn received(result: Result<Result<Lease, Unstarted>, oneshot::error::RecvError>) -> Result<Lease, Unstarted> {
    result.unwrap_or_else(|_| Err(InitFailure::Machine("the pool was closed".to_owned()).into()))
}
