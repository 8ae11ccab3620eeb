//! Log groups: DescribeLogGroups, CreateLogGroup, DeleteLogGroup, and how long events are kept.

use super::{Answer, Input, Refused, group_arn, of_identifier, page};
use crate::Door;
use managed::LogGroup;
use serde_json::{Value, json};
use wire::NAMESPACE;

/// What AWS accepts as a retention, in days.
const RETENTIONS: &[u32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

pub(super) async fn describe(door: &Door, input: &Input) -> Answer {
    let limit = input.limit(50, 50)?;
    let (prefix, pattern) = (input.text("logGroupNamePrefix")?, input.text("logGroupNamePattern")?);
    if prefix.is_some() && pattern.is_some() {
        return Err(Refused::invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    if input.text("logGroupClass")?.is_some_and(|class| class != "STANDARD") {
        return Ok(json!({"logGroups": []}));
    }
    let identifiers = input.list("logGroupIdentifiers")?.map(|all| {
        all.iter()
            .filter_map(Value::as_str)
            .map(|one| of_identifier(door, one))
            .collect::<Result<Vec<_>, _>>()
    });
    let identifiers = identifiers.transpose()?;
    let wanted = |group: &LogGroup| {
        prefix.is_none_or(|prefix| group.name.starts_with(prefix))
            && pattern.is_none_or(|pattern| group.name.to_lowercase().contains(&pattern.to_lowercase()))
            && identifiers.as_ref().is_none_or(|all| all.contains(&group.name.as_str()))
    };
    let all = door.config.functions.with_logs(|logs| Ok(logs.groups(NAMESPACE)?)).await?;
    let all: Vec<LogGroup> = all.into_iter().filter(wanted).collect();
    let (groups, next) = page(all, input.text("nextToken")?, limit, |group| group.name.clone());
    let groups: Vec<Value> = groups.iter().map(|group| shown(door, group)).collect();
    let mut answer = json!({ "logGroups": groups });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

fn shown(door: &Door, group: &LogGroup) -> Value {
    let arn = group_arn(door, &group.name);
    let mut shown = json!({
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "storedBytes": group.stored_bytes,
        "logGroupClass": "STANDARD",
        "logGroupArn": arn,
    });
    if let Some(days) = group.retention_days {
        shown["retentionInDays"] = json!(days);
    }
    shown
}

pub(super) async fn create(door: &Door, input: &Input) -> Answer {
    let group = input.group(door)?;
    if input.text("logGroupClass")?.is_some_and(|class| class != "STANDARD") {
        return Err(Refused::invalid("logGroupClass other than STANDARD is not supported by dory."));
    }
    door.config.functions.with_logs(move |logs| logs.create_group(NAMESPACE, &group)).await?;
    Ok(Value::Null)
}

pub(super) async fn delete(door: &Door, input: &Input) -> Answer {
    let group = input.group(door)?;
    door.config.functions.with_logs(move |logs| logs.delete_group(NAMESPACE, &group)).await?;
    Ok(Value::Null)
}

pub(super) async fn retain(door: &Door, input: &Input) -> Answer {
    let days = input.number("retentionInDays")?.ok_or_else(|| Refused::missing("retentionInDays"))?;
    let days = u32::try_from(days).ok().filter(|days| RETENTIONS.contains(days));
    let days = days.ok_or_else(|| {
        Refused::invalid(format!(
            "retentionInDays must be one of {}",
            RETENTIONS.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
        ))
    })?;
    set(door, input, Some(days)).await
}

pub(super) async fn keep(door: &Door, input: &Input) -> Answer {
    set(door, input, None).await
}

async fn set(door: &Door, input: &Input, days: Option<u32>) -> Answer {
    let group = input.group(door)?;
    door.config.functions.with_logs(move |logs| logs.retain(NAMESPACE, &group, days)).await?;
    Ok(Value::Null)
}
