//! Log streams: DescribeLogStreams, CreateLogStream.

use super::{Answer, Input, Refused, group_arn, page};
use crate::Door;
use managed::LogStream;
use serde_json::{Value, json};
use wire::NAMESPACE;

pub(super) async fn describe(door: &Door, input: &Input) -> Answer {
    let limit = input.limit(50, 50)?;
    let group = input.group(door)?;
    let prefix = input.text("logStreamNamePrefix")?;
    let by_time = match input.text("orderBy")? {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(other) => {
            return Err(Refused::invalid(format!(
                "1 validation error detected: Value '{other}' at 'orderBy' failed to satisfy constraint: Member must \
                 satisfy enum value set: [LogStreamName, LastEventTime]"
            )));
        }
    };
    if by_time && prefix.is_some() {
        return Err(Refused::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let name = group.clone();
    let read = door.config.functions.with_logs(move |logs| Ok(logs.group(NAMESPACE, &name)?.streams()?));
    let mut streams: Vec<LogStream> = read.await?;
    streams.retain(|stream| prefix.is_none_or(|prefix| stream.name.starts_with(prefix)));
    if by_time {
        streams.sort_by_key(|stream| stream.last_ms);
    }
    if input.flag("descending")? {
        streams.reverse();
    }
    let (streams, next) = page(streams, input.text("nextToken")?, limit, |stream| stream.name.clone());
    let shown: Vec<Value> = streams.iter().map(|stream| shown(door, &group, stream)).collect();
    let mut answer = json!({ "logStreams": shown });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

fn shown(door: &Door, group: &str, stream: &LogStream) -> Value {
    let mut shown = json!({
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": format!("{}:log-stream:{}", group_arn(door, group), stream.name),
        "storedBytes": 0,
    });
    for (member, at) in [
        ("firstEventTimestamp", stream.first_ms),
        ("lastEventTimestamp", stream.last_ms),
        ("lastIngestionTime", stream.last_ms),
    ] {
        if let Some(at) = at {
            shown[member] = json!(at);
        }
    }
    shown
}

pub(super) async fn create(door: &Door, input: &Input) -> Answer {
    let (group, stream) = (input.group(door)?, input.stream()?.to_owned());
    door.config.functions.with_logs(move |logs| logs.create_stream(NAMESPACE, &group, &stream)).await?;
    Ok(Value::Null)
}
