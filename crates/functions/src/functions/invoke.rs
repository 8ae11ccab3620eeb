//! Invocations: what may be asked of a function, a place for it, an instance that takes the event, and what comes back;
//! also where there never was an instance.

use super::Functions;
use crate::catalog::Function;
use crate::concurrency::Slot;
use crate::definition::object_name;
use crate::detached::Detached;
use crate::events::EVENT_BYTES_MAX;
use crate::invocation::{Invocation, InvocationKind, InvokeError, Outcome};
use crate::machine::Machine;
use crate::pool::Unstarted;
use crate::throttle::{Throttle, ThrottleReason};
use crate::trace;
use bytes::Bytes;
use client::Key;
use instance::{
    Answer, Caller, InitFailure, Instance, Metered, PAYLOAD_BYTES_MAX, Reply, TAIL_BYTES, Unserved, Work,
};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often an event is handed to another instance when the first one is gone just then.
const DISPATCH_TRIES: u32 = 5;

impl Functions {
    /// Runs a function. The invocation goes on when the caller goes away, as on Lambda.
    pub async fn invoke(self: &Arc<Self>, invocation: Invocation) -> Result<Outcome, InvokeError> {
        self.invoke_as(invocation, true).await
    }

    /// The same, for a `caller` or for an event that waited.
    pub(crate) async fn invoke_as(
        self: &Arc<Self>,
        mut invocation: Invocation,
        caller: bool,
    ) -> Result<Outcome, InvokeError> {
        let function = self.admit(&mut invocation)?;
        if invocation.kind == InvocationKind::DryRun {
            return Ok(Outcome::accepted(invocation.request_id, &function.definition.version));
        }
        if invocation.kind == InvocationKind::Event {
            return self.accept(&function, invocation).await;
        }
        let slot = self.enter(&function, invocation.qualifier.as_deref(), caller)?;
        let machine = self.machine.clone();
        let run = Detached::new(async move { run(&machine, &function, invocation, slot).await });
        run.await
    }

    /// Counts an invocation, if there is room for it.
    pub(super) fn enter(
        &self,
        function: &Function,
        qualifier: Option<&str>,
        caller: bool,
    ) -> Result<Slot, InvokeError> {
        let slot = self.account.enter(&function.limits(), caller).map_err(|throttle| {
            self.machine.throttled(function, qualifier);
            InvokeError::TooManyRequests(throttle)
        })?;
        self.machine.entered(function, qualifier, &slot, &self.account);
        Ok(slot)
    }

    /// The function that an invocation means, if what it asks can be asked of it.
    pub(super) fn admit(&self, invocation: &mut Invocation) -> Result<Function, InvokeError> {
        let key = Key::new(invocation.namespace.clone(), object_name(&invocation.name));
        let function = self.catalog.resolve(&key, invocation.qualifier.as_deref());
        let function = function.ok_or_else(|| self.not_found(invocation))?;
        if invocation.kind == InvocationKind::Event && invocation.payload.len() > EVENT_BYTES_MAX {
            return Err(InvokeError::EventTooLarge { size: invocation.payload.len() });
        }
        if invocation.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(InvokeError::PayloadTooLarge { size: invocation.payload.len() });
        }
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&invocation.payload) {
            return Err(InvokeError::NotJson(error.to_string()));
        }
        // An event goes through the function when it is run, and is stopped then.
        if invocation.kind == InvocationKind::Event {
            return Ok(function);
        }
        invocation.trace_id = Some(self.trace(&function, invocation)?);
        Ok(function)
    }

    /// The trace header that the function gets.
    fn trace(&self, function: &Function, invocation: &Invocation) -> Result<String, InvokeError> {
        let header = invocation.trace_id.as_deref();
        let own = &function.pool.lineage;
        let passed = trace::pass_on(header, own, function.definition.traced, !function.may_loop);
        passed.map_err(|trace::Loop| InvokeError::Recursive)
    }

    fn not_found(&self, invocation: &Invocation) -> InvokeError {
        InvokeError::NotFound(self.machine.qualified_arn(&invocation.name, invocation.qualifier.as_deref()))
    }
}

/// `place` is what the invocation takes up until it is over.
async fn run(
    machine: &Arc<Machine>,
    function: &Function,
    invocation: Invocation,
    place: impl Send + 'static,
) -> Result<Outcome, InvokeError> {
    let request_id = invocation.request_id.clone();
    let (caller, mut answer) = oneshot::channel();
    let caller = Caller::Whole(caller);
    let taken = hand_in(machine, function, invocation, caller).await?;
    let taken = match taken {
        Ok(taken) => taken,
        Err(reply) => return Ok(outcome(request_id, function, reply).0),
    };
    let reply = taken.in_time(&mut answer).await;
    let reply = reply.map_err(|_| InvokeError::Start("the instance was stopped".to_owned()))?;
    let (outcome, run) = outcome(request_id, function, reply);
    machine.meter(function, taken.qualifier, run, place);
    Ok(outcome)
}

/// An event in work.
pub(super) struct Taken {
    pub(super) request_id: Arc<str>,
    pub(super) qualifier: Option<String>,
    instance: Arc<Instance>,
    timeout: Duration,
    deadline: tokio::time::Instant,
}

impl Taken {
    /// What the instance has to say, at the latest that it took too long.
    pub(super) async fn in_time<T>(
        &self,
        answer: &mut oneshot::Receiver<T>,
    ) -> Result<T, oneshot::error::RecvError> {
        match tokio::time::timeout_at(self.deadline, &mut *answer).await {
            Ok(answered) => answered,
            Err(_) => {
                self.instance.time_out(&self.request_id, self.timeout);
                answer.await
            }
        }
    }
}

/// Finds an instance for an event and hands it in. Without an instance there may still be an answer.
pub(super) async fn hand_in(
    machine: &Machine,
    function: &Function,
    invocation: Invocation,
    mut caller: Caller,
) -> Result<Result<Taken, Reply>, InvokeError> {
    let timeout = function.definition.revision.timeout;
    let (request_id, qualifier) = (invocation.request_id, invocation.qualifier);
    let called = Instant::now();
    let mut work = Work {
        request_id: request_id.clone(),
        invoked_arn: function.pool.invoked_arn(qualifier.as_deref()),
        deadline_ms: 0,
        payload: invocation.payload,
        trace_id: invocation.trace_id,
        client_context: invocation.client_context,
    };
    for _ in 0..DISPATCH_TRIES {
        let lease = match function.pool.take().await {
            Ok(lease) => lease,
            Err(Unstarted::Throttled(wait)) => {
                machine.throttled(function, qualifier.as_deref());
                let reason = ThrottleReason::ConcurrentInvocationLimitExceeded;
                return Err(InvokeError::TooManyRequests(Throttle::new(reason, wait)));
            }
            Err(Unstarted::Failed { failure, log_tail }) => {
                let before = invocation.log_tail.then_some(log_tail);
                let (reply, run) = failed_to_start(machine, function, &request_id, called, failure, before)?;
                machine.ran(function, qualifier.as_deref(), run);
                return Ok(Err(reply));
            }
        };
        let Some(instance) = lease.instance() else { continue };
        work.deadline_ms =
            Timestamp::now().as_millisecond() + i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX / 2);
        let deadline = tokio::time::Instant::now() + timeout;
        match instance.dispatch(work, invocation.log_tail, caller) {
            Ok(()) => {
                return Ok(Ok(Taken { request_id, qualifier, instance, timeout, deadline }));
            }
            Err(rejected) => (work, caller) = (rejected.work, rejected.caller),
        }
    }
    Err(InvokeError::Start("instances end before they take the event".to_owned()))
}

pub(super) fn outcome(request_id: Arc<str>, function: &Function, reply: Reply) -> (Outcome, Metered) {
    let outcome = Outcome {
        request_id,
        payload: reply.answer.payload,
        content_type: reply.answer.content_type,
        error: reply.answer.error,
        log_tail: reply.log_tail,
        executed_version: function.definition.version.clone(),
    };
    (outcome, reply.run)
}

/// There is no instance to write this invocation's lines, so they are written here. `before` is the end of what was logged
/// during the start, for a caller who wants the end of the log.
fn failed_to_start(
    machine: &Machine,
    function: &Function,
    request_id: &str,
    called: Instant,
    failure: InitFailure,
    before: Option<Bytes>,
) -> Result<(Reply, meter::Run), InvokeError> {
    let definition = &function.definition;
    let logging = &definition.revision.logging;
    let (version, memory_mb) = (definition.version.as_str(), definition.revision.memory_mb);
    let unserved = Unserved { request_id, version, memory_mb, logging, waited: called.elapsed() };
    let failed = unserved.answer(failure).map_err(InvokeError::Start)?;
    let stream =
        logging.stream(&definition.name, &definition.version, &request_id.replace('-', ""), Timestamp::now());
    let log = machine.logs.of(&definition.namespace, &logging.group(&definition.name));
    log.append(&stream, failed.lines.iter().map(String::as_bytes));
    let log_tail = before.map(|before| {
        let mut whole = [&before[..], failed.lines.join("\n").as_bytes(), b"\n"].concat();
        whole.drain(..whole.len().saturating_sub(TAIL_BYTES));
        Bytes::from(whole)
    });
    let reply = Reply { answer: Answer::failed(failed.payload), log_tail, run: Metered::Now(failed.run) };
    Ok((reply, failed.run))
}
