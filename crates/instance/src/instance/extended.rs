//! What extensions change in the life of an instance: its start ends and an invocation ends only when all of them wait
//! for the next event, one that ends takes the instance with it, and the end gives them time.

use super::{Active, Answer, InitFailure, Instance, Metered, Reply, State};
use crate::extensions::{Failure, Pending, Reason, Refused};
use crate::fault::{Fault, exit_words};
use crate::journal::Journal;
use crate::report::{self, Report, Status};
use crate::sandboxes::Sandbox;
use jiff::Timestamp;
use sandbox::Exit;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What the end of an instance may take: with extensions in the runtime's process only, and with external ones
/// ("Shutdown phase", Lambda developer guide).
const INTERNAL_BUDGET: Duration = Duration::from_millis(500);
const EXTERNAL_BUDGET: Duration = Duration::from_secs(2);

/// How much of it the runtime gets.
const RUNTIME_SHARE: Duration = Duration::from_millis(500);

/// An extension that reports an error is expected to end by itself, within this.
const ERROR_GRACE: Duration = Duration::from_secs(1);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// What ends when all extensions wait for their next event.
pub(super) enum Settling {
    /// The start; who waits for it.
    Start(Option<oneshot::Sender<Result<(), InitFailure>>>),
    /// An invocation.
    Invocation,
}

impl Instance {
    pub(crate) fn sandbox(&self) -> &Arc<dyn Sandbox> {
        &self.sandbox
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// An extension asks for an event.
    pub(crate) async fn extension_next(self: &Arc<Self>, id: &str) -> Result<String, Refused> {
        let event = self.extensions.next(id)?;
        self.settle();
        let stopped = "This instance is being stopped".to_owned();
        event.await.map_err(|_| Refused { kind: "Extension.InvalidExtensionState", message: stopped })
    }

    /// An extension reports an error: it, or the runtime that it belongs to, is about to end.
    pub(crate) fn extension_failed(
        self: &Arc<Self>,
        id: &str,
        error_type: &str,
        init: bool,
    ) -> Result<(), Refused> {
        self.extensions.fail(id, error_type, init)?;
        let (instance, error_type) = (self.clone(), error_type.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(ERROR_GRACE).await;
            let kind = instance.extensions.reported().unwrap_or("Extension.ExitError");
            instance.lost(&Fault::Extension { kind, sentence: error_type });
        });
        Ok(())
    }

    /// An extension's process has ended.
    pub(crate) fn extension_exited(self: &Arc<Self>, name: &str, exit: Exit) {
        self.extensions.exited(name);
        if exit.oom {
            return self.lost(&Fault::Exit(exit));
        }
        let kind = self.extensions.reported().unwrap_or("Extension.Crash");
        self.lost(&Fault::Extension { kind, sentence: exit_words(&exit) });
    }

    /// Something that the instance cannot do without is gone. Nothing happens when it is ending anyway.
    pub(crate) fn lost(self: &Arc<Self>, fault: &Fault) {
        let fault = match (fault, self.extensions.reported()) {
            (Fault::Exit(exit), Some(kind)) if !exit.oom => {
                &Fault::Extension { kind, sentence: exit_words(exit) }
            }
            _ => fault,
        };
        let was = std::mem::replace(&mut *self.lock(), State::Gone);
        if !matches!(was, State::Gone) {
            self.extensions.ends_for(Reason::Failure);
        }
        match was {
            State::Starting(Some(ready)) | State::Settling { until: Settling::Start(Some(ready)), .. } => {
                // Nobody waits any more when the start has run out of time.
                drop(ready.send(Err(InitFailure::Fault(fault.clone()))));
            }
            State::Busy(active) => self.finish_with(active, fault),
            State::Gone => return,
            other => {
                self.fail_pending(fault);
                self.park(other);
            }
        }
        self.end();
    }

    /// The machine could not start what should run here.
    pub(crate) fn cannot_start(self: &Arc<Self>, reason: String) {
        let was = std::mem::replace(&mut *self.lock(), State::Gone);
        if let State::Starting(Some(ready)) = was {
            drop(ready.send(Err(InitFailure::Machine(reason))));
        }
        self.end();
    }

    /// Ends the start, or an invocation, when the runtime and all extensions wait for their next event.
    pub(super) fn settle(self: &Arc<Self>) {
        let until = {
            let mut state = self.lock();
            if !matches!(&*state, State::Settling { .. }) || !self.extensions.all_ready() {
                return;
            }
            let State::Settling { next, until, .. } = std::mem::replace(&mut *state, State::Gone) else {
                return;
            };
            if matches!(until, Settling::Invocation) && Instant::now() >= self.rotate_at {
                self.extensions.park(next);
                drop(state);
                self.complete_pending(None);
                return self.end();
            }
            *state = State::Idle { next, since: Instant::now(), frozen: false };
            until
        };
        let first = match until {
            Settling::Start(ready) => {
                self.initialized(ready);
                true
            }
            Settling::Invocation => {
                self.complete_pending(None);
                false
            }
        };
        if let Some(owner) = self.owner.upgrade() {
            owner.offer(self.clone(), first);
        }
        self.changed.notify_one();
    }

    /// The start is over, and went well.
    pub(super) fn initialized(&self, ready: Option<oneshot::Sender<Result<(), InitFailure>>>) {
        let took = self.born.elapsed();
        *self.init.lock().unwrap_or_else(PoisonError::into_inner) = Some(took);
        if let Some(watch) = &mut *self.watch.lock().unwrap_or_else(PoisonError::into_inner) {
            watch.mark("runtime starts");
        }
        let mut lines = report::init_done(&self.logging, &self.function, &self.version, self.phase, took);
        if self.extensions.any() {
            self.tell_initialized(took);
            lines.extend(self.extension_lines());
        }
        if !lines.is_empty() {
            self.journal.note(&lines);
        }
        if let Some(ready) = ready {
            // The start that waits for this may have run out of time; then the instance is stopped soon.
            drop(ready.send(Ok(())));
        }
    }

    /// `EXTENSION …`, for each.
    pub(super) fn extension_lines(&self) -> Vec<String> {
        match self.extensions.any() {
            false => Vec::new(),
            true => self.extensions.each(|one| report::extension(&self.logging, one)).concat(),
        }
    }

    /// Takes an answer while extensions may still work: whoever waits for it gets it now, unless the whole log was asked
    /// for as well. Gives back what ends at once because the instance does.
    pub(super) fn answer_early(
        &self,
        active: Active,
        answer: Answer,
        lines: Vec<String>,
        status: Option<Status<'_>>,
    ) -> Option<(Active, Answer, Vec<String>)> {
        if matches!(&*self.lock(), State::Gone) {
            return Some((active, answer, lines));
        }
        if !lines.is_empty() {
            self.journal.note(&lines);
        }
        let (run, metered) = oneshot::channel();
        let produced_bytes = answer.payload.len();
        let Active { request_id, caller, started, init, tail, .. } = active;
        let caller = match tail {
            true => Some((caller, answer)),
            false => {
                caller.finish(Reply { answer, log_tail: None, run: Metered::Later(metered) });
                None
            }
        };
        let pending = Pending {
            request_id,
            started,
            init,
            failure: status.map(Failure::of),
            caller,
            run,
            answered: Instant::now(),
            produced_bytes,
            runtime_done: None,
            deadline: started + self.timeout,
        };
        *self.extensions.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
        // It may have ended meanwhile, and found nothing to end.
        if matches!(&*self.lock(), State::Gone) {
            self.complete_pending(Some(Failure::Error("Sandbox.Failure".to_owned())));
        }
        self.changed.notify_one();
        None
    }

    /// The invocation that was answered is over, by itself or with this failure.
    pub(super) fn complete_pending(&self, failure: Option<Failure>) {
        let pending = self.extensions.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(pending) = pending else { return };
        let failure = failure.or_else(|| pending.failure.clone());
        let report = Report {
            request_id: &pending.request_id,
            duration: pending.started.elapsed(),
            init: pending.init,
            memory_mb: self.memory_mb,
            memory_peak_bytes: self.sandbox.memory_peak_bytes(),
            status: failure.as_ref().map(Failure::status),
        };
        self.tell_report(&report, &pending);
        let log_tail = self.journal.end(&report::end(&self.logging, &report));
        if pending.init.is_some() || self.is_second_try() {
            self.note_cold_start();
        }
        let extensions = pending.runtime_done.unwrap_or(pending.answered).elapsed();
        let run = meter::Run { extensions: Some(extensions), ..report.run() };
        match pending.caller {
            Some((caller, answer)) => caller.finish(Reply { answer, log_tail, run: Metered::Now(run) }),
            // Who counts may be gone when the platform stops.
            None => drop(pending.run.send(run)),
        }
    }

    /// A runtime that waits for an event goes on waiting while the instance shuts down: it is asked to end by a signal, and
    /// would take an answer for a failure.
    pub(super) fn park(&self, was: State) {
        if let State::Idle { next, .. } | State::Settling { next, .. } = was
            && self.extensions.any()
        {
            self.extensions.park(next);
        }
    }

    /// Extensions have taken longer than the invocation may take.
    pub(super) fn time_out_pending(self: &Arc<Self>) {
        let was = std::mem::replace(&mut *self.lock(), State::Gone);
        self.park(was);
        self.extensions.ends_for(Reason::Timeout);
        self.fail_pending(&Fault::Timeout(self.timeout));
        self.end();
    }

    /// When the invocation that was answered must have ended.
    pub(super) fn pending_deadline(&self) -> Option<Instant> {
        let pending = self.extensions.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.as_ref().map(|pending| pending.deadline)
    }

    fn fail_pending(&self, fault: &Fault) {
        let id = {
            let pending = self.extensions.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.as_ref().map(|pending| pending.request_id.clone())
        };
        let Some(id) = id else { return };
        let lines = report::fault(&self.logging, &id, fault);
        self.tell_fault(&lines);
        self.journal.note(&lines);
        let status = match fault {
            Fault::Timeout(_) => Status::Timeout,
            other => Status::Error(other.report_type()),
        };
        self.complete_pending(Some(Failure::of(status)));
    }

    /// The end of an instance with extensions: the runtime is asked to end, then the extensions that want to know hear
    /// of it and have the rest of the time. What is left is killed by the caller.
    pub(super) async fn shut_down(&self) {
        let started = Instant::now();
        let programs = self.extensions.programs();
        let budget = if programs.is_empty() { INTERNAL_BUDGET } else { EXTERNAL_BUDGET };
        self.sandbox.thaw();
        match self.extensions.runtime() {
            Some(runtime) => {
                runtime.signal(SIGTERM).await;
                drop(tokio::time::timeout(RUNTIME_SHARE, runtime.wait()).await);
                runtime.signal(SIGKILL).await;
            }
            None if programs.is_empty() => {
                self.sandbox.terminate().await;
                drop(tokio::time::timeout(RUNTIME_SHARE, self.sandbox.wait()).await);
            }
            None => {}
        }
        let left = budget.saturating_sub(started.elapsed());
        let left_ms = i64::try_from(left.as_millis()).unwrap_or_default();
        self.telemetry.flush();
        self.extensions.shut_down(Timestamp::now().as_millisecond() + left_ms);
        let ends = programs.iter().filter(|(_, hears)| *hears).map(|(program, _)| program.wait());
        drop(tokio::time::timeout(left, futures::future::join_all(ends)).await);
    }

    /// The runtime asks for an event while extensions may still work. Gives the channel back when they do not matter.
    pub(super) fn next_with_extensions(
        self: &Arc<Self>,
        next: oneshot::Sender<super::Work>,
    ) -> Result<(), oneshot::Sender<super::Work>> {
        {
            let mut state = self.lock();
            let until = match std::mem::replace(&mut *state, State::Gone) {
                State::Starting(ready) => {
                    self.extensions.close_registration();
                    self.tell_runtime_started();
                    Settling::Start(ready)
                }
                State::Settling { until, .. } => until,
                State::Finished(_) => {
                    self.runtime_done();
                    Settling::Invocation
                }
                State::Gone => {
                    self.extensions.park(next);
                    return Ok(());
                }
                other => {
                    *state = other;
                    return Err(next);
                }
            };
            *state = State::Settling { next, until, since: Instant::now() };
        }
        self.settle();
        Ok(())
    }
}
