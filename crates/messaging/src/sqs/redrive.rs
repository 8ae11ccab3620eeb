//! `RedrivePolicy` and `RedriveAllowPolicy`: documents in which queues are ARNs.

use super::{Refused, Service};
use managed::{Redrive, RedriveAllow, Settings};
use serde_json::{Value, json};

/// Queues that one policy may name.
const SOURCES_MAX: usize = 10;
/// How often a message may be received at most.
const RECEIVES_MAX: u64 = 1000;

fn invalid(parameter: &str, value: &str, reason: &str) -> Refused {
    Refused::value(parameter, value, reason)
}

/// Reads a redrive policy; nothing takes it away.
pub(super) fn target(
    service: &Service<'_>,
    name: &str,
    settings: &Settings,
    text: &str,
) -> Result<Option<Redrive>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |reason: &str| invalid("RedrivePolicy", text, reason);
    let policy: Value =
        serde_json::from_str(text).map_err(|_| wrong("Redrive policy is not a valid JSON map."))?;
    let members = policy.as_object().ok_or_else(|| wrong("Redrive policy is not a valid JSON map."))?;
    if members.keys().any(|member| !["deadLetterTargetArn", "maxReceiveCount"].contains(&member.as_str())) {
        return Err(wrong("Only following attributes are allowed: [deadLetterTargetArn, maxReceiveCount]."));
    }
    let count = &policy["maxReceiveCount"];
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok());
    let count = count.filter(|count| (1..=RECEIVES_MAX).contains(count));
    let count =
        count.ok_or_else(|| wrong("Invalid value for maxReceiveCount: it must be from 1 to 1000."))?;
    let arn = policy["deadLetterTargetArn"].as_str();
    let arn = arn
        .ok_or_else(|| wrong("Redrive policy does not contain mandatory attribute: deadLetterTargetArn."))?;
    let target = service.messaging.config.functions.queue_name(arn);
    let target = target.ok_or_else(|| wrong("Invalid value for deadLetterTargetArn."))?;
    if target == name {
        return Err(wrong("A queue cannot be its own dead letter queue."));
    }
    let found = service.broker().get(target).ok_or_else(|| wrong("Dead letter target does not exist."))?;
    let theirs = found.settings();
    if theirs.fifo != settings.fifo {
        return Err(wrong("Dead letter queue should be of the same type as the source."));
    }
    let allowed = match &theirs.redrive_allow {
        None | Some(RedriveAllow::All) => true,
        Some(RedriveAllow::None) => false,
        Some(RedriveAllow::By(names)) => names.iter().any(|allowed| allowed == name),
    };
    if !allowed {
        return Err(wrong(
            "The dead letter queue does not allow this queue as a source (RedriveAllowPolicy).",
        ));
    }
    let receives_max = u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Some(Redrive { target: target.to_owned(), receives_max }))
}

pub(super) fn shown_target(service: &Service<'_>, redrive: &Redrive) -> String {
    let arn = service.arn(&redrive.target);
    json!({ "deadLetterTargetArn": arn, "maxReceiveCount": redrive.receives_max }).to_string()
}

/// Reads a redrive allow policy; nothing takes it away.
pub(super) fn sources(service: &Service<'_>, text: &str) -> Result<Option<RedriveAllow>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |reason: &str| invalid("RedriveAllowPolicy", text, reason);
    let policy: Value = serde_json::from_str(text).map_err(|_| wrong("It is not a valid JSON map."))?;
    let permission = policy["redrivePermission"].as_str();
    let permission = permission.ok_or_else(|| wrong("It must have a redrivePermission."))?;
    let arns = policy["sourceQueueArns"].as_array();
    match (permission, arns) {
        ("allowAll", None) => Ok(Some(RedriveAllow::All)),
        ("denyAll", None) => Ok(Some(RedriveAllow::None)),
        ("byQueue", Some(arns)) if (1..=SOURCES_MAX).contains(&arns.len()) => {
            let name =
                |arn: &Value| Some(service.messaging.config.functions.queue_name(arn.as_str()?)?.to_owned());
            let names: Option<Vec<String>> = arns.iter().map(name).collect();
            Ok(Some(RedriveAllow::By(names.ok_or_else(|| wrong("sourceQueueArns must be ARNs of queues."))?)))
        }
        ("byQueue", _) => Err(wrong("byQueue needs from 1 to 10 sourceQueueArns.")),
        ("allowAll" | "denyAll", Some(_)) => Err(wrong("sourceQueueArns are only allowed with byQueue.")),
        _ => Err(wrong("redrivePermission must be allowAll, denyAll or byQueue.")),
    }
}

pub(super) fn shown_sources(service: &Service<'_>, allow: &RedriveAllow) -> String {
    match allow {
        RedriveAllow::All => json!({ "redrivePermission": "allowAll" }),
        RedriveAllow::None => json!({ "redrivePermission": "denyAll" }),
        RedriveAllow::By(names) => {
            let arns: Vec<String> = names.iter().map(|name| service.arn(name)).collect();
            json!({ "redrivePermission": "byQueue", "sourceQueueArns": arns })
        }
    }
    .to_string()
}
