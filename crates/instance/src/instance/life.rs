//! The life of an instance from its start to its end: one task minds the process, freezes it when it is idle, and stops
//! it when it has been idle for long. A timer runs only while there is something to wait for.

use super::extended::Settling;
use super::{Instance, State};
use crate::runtime_api::{self, Stream};
use sandbox::Exit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How long an idle instance runs on before it is frozen. Lambda freezes at once; a little later costs a function
/// nothing and saves freezing and thawing between the calls of a busy client.
const FREEZE_AFTER: Duration = Duration::from_millis(20);

/// How long the last output of an ended process may take to be read.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// What the minder does next.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing until the state changes.
    Wait,
    FreezeAt(Instant),
    StopAt(Instant),
    /// See whether it still has not asked for its next event.
    LookAt(Instant),
    End,
}

impl Instance {
    /// Whether it ends with a shutdown phase, which takes its time.
    pub fn is_extended(&self) -> bool {
        self.extensions.any()
    }

    /// Waits until nothing of it is left.
    pub async fn until_ended(&self) {
        self.extensions.until_ended().await;
    }

    /// What it uses now.
    pub fn usage(&self) -> sandbox::Usage {
        self.sandbox.usage()
    }

    /// How long it has existed.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Tells the minder to end the instance.
    pub(super) fn end(&self) {
        self.changed.notify_one();
    }

    pub(super) async fn live(
        self: Arc<Self>,
        api: (TcpListener, Option<Stream>),
        door: Option<impl Future<Output = ()> + Send + 'static>,
        web: Option<impl Future<Output = ()> + Send + 'static>,
        keep_alive: Duration,
    ) {
        let (listener, pipes) = api;
        let api = tokio::spawn(runtime_api::serve(listener, pipes, self.clone()));
        let (door, web) = (door.map(tokio::spawn), web.map(tokio::spawn));
        let instance = self.clone();
        let output = (!self.held).then(|| tokio::spawn(async move { instance.journal.follow().await }));
        let mut exit = Box::pin(self.runtime_exit());
        loop {
            let rest = self.rest(keep_alive);
            let timer = match rest {
                Rest::FreezeAt(at) | Rest::StopAt(at) | Rest::LookAt(at) => Some(at),
                Rest::Wait => None,
                Rest::End => break,
            };
            tokio::select! {
                exit = &mut exit => {
                    // What it printed last comes before the lines about its end.
                    drop(tokio::time::timeout(LAST_OUTPUT, self.journal.ended()).await);
                    self.exited(exit);
                    break;
                }
                () = self.changed.notified() => {}
                () = until(timer) => self.act(&rest),
            }
        }
        if let Some(owner) = self.owner.upgrade() {
            owner.gone(&self.id);
        }
        if self.extensions.any() {
            self.shut_down().await;
            self.telemetry.end();
        }
        api.abort();
        for task in door.into_iter().chain(web) {
            task.abort();
        }
        self.sandbox.kill().await;
        drop(tokio::time::timeout(LAST_OUTPUT, self.journal.ended()).await);
        if let Some(output) = output {
            output.abort();
        }
        self.extensions.has_ended();
    }

    /// The runtime's end: of the sandbox's own command, or of a program in it.
    async fn runtime_exit(&self) -> Exit {
        if !self.held {
            return self.sandbox.wait().await;
        }
        let program = async { self.extensions.until_runtime().await.wait().await };
        tokio::select! {
            exit = program => exit,
            exit = self.sandbox.wait() => exit,
        }
    }

    fn rest(&self, keep_alive: Duration) -> Rest {
        // Raised before the state is read: whoever changes it afterwards sees the flag.
        self.unminded.store(true, Ordering::Release);
        let rest = match &*self.lock() {
            State::Gone => Rest::End,
            State::Idle { frozen: true, .. } if self.is_kept() => Rest::StopAt(self.rotate_at),
            State::Idle { since, frozen: true, .. } => {
                Rest::StopAt((*since + keep_alive).min(self.rotate_at))
            }
            State::Idle { since, .. } => Rest::FreezeAt(*since + FREEZE_AFTER.min(keep_alive)),
            // Nobody waits any more for one that has answered, so what it still does needs an end of its own.
            State::Finished(since) | State::Settling { since, until: Settling::Invocation, .. } => {
                Rest::LookAt(self.pending_deadline().unwrap_or(*since + self.timeout))
            }
            State::Busy(_) => Rest::LookAt(Instant::now() + self.timeout),
            State::Starting(_) | State::Settling { .. } => Rest::Wait,
        };
        if matches!(rest, Rest::FreezeAt(_)) {
            self.unminded.store(false, Ordering::Release);
        }
        rest
    }

    /// A timer has run out. Whatever has happened since it was set counts more.
    fn act(self: &Arc<Self>, rest: &Rest) {
        match rest {
            Rest::FreezeAt(_) => {
                let mut state = self.lock();
                if let State::Idle { since, frozen, .. } = &mut *state
                    && since.elapsed() >= FREEZE_AFTER
                {
                    self.sandbox.freeze();
                    *frozen = true;
                }
            }
            Rest::StopAt(at) => {
                let due = matches!(&*self.lock(), State::Idle { frozen: true, .. }) && *at <= Instant::now();
                if due && self.owner.upgrade().is_none_or(|owner| owner.withdraw(&self.id)) {
                    self.stop();
                }
            }
            Rest::LookAt(_) if self.pending_deadline().is_some() => {
                if self.pending_deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                    self.time_out_pending();
                }
            }
            Rest::LookAt(_) => {
                let timeout = self.timeout;
                let late =
                    matches!(&*self.lock(), State::Finished(answered) if answered.elapsed() >= timeout);
                if late {
                    tracing::info!(
                        instance = self.id,
                        "a runtime answered and did not come back; it is stopped"
                    );
                    self.stop();
                }
            }
            Rest::Wait | Rest::End => {}
        }
    }
}

async fn until(timer: Option<Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
