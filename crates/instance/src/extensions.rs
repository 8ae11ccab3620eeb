//! The extensions of one instance: which there are, where each stands, and what an invocation still waits for after its
//! answer. Owns the Extensions API's meaning (2020-01-01); its wire is `runtime_api::extension`, its effects on the
//! instance are `instance::extended`, and `launch` starts the external ones.

mod launch;
mod pending;
mod registry;

pub use launch::{Launch, find};
pub(crate) use pending::{Failure, Pending};
pub(crate) use registry::{Event, Extension, Refused};

use crate::instance::Work;
use crate::sandboxes::Running;
use registry::Registry;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{oneshot, watch};

/// Why an instance ends, as extensions are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is not needed any more.
    Spindown,
    /// It took too long.
    Timeout,
    /// Something in it went wrong.
    Failure,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Reason::Spindown => "spindown",
            Reason::Timeout => "timeout",
            Reason::Failure => "failure",
        }
    }
}

/// Whose instance it is: what a registration answers.
pub struct Identity {
    /// The function's name.
    pub function: String,
    /// `$LATEST`, or the number of a published version.
    pub version: String,
    /// As the function is configured.
    pub handler: String,
    /// Whose function it is.
    pub account_id: String,
}

pub(crate) struct Extensions {
    identity: Identity,
    /// There is one, or will be: all that an instance without extensions ever looks at.
    any: AtomicBool,
    registry: Mutex<Registry>,
    /// Whether all that were started have registered.
    registered: watch::Sender<bool>,
    /// An invocation that is answered, and goes on.
    pub(crate) pending: Mutex<Option<Pending>>,
    /// The trace header of the invocation in work.
    trace_id: Mutex<Option<String>>,
    reason: OnceLock<Reason>,
    /// The runtime's program, where it is not the sandbox's own.
    runtime: watch::Sender<Option<Arc<dyn Running>>>,
    programs: Mutex<Vec<(String, Arc<dyn Running>)>>,
    /// Calls of the runtime for an event that will not come.
    parked: Mutex<Vec<oneshot::Sender<Work>>>,
    /// Nothing of the instance is left.
    ended: watch::Sender<bool>,
}

impl Extensions {
    pub(crate) fn new(identity: Identity, external: bool) -> Extensions {
        Extensions {
            identity,
            any: AtomicBool::new(external),
            registry: Mutex::default(),
            registered: watch::Sender::new(false),
            pending: Mutex::default(),
            trace_id: Mutex::default(),
            reason: OnceLock::new(),
            runtime: watch::Sender::new(None),
            programs: Mutex::default(),
            parked: Mutex::default(),
            ended: watch::Sender::new(false),
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// `register`: the identifier, and what the extension gets to know of the function.
    pub(crate) fn register(
        &self,
        name: &str,
        events: &[String],
        account: bool,
    ) -> Result<(String, Value), Refused> {
        let id = {
            let mut registry = self.lock();
            let id = registry.register(name, events)?;
            self.any.store(true, Ordering::Release);
            self.registered.send_replace(registry.all_registered());
            id
        };
        let Identity { function, version, handler, account_id } = &self.identity;
        let mut answer = json!({"functionName": function, "functionVersion": version, "handler": handler});
        if account {
            answer["accountId"] = json!(account_id);
        }
        Ok((id, answer))
    }

    /// `event/next`: where the event will come. Whether this was the last call that somebody waits for is another
    /// question.
    pub(crate) fn next(&self, id: &str) -> Result<oneshot::Receiver<String>, Refused> {
        self.lock().next(id)
    }

    /// `init/error` and `exit/error`.
    pub(crate) fn fail(&self, id: &str, error_type: &str, init: bool) -> Result<(), Refused> {
        self.lock().fail(id, error_type, init)
    }

    /// The name of who has this identifier.
    pub(crate) fn name_of(&self, id: &str) -> Result<String, Refused> {
        self.lock().name_of(id)
    }

    /// The runtime has asked for its first event.
    pub(crate) fn close_registration(&self) {
        self.lock().close();
    }

    /// Whether all of them wait for an event.
    pub(crate) fn all_ready(&self) -> bool {
        self.lock().all_ready()
    }

    /// An invocation begins.
    pub(crate) fn invoke(&self, work: &Work) {
        let mut event = json!({
            "eventType": Event::Invoke.as_str(), "deadlineMs": work.deadline_ms, "requestId": &*work.request_id,
            "invokedFunctionArn": &*work.invoked_arn,
        });
        self.trace_id.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&work.trace_id);
        if let Some(trace_id) = &work.trace_id {
            event["tracing"] = json!({"type": "X-Amzn-Trace-Id", "value": trace_id});
        }
        self.lock().tell(Event::Invoke, &event.to_string());
    }

    /// The trace header of the invocation in work.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.trace_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The instance ends.
    pub(crate) fn shut_down(&self, deadline_ms: i64) {
        let event = json!({
            "eventType": Event::Shutdown.as_str(), "shutdownReason": self.reason().as_str(),
            "deadlineMs": deadline_ms,
        });
        self.lock().tell(Event::Shutdown, &event.to_string());
    }

    /// Keeps a call of the runtime open for as long as the instance lives.
    pub(crate) fn park(&self, next: oneshot::Sender<Work>) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).push(next);
    }

    /// Nothing of the instance is left.
    pub(crate) fn has_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until nothing of the instance is left.
    pub(crate) async fn until_ended(&self) {
        // The sender lives as long as this does.
        drop(self.ended.subscribe().wait_for(|ended| *ended).await);
    }

    /// Why the instance ends: what is said first counts.
    pub(crate) fn ends_for(&self, reason: Reason) {
        self.reason.get_or_init(|| reason);
    }

    /// Why the instance ends.
    pub(crate) fn reason(&self) -> Reason {
        *self.reason.get_or_init(|| Reason::Spindown)
    }

    /// The first error that an extension reported.
    pub(crate) fn reported(&self) -> Option<&'static str> {
        self.lock().reported()
    }

    /// Looks at each.
    pub(crate) fn each<T>(&self, look: impl Fn(&Extension) -> T) -> Vec<T> {
        self.lock().all().iter().map(look).collect()
    }

    /// The external ones that run, and whether each wants to hear of the end.
    pub(crate) fn programs(&self) -> Vec<(Arc<dyn Running>, bool)> {
        let hears: Vec<(String, bool)> =
            self.each(|one| (one.name.clone(), one.events.contains(&Event::Shutdown)));
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let with = programs.iter().map(|(name, program)| {
            (program.clone(), hears.iter().any(|(other, hears)| other == name && *hears))
        });
        with.collect()
    }

    /// The runtime's program, where it is not the sandbox's own, once it runs.
    pub(crate) fn runtime(&self) -> Option<Arc<dyn Running>> {
        self.runtime.borrow().clone()
    }

    /// Waits until the runtime's program runs.
    pub(crate) async fn until_runtime(&self) -> Arc<dyn Running> {
        let mut runtime = self.runtime.subscribe();
        loop {
            if let Some(program) = runtime.borrow_and_update().clone() {
                return program;
            }
            if runtime.changed().await.is_err() {
                // The sender lives as long as this does.
                std::future::pending::<()>().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
