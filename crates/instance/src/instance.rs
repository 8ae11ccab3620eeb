//! One instance: a sandbox that serves one invocation at a time. Owns the state machine between the Runtime API (below)
//! and the pool (above): starting, idle, busy, finished, gone. Every step is taken under one short lock.

mod answer;
mod beginning;
mod extended;
mod failure;
mod life;
mod memory;
mod told;
mod voice;

pub use answer::{Answer, Caller, FunctionError, Metered, Reply};
pub use beginning::{Beginning, Born, Terms};
pub use failure::{FailedStart, InitFailure, Unserved};
pub(crate) use told::Unsubscribed;
pub(crate) use voice::Voice;

use crate::extensions::{Extensions, Reason};
use crate::fault::Fault;
use crate::journal::Journal;
use crate::logging::Logging;
use crate::owner::Owner;
use crate::report::{self, Report, Status};
use crate::sandboxes::Sandbox;
use crate::stages::Stopwatch;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use memory::MemoryPeak;
use sandbox::Exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// An event on its way into an instance.
pub struct Work {
    /// The id that its lines carry.
    pub request_id: Arc<str>,
    /// The function as the caller named it, with the qualifier that was asked for.
    pub invoked_arn: Arc<str>,
    /// When it must be answered, in milliseconds since 1970.
    pub deadline_ms: i64,
    /// The event, as JSON.
    pub payload: Bytes,
    /// The `X-Amzn-Trace-Id` to pass on.
    pub trace_id: Option<String>,
    /// The decoded `X-Amz-Client-Context`.
    pub client_context: Option<String>,
}

/// Why a call of the Runtime API was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It names another invocation than the one in work.
    OtherRequest,
    /// It does not fit the state, such as `next` before the answer.
    State,
    /// The instance is being stopped.
    Stopping,
}

enum State {
    Starting(Option<oneshot::Sender<Result<(), InitFailure>>>),
    Idle {
        next: oneshot::Sender<Work>,
        since: Instant,
        frozen: bool,
    },
    Busy(Active),
    /// It has answered and not asked for the next event yet.
    Finished(Instant),
    /// It asks for its next event, and extensions do not yet.
    Settling {
        next: oneshot::Sender<Work>,
        until: extended::Settling,
        since: Instant,
    },
    Gone,
}

/// The invocation in work.
struct Active {
    request_id: Arc<str>,
    caller: Caller,
    /// Its answer broke off, and the reason is not known yet.
    broken: bool,
    started: Instant,
    /// How long the instance took to start, when this is its first invocation.
    init: Option<Duration>,
    /// Its caller wants the end of the log.
    tail: bool,
}

/// A sandbox that serves one invocation at a time.
pub struct Instance {
    /// Unique among all instances of this process.
    pub id: String,
    version: String,
    memory_mb: u32,
    /// How long an invocation may take, what the runtime does between two of them included.
    timeout: Duration,
    sandbox: Arc<dyn Sandbox>,
    memory_peak: MemoryPeak,
    /// The sandbox has no command of its own: the runtime is a program in it.
    held: bool,
    journal: Journal,
    logging: Logging,
    function: String,
    owner: Weak<dyn Owner>,
    pub(crate) extensions: Extensions,
    telemetry: Arc<Telemetry>,
    /// In which it starts: `init`, or `invoke` when a start failed before and an event waits for this one.
    phase: &'static str,
    born: Instant,
    init: Mutex<Option<Duration>>,
    /// Until the first invocation is answered.
    watch: Mutex<Option<Stopwatch>>,
    state: Mutex<State>,
    /// Wakes the task that minds the instance, when it has no timer that would.
    changed: Notify,
    unminded: AtomicBool,
    /// It is one of those that are kept ready.
    kept: AtomicBool,
    /// When its credentials are about to end, and another instance takes over.
    rotate_at: Instant,
    /// Whether its streamed answers are held back.
    stream_brake: bool,
    /// Who asks for its events, once somebody has.
    voice: OnceLock<Voice>,
}

impl Instance {
    /// Whether it is one of those that are kept ready.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// It is kept no more, and ends as all others do.
    pub fn release(&self) {
        self.kept.store(false, Ordering::Release);
        self.changed.notify_one();
    }

    /// The runtime asks for an event. The first time this also says that it is ready.
    pub(crate) async fn next(self: &Arc<Self>) -> Result<Work, Refusal> {
        self.settle_broken();
        let (mut next, work) = oneshot::channel();
        if self.extensions.any() {
            match self.next_with_extensions(next) {
                Ok(()) => return work.await.map_err(|_| Refusal::Stopping),
                Err(unused) => next = unused,
            }
        }
        let first = {
            let mut state = self.lock();
            let first = match &mut *state {
                State::Starting(ready) => {
                    let ready = ready.take();
                    self.extensions.close_registration();
                    self.initialized(ready);
                    Some(true)
                }
                State::Finished(_) if Instant::now() >= self.rotate_at => {
                    *state = State::Gone;
                    self.end();
                    return Err(Refusal::Stopping);
                }
                State::Finished(_) | State::Settling { .. } => Some(false),
                // The runtime lost its connection and asks again.
                State::Idle { .. } => None,
                State::Busy(_) => return Err(Refusal::State),
                State::Gone => return Err(Refusal::Stopping),
            };
            *state = State::Idle { next, since: Instant::now(), frozen: false };
            first
        };
        if let (Some(first), Some(owner)) = (first, self.owner.upgrade()) {
            owner.offer(self.clone(), first);
        }
        // Under load the minder has a timer running anyway, and an invocation need not wake it.
        if self.unminded.swap(false, Ordering::AcqRel) {
            self.changed.notify_one();
        }
        work.await.map_err(|_| Refusal::Stopping)
    }

    /// Hands an event in. Gives it back when the instance cannot take it after all.
    pub fn dispatch(&self, work: Work, tail: bool, caller: Caller) -> Result<(), Box<Rejected>> {
        let mut state = self.lock();
        let (next, frozen) = match std::mem::replace(&mut *state, State::Finished(Instant::now())) {
            State::Idle { next, frozen, .. } if !next.is_closed() => (next, frozen),
            State::Idle { .. } => return Err(Box::new(Rejected { work, caller })),
            other => {
                *state = other;
                return Err(Box::new(Rejected { work, caller }));
            }
        };
        if frozen {
            self.sandbox.thaw();
        }
        self.journal.begin(tail, &report::start(&self.logging, &work.request_id, &self.version));
        let init = self.init.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (started, init) = self.begin(init);
        let request_id = work.request_id.clone();
        if self.extensions.any() {
            self.extensions.invoke(&work);
            self.tell_start(&work);
        }
        *state = State::Busy(Active { request_id, caller, broken: false, started, init, tail });
        match next.send(work) {
            Ok(()) => Ok(()),
            Err(work) => match std::mem::replace(&mut *state, State::Finished(Instant::now())) {
                State::Busy(active) => Err(Box::new(Rejected { work, caller: active.caller })),
                // The lock was held all along.
                _ => Ok(()),
            },
        }
    }

    /// Whether a start before this one failed, and an event waited for this one.
    fn is_second_try(&self) -> bool {
        self.phase == "invoke"
    }

    /// When an invocation begins, and what its start took. A second try has no init phase of its own: as on Lambda it is part
    /// of the duration of the invocation that waited for it ("suppressed init", Lambda developer guide).
    fn begin(&self, init: Option<Duration>) -> (Instant, Option<Duration>) {
        let now = Instant::now();
        match init {
            Some(took) if self.is_second_try() => (now.checked_sub(took).unwrap_or(now), None),
            init => (now, init),
        }
    }

    /// The runtime could not start and says why.
    pub(crate) fn init_failed(&self, payload: Bytes, error_type: &str) -> Result<(), Refusal> {
        let mut state = self.lock();
        let State::Starting(ready) = &mut *state else { return Err(Refusal::State) };
        self.extensions.ends_for(Reason::Failure);
        let failure = InitFailure::Reported { payload, error_type: error_type.to_owned() };
        ready
            .take()
            .map_or(Err(Refusal::State), |ready| ready.send(Err(failure)).map_err(|_| Refusal::Stopping))
    }

    /// The invocation took too long: it is answered for, and the instance ends.
    pub fn time_out(self: &Arc<Self>, id: &str, after: Duration) {
        if let Ok(active) = self.take_active(id, State::Gone) {
            self.extensions.ends_for(Reason::Timeout);
            self.finish_with(active, &Fault::Timeout(after));
            self.end();
        }
    }

    /// The process has ended by itself.
    fn exited(self: &Arc<Self>, exit: Exit) {
        self.lost(&Fault::Exit(exit));
    }

    /// Stops the instance; an invocation in work is lost. Pools do this only to idle instances, except at the very end.
    pub fn stop(self: &Arc<Self>) {
        let was = std::mem::replace(&mut *self.lock(), State::Gone);
        self.park(was);
        self.end();
    }

    /// The platform's own answer, in place of the function's.
    fn finish_with(&self, active: Active, fault: &Fault) {
        let id = &active.request_id;
        let payload = fault.document(id);
        let status = match fault {
            Fault::Timeout(_) => Status::Timeout,
            other => Status::Error(other.report_type()),
        };
        let lines = report::fault(&self.logging, id, fault);
        self.tell_fault(&lines);
        self.finish(active, Answer::failed(payload), lines, Some(status));
    }

    /// The last lines first, then the answer: who has the answer finds the whole log.
    fn finish(&self, active: Active, answer: Answer, lines: Vec<String>, status: Option<Status<'_>>) {
        let (active, answer, mut lines) = match self.extensions.any() {
            false => (active, answer, lines),
            true => match self.answer_early(active, answer, lines, status) {
                Some(ends_now) => ends_now,
                None => return,
            },
        };
        let report = Report {
            request_id: &active.request_id,
            duration: active.started.elapsed(),
            init: active.init,
            memory_mb: self.memory_mb,
            memory_peak_bytes: self.memory_peak(status.is_some()),
            status,
        };
        if self.extensions.any() {
            self.tell_failed(&report, active.started);
        }
        lines.extend(report::end(&self.logging, &report));
        let (log_tail, run) = (self.journal.end(&lines), report.run());
        if active.init.is_some() || self.is_second_try() {
            self.note_cold_start();
        }
        active.caller.finish(Reply { answer, log_tail, run: Metered::Now(run) });
    }

    fn take_active(&self, id: &str, then: State) -> Result<Active, Refusal> {
        let mut state = self.lock();
        match &*state {
            State::Busy(active) if *active.request_id == *id => {}
            State::Busy(_) => return Err(Refusal::OtherRequest),
            _ => return Err(Refusal::State),
        }
        match std::mem::replace(&mut *state, then) {
            State::Busy(active) => Ok(active),
            _ => Err(Refusal::State),
        }
    }

    fn note_cold_start(&self) {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(mut watch), Some(owner)) = (watch, self.owner.upgrade()) {
            watch.mark("first invocation");
            owner.note_cold_start(watch.stages());
        }
    }

    fn note_finished(&self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.note_finished(&self.id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event that an instance could not take, and where its answer goes.
pub struct Rejected {
    /// The event.
    pub work: Work,
    /// Who waits for its answer.
    pub caller: Caller,
}
