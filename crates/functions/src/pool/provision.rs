//! Instances that are started ahead and kept: as many as are wanted, replaced when one ends, let go when fewer are
//! wanted. They run events before any other instance does.

use super::{Pool, State, Unstarted};
use instance::{Fault, InitFailure, Instance, Owner, Stopwatch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long such an instance may take to start; the function's own timeout if that is longer. As on Lambda.
const INIT_LIMIT: Duration = Duration::from_secs(130);

/// How long after a start that failed, or an instance that ended as soon as it had started, the next one is tried.
const RETRY: Duration = Duration::from_secs(5);

/// What is provisioned, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provisioned {
    pub(crate) wanted: u32,
    pub(crate) ready: u32,
    /// Why the last start failed.
    pub(crate) failure: Option<String>,
}

impl State {
    /// Those that are kept first; of the others the one used last, so that the rest can go when there are too many.
    pub(super) fn idle_instance(&mut self) -> Option<Arc<Instance>> {
        if self.kept.is_empty() {
            return self.idle.pop();
        }
        match self.idle.iter().rposition(|instance| instance.is_kept()) {
            Some(at) => Some(self.idle.remove(at)),
            None => self.idle.pop(),
        }
    }

    /// One more has started.
    pub(super) fn keep(&mut self, id: String) {
        self.keeping = self.keeping.saturating_sub(1);
        self.kept.insert(id);
        self.failure = None;
    }
}

impl Pool {
    /// Keeps this many instances ready from now on.
    pub(crate) fn provision(self: &Arc<Self>, wanted: u32) {
        if self.wanted.swap(wanted, Ordering::AcqRel) == wanted {
            return;
        }
        {
            let mut state = self.lock();
            state.failure = None;
            state.paused = false;
        }
        self.keep_up();
    }

    /// How many instances are to be kept ready.
    pub(crate) fn wanted(&self) -> u32 {
        self.wanted.load(Ordering::Acquire)
    }

    /// What is provisioned, and how far it has come.
    pub(crate) fn provisioned(&self) -> Provisioned {
        let state = self.lock();
        let ready = u32::try_from(state.kept.len()).unwrap_or(u32::MAX);
        Provisioned { wanted: self.wanted(), ready: ready.min(self.wanted()), failure: state.failure.clone() }
    }

    /// Starts what is missing and lets go what is too much.
    pub(super) fn keep_up(self: &Arc<Self>) {
        let wanted = self.wanted() as usize;
        let (missing, excess) = {
            let mut state = self.lock();
            if state.closed {
                return;
            }
            let missing = match state.paused {
                true => 0,
                false => wanted.saturating_sub(state.kept.len() + state.keeping),
            };
            state.keeping += missing;
            let too_many = state.kept.len().saturating_sub(wanted);
            let ids: Vec<String> = state.kept.iter().take(too_many).cloned().collect();
            let excess: Vec<Arc<Instance>> =
                ids.iter().filter_map(|id| state.live.get(id).cloned()).collect();
            for id in &ids {
                state.kept.remove(id);
            }
            (missing, excess)
        };
        for _ in 0..missing {
            tokio::spawn(self.clone().start_kept());
        }
        for instance in excess {
            instance.release();
            // Those in work end like all others, when they have been idle for long.
            if self.withdraw(&instance.id) {
                instance.stop();
            }
        }
    }

    async fn start_kept(self: Arc<Self>) {
        let watch = Stopwatch::since(Instant::now());
        let permit = self.machine.starts.acquire().await;
        let limit = INIT_LIMIT.max(self.definition.revision.timeout);
        let result = self.try_start(true, watch, limit, "init").await;
        drop(permit);
        let Err(unstarted) = result else {
            // It may not be wanted any more.
            return self.keep_up();
        };
        {
            let mut state = self.lock();
            state.keeping = state.keeping.saturating_sub(1);
            state.failure = Some(reason(&unstarted));
        }
        self.pause();
    }

    /// Starts no more of them for a while.
    fn pause(self: &Arc<Self>) {
        self.lock().paused = true;
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(RETRY).await;
            if let Some(pool) = pool.upgrade() {
                pool.lock().paused = false;
                pool.keep_up();
            }
        });
    }

    /// One of them has ended; another takes its place, at once if it had a life.
    pub(super) fn lost(self: &Arc<Self>, instance: &Instance) {
        if instance.is_kept() && instance.age() < RETRY && !self.lock().closed {
            self.pause();
        }
        self.keep_up();
    }
}

fn reason(unstarted: &Unstarted) -> String {
    let failure = match unstarted {
        Unstarted::Throttled(_) => return "The function grows too fast".to_owned(),
        Unstarted::Failed { failure, .. } => failure,
    };
    match failure {
        InitFailure::Machine(reason) => reason.clone(),
        InitFailure::Reported { error_type, .. } => format!("The runtime could not start: {error_type}"),
        InitFailure::Fault(Fault::InitTimeout(limit)) => format!("The runtime was not ready after {limit:?}"),
        InitFailure::Fault(fault) => fault.sentence(),
    }
}
