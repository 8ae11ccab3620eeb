//! Moving dead letters back: StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks.

use super::input::Input;
use super::{Answer, Refused, Service};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use managed::{Declared, MoveError, MoveState, MoveTask};
use serde_json::{Value, json};
use std::sync::Arc;

const RATE_MAX: u32 = 500;
const RESULTS_MAX: u32 = 10;

pub(super) fn start(service: &Service<'_>, input: &Input) -> Answer {
    let source = by_arn(service, input.required("SourceArn")?)?;
    let destination = match input.text("DestinationArn")? {
        Some(arn) => Some(by_arn(service, arn)?),
        None => None,
    };
    if let Some(destination) = &destination {
        if destination.name() == source.name() {
            return Err(Refused::parameter("Source queue arn and destination queue arn cannot be the same."));
        }
        if destination.settings().fifo != source.settings().fifo {
            return Err(Refused::parameter("Source and destination queues must be of the same type."));
        }
    }
    let rate = input.number("MaxNumberOfMessagesPerSecond", 1, RATE_MAX)?;
    let destination = destination.as_ref().map(|destination| destination.name());
    let started = service.broker().start_move(&source, destination, rate);
    let task = started.map_err(|error| match error {
        MoveError::NoDeadLetters => {
            Refused::parameter("Source queue must be configured as a Dead Letter Queue.")
        }
        MoveError::Running => Refused::unsupported(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
        ),
    })?;
    Ok(json!({ "TaskHandle": handle(service, &task) }))
}

pub(super) fn cancel(service: &Service<'_>, input: &Input) -> Answer {
    let text = input.required("TaskHandle")?;
    let decoded = BASE64_STANDARD.decode(text).ok();
    let task: Option<Value> = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let task = task.ok_or_else(|| Refused::value("TaskHandle", text, "It is not a handle of a task."))?;
    let id = task["taskId"].as_str().unwrap_or_default();
    let task = service.broker().cancel_move(id);
    let task = task.ok_or_else(|| Refused::no_resource("Task does not exist or is not running."))?;
    Ok(json!({ "ApproximateNumberOfMessagesMoved": task.moved() }))
}

pub(super) fn list(service: &Service<'_>, input: &Input) -> Answer {
    let source = by_arn(service, input.required("SourceArn")?)?;
    let max = input.number("MaxResults", 1, RESULTS_MAX)?.unwrap_or(1);
    let tasks = service.broker().moves_of(source.name());
    let shown: Vec<Value> = tasks.iter().take(max as usize).map(|task| shown(service, task)).collect();
    Ok(json!({ "Results": shown }))
}

fn shown(service: &Service<'_>, task: &MoveTask) -> Value {
    let state = task.state();
    let status = match &state {
        MoveState::Running => "RUNNING",
        MoveState::Completed => "COMPLETED",
        MoveState::Cancelling => "CANCELLING",
        MoveState::Cancelled => "CANCELLED",
        MoveState::Failed(_) => "FAILED",
    };
    let mut shown = json!({
        "Status": status,
        "SourceArn": service.arn(&task.source),
        "ApproximateNumberOfMessagesMoved": task.moved(),
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started_ms,
    });
    if state == MoveState::Running {
        shown["TaskHandle"] = json!(handle(service, task));
    }
    if let Some(destination) = &task.destination {
        shown["DestinationArn"] = json!(service.arn(destination));
    }
    if let Some(rate) = task.rate {
        shown["MaxNumberOfMessagesPerSecond"] = json!(rate);
    }
    if let MoveState::Failed(why) = state {
        shown["FailureReason"] = json!(why);
    }
    shown
}

fn handle(service: &Service<'_>, task: &MoveTask) -> String {
    let text = json!({ "taskId": task.id, "sourceArn": service.arn(&task.source) });
    BASE64_STANDARD.encode(text.to_string())
}

fn by_arn(service: &Service<'_>, arn: &str) -> Result<Arc<Declared>, Refused> {
    let name = service.messaging.config.functions.queue_name(arn);
    let name = name.ok_or_else(|| {
        Refused::parameter(format!("{arn} is not the ARN of a queue of this account and region."))
    })?;
    let found = service.broker().get(name);
    found.ok_or_else(|| {
        Refused::no_resource("The resource that you specified for the SourceArn parameter doesn't exist.")
    })
}
