//! What other services tell functions: an event, on behalf of a resource of theirs that the function's policy names.

use super::{Lambda, policy as resource_policy};
use ::policy::{Decision, Kind, Policy, Question};
use functions::{Invocation, InvocationKind, InvokeError};
use wire::{NAMESPACE, Source, Undelivered};

/// Invokes a function for an event, if it may be.
pub async fn tell(
    lambda: &Lambda,
    target: &str,
    source: Source<'_>,
    body: String,
) -> Result<(), Undelivered> {
    may_invoke(lambda, target, source).await?;
    let name = lambda.name(target, None).map_err(|fault| Undelivered::Never(fault.message))?;
    let invocation = Invocation {
        request_id: functions::new_request_id(),
        namespace: NAMESPACE.to_owned(),
        name: name.name,
        qualifier: name.qualifier,
        kind: InvocationKind::Event,
        payload: body.into(),
        client_context: None,
        trace_id: source.trace.map(str::to_owned),
        log_tail: false,
    };
    match lambda.config.functions.invoke(invocation).await {
        Ok(_) => Ok(()),
        Err(error @ (InvokeError::QueueFull(_) | InvokeError::NotQueued(_))) => {
            Err(Undelivered::Later(error.to_string()))
        }
        Err(error) => Err(Undelivered::Never(error.to_string())),
    }
}

/// Whether a function is there and lets a service invoke it for this resource.
pub async fn may_invoke(lambda: &Lambda, arn: &str, source: Source<'_>) -> Result<(), Undelivered> {
    let name = lambda.name(arn, None).map_err(|fault| Undelivered::Never(fault.message))?;
    let object = lambda.find(&name).await.map_err(|fault| match fault.status {
        500.. => Undelivered::Later(fault.message),
        _ => Undelivered::Never(fault.message),
    })?;
    let account = lambda.config.account_id.as_str();
    let context = [("aws:SourceArn", source.arn), ("aws:SourceAccount", account)];
    let question = Question {
        principals: &[("Service", source.service)],
        action: "lambda:InvokeFunction",
        resource: arn,
        context: &context,
    };
    let policy = resource_policy::text(&object).and_then(|text| Policy::read(text, Kind::Resource).ok());
    match policy.map(|policy| policy.decide(&question)) {
        Some(Decision::Allowed) => Ok(()),
        _ => Err(Undelivered::Never(format!(
            "the function does not allow {} to invoke it: call AddPermission",
            source.service
        ))),
    }
}
