//! Starting instances: as many at once as invocations wait, as fast as the machine allows; a start that fails is tried
//! once more, as Lambda does, and then fails the invocation that waits longest.

use super::{Pool, Unstarted};
use instance::{Fault, InitFailure, Stopwatch};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a runtime may take until it asks for its first event. The second try has the function's own timeout.
const INIT_LIMIT: Duration = Duration::from_secs(10);

impl Pool {
    /// Starts as many instances as there are invocations that no start is under way for. Where the function may not grow
    /// so fast, those that came last are refused, unless they can wait for an instance that is about to be free.
    pub(super) fn start_if_needed(self: &Arc<Self>) {
        let (mut starts, mut refused) = (0, Vec::new());
        {
            let mut state = self.lock();
            state.waiting.retain(|waiting| !waiting.is_closed());
            let missing = state.waiting.len().saturating_sub(state.starting);
            let mut wait = None;
            while starts < missing && wait.is_none() {
                match self.growth.start(Instant::now()) {
                    Ok(()) => starts += 1,
                    Err(longer) => wait = Some(longer),
                }
            }
            state.starting += starts;
            if let Some(wait) = wait {
                let about_to_be_free = state.finishing.len();
                for _ in about_to_be_free..missing - starts {
                    refused.extend(state.waiting.pop_back().map(|waiting| (waiting, wait)));
                }
            }
        }
        for _ in 0..starts {
            tokio::spawn(self.clone().start(Stopwatch::since(Instant::now())));
        }
        for (waiting, wait) in refused {
            // One that has gone away needs no reason.
            drop(waiting.send(Err(Unstarted::Throttled(wait))));
        }
    }

    async fn start(self: Arc<Self>, mut watch: Stopwatch) {
        let permit = self.machine.starts.acquire().await;
        watch.mark("wait in line");
        // While this start stood in line, instances that became free may have served everyone.
        if self.lock().waiting.is_empty() {
            self.lock().starting -= 1;
            self.growth.not_started();
            return self.start_if_needed();
        }
        let mut result = self.try_start(false, watch.clone(), INIT_LIMIT, "init").await;
        if result.as_ref().is_err_and(may_pass) {
            result = self.try_start(false, watch, self.definition.revision.timeout, "invoke").await;
        }
        drop(permit);
        let Err(unstarted) = result else { return };
        let waiting = {
            let mut state = self.lock();
            state.starting = state.starting.saturating_sub(1);
            state.waiting.pop_front()
        };
        if let Some(waiting) = waiting {
            // An invocation that has gone away needs no reason.
            drop(waiting.send(Err(unstarted)));
        }
        self.start_if_needed();
    }

    /// One start. On success the instance has offered itself already, and is counted as started there.
    pub(super) async fn try_start(
        self: &Arc<Self>,
        kept: bool,
        watch: Stopwatch,
        limit: Duration,
        phase: &'static str,
    ) -> Result<(), Unstarted> {
        let (instance, mut started) = self.bear(kept, phase, watch).await?;
        let result = match tokio::time::timeout(limit, &mut started).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(InitFailure::Machine("the instance was stopped while it started".to_owned())),
            Err(_) => {
                started.close();
                // Ready at the very last moment is ready.
                started.try_recv().unwrap_or(Err(InitFailure::Fault(Fault::InitTimeout(limit))))
            }
        };
        let Err(failure) = result else { return Ok(()) };
        let log_tail = instance.end_start(&failure);
        Err(Unstarted::Failed { failure, log_tail })
    }
}

/// Whether another try may go better: not when the program cannot be run at all.
fn may_pass(unstarted: &Unstarted) -> bool {
    match unstarted {
        Unstarted::Throttled(_) => false,
        Unstarted::Failed { failure, .. } => match failure {
            InitFailure::Reported { .. } => true,
            InitFailure::Fault(Fault::Extension { kind, .. }) => *kind != "Extension.LaunchError",
            InitFailure::Fault(fault) => matches!(fault, Fault::Exit(_) | Fault::InitTimeout(_)),
            InitFailure::Machine(_) => false,
        },
    }
}
