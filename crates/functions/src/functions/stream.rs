//! Invocations whose answer is read while the function still writes it.

use super::Functions;
use super::invoke::{hand_in, outcome};
use crate::catalog::Function;
use crate::invocation::{Invocation, InvokeError};
use crate::machine::Machine;
use crate::streaming::{ResponseBody, StreamedOutcome, completion};
use instance::{Caller, Opened};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Functions {
    /// Runs a function; returns when its answer begins. The invocation goes on when the caller goes away, and counts
    /// until the function has finished.
    pub async fn invoke_streaming(
        self: &Arc<Self>,
        mut invocation: Invocation,
    ) -> Result<StreamedOutcome, InvokeError> {
        let function = self.admit(&mut invocation)?;
        let slot = self.enter(&function, invocation.qualifier.as_deref(), true)?;
        let machine = self.machine.clone();
        let (begin, begun) = oneshot::channel();
        tokio::spawn(async move {
            stream(&machine, &function, invocation, begin, slot).await;
        });
        begun.await.unwrap_or_else(|_| Err(InvokeError::Start("the platform is stopping".to_owned())))
    }
}

type Begin = oneshot::Sender<Result<StreamedOutcome, InvokeError>>;

/// Runs it to its end, whether or not somebody still listens. `place` is what the invocation takes up until then.
async fn stream(
    machine: &Arc<Machine>,
    function: &Function,
    invocation: Invocation,
    begin: Begin,
    place: impl Send + 'static,
) {
    let (caller, mut opened) = oneshot::channel();
    let request_id = invocation.request_id.clone();
    let taken = match hand_in(machine, function, invocation, Caller::Stream(caller)).await {
        Ok(Ok(taken)) => taken,
        Ok(Err(reply)) => {
            return drop(begin.send(Ok(outcome(request_id, function, reply).0.into())));
        }
        Err(error) => return drop(begin.send(Err(error))),
    };
    match taken.in_time(&mut opened).await {
        Ok(Opened::Whole(reply)) => {
            let (outcome, run) = outcome(taken.request_id, function, reply);
            machine.meter(function, taken.qualifier, run, place);
            drop(begin.send(Ok(outcome.into())));
        }
        Ok(Opened::Pieces { content_type, chunks, mut end }) => {
            let (complete, ending) = oneshot::channel();
            let body = ResponseBody::new(chunks, ending);
            let (request_id, executed_version) =
                (taken.request_id.clone(), function.definition.version.clone());
            drop(begin.send(Ok(StreamedOutcome { request_id, executed_version, content_type, body })));
            if let Ok(reply) = taken.in_time(&mut end).await {
                let (ended, run) = completion(reply);
                machine.meter(function, taken.qualifier, run, place);
                drop(complete.send(ended));
            }
        }
        Err(_) => drop(begin.send(Err(InvokeError::Start("the instance was stopped".to_owned())))),
    }
}
