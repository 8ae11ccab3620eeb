//! Log events: FilterLogEvents, GetLogEvents, PutLogEvents.

use super::pattern::Pattern;
use super::{Answer, Input, Refused};
use crate::Door;
use jiff::Timestamp;
use managed::{EventQuery, LogEvent, LogPosition, Start, Streams};
use serde_json::{Map, Value, json};
use wire::NAMESPACE;

/// The most events that one request reads, and puts.
const EVENTS_MAX: usize = 10_000;

/// The most that one request puts: 1 MiB, each event with 26 bytes for what belongs to it.
const PUT_BYTES_MAX: usize = 1024 * 1024;
const EVENT_BYTES: usize = 26;

/// The longest filter pattern, in characters.
const PATTERN_MAX: usize = 1024;

const HOUR_MS: i64 = 3_600_000;

pub(super) async fn filter(door: &Door, input: &Input) -> Answer {
    let group = input.group(door)?;
    let named = input.list("logStreamNames")?.map(|names| names.iter().filter_map(Value::as_str));
    let streams = match (named, input.text("logStreamNamePrefix")?) {
        (Some(_), Some(_)) => {
            return Err(Refused::invalid(
                "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.",
            ));
        }
        (Some(names), None) => Streams::Named(names.map(str::to_owned).collect()),
        (None, Some(prefix)) => Streams::Prefix(prefix.to_owned()),
        (None, None) => Streams::All,
    };
    let pattern = input.text("filterPattern")?.unwrap_or_default();
    if pattern.chars().count() > PATTERN_MAX {
        return Err(Refused::invalid(format!(
            "1 validation error detected: Value '{pattern}' at 'filterPattern' failed to satisfy constraint: \
             Member must have length less than or equal to {PATTERN_MAX}"
        )));
    }
    let pattern = Pattern::read(pattern);
    let pattern = pattern.map_err(|why| Refused::invalid(format!("Invalid filter pattern: {why}")))?;
    let start = match input.text("nextToken")? {
        Some(token) => Start::After(position(token)?),
        None => Start::Head,
    };
    let query = EventQuery {
        streams,
        from_ms: input.number("startTime")?,
        // The end is included here, and is not for GetLogEvents.
        before_ms: input.number("endTime")?.map(|end| end.saturating_add(1)),
        start,
        limit: input.limit(EVENTS_MAX, EVENTS_MAX)?,
    };
    let read = door.config.functions.with_logs(move |logs| {
        Ok(logs.group(NAMESPACE, &group)?.events(&query, &|message| pattern.matches(message))?)
    });
    let page = read.await?;
    let events: Vec<Value> = page.events.iter().map(filtered).collect();
    let mut answer = json!({ "events": events, "searchedLogStreams": [] });
    if let Some(last) = page.events.last().filter(|_| page.more) {
        answer["nextToken"] = json!(token(last.position));
    }
    Ok(answer)
}

fn filtered(event: &LogEvent) -> Value {
    let mut shown = shown(event);
    shown["logStreamName"] = json!(event.stream);
    shown["eventId"] = json!(token(event.position));
    shown
}

fn shown(event: &LogEvent) -> Value {
    let at = event.position.time_ms;
    json!({ "timestamp": at, "message": event.message, "ingestionTime": at })
}

pub(super) async fn get(door: &Door, input: &Input) -> Answer {
    let group = input.group(door)?;
    let stream = input.stream()?.to_owned();
    let given = input.text("nextToken")?;
    let start = match given.map(|token| (token.split_at_checked(2), token)) {
        None if input.flag("startFromHead")? => Start::Head,
        None => Start::Tail,
        Some((Some(("f/", at)), _)) => Start::After(position(at)?),
        Some((Some(("b/", at)), _)) => Start::Before(position(at)?),
        Some(_) => return Err(Refused::invalid("The specified nextToken is invalid.")),
    };
    let query = EventQuery {
        streams: Streams::Named(vec![stream.clone()]),
        from_ms: input.number("startTime")?,
        before_ms: input.number("endTime")?,
        start,
        limit: input.limit(EVENTS_MAX, EVENTS_MAX)?,
    };
    let read = door.config.functions.with_logs(move |logs| {
        let log = logs.group(NAMESPACE, &group)?;
        let page = log.events(&query, &|_| true)?;
        if page.events.is_empty() && !log.streams()?.iter().any(|known| known.name == stream) {
            return Err(managed::GroupError::NoStream);
        }
        Ok(page)
    });
    let page = read.await?;
    // At the end a token leads to itself: that is how readers know that they are there.
    let here = match start {
        Start::After(at) | Start::Before(at) => at,
        Start::Head | Start::Tail => LogPosition::default(),
    };
    let first = page.events.first().map_or(here, |event| event.position);
    let last = page.events.last().map_or(here, |event| event.position);
    Ok(json!({
        "events": page.events.iter().map(shown).collect::<Vec<_>>(),
        "nextForwardToken": format!("f/{}", token(last)),
        "nextBackwardToken": format!("b/{}", token(first)),
    }))
}

/// 56 digits, as AWS's tokens and event ids have.
fn token(at: LogPosition) -> String {
    format!("{:020}{:036}", at.time_ms, at.place)
}

fn position(token: &str) -> Result<LogPosition, Refused> {
    let read = |token: &str| {
        let (time, place) = token.split_at_checked(20).filter(|_| token.len() == 56)?;
        Some(LogPosition { time_ms: time.parse().ok()?, place: place.parse().ok()? })
    };
    read(token).ok_or_else(|| Refused::invalid("The specified nextToken is invalid."))
}

pub(super) async fn put(door: &Door, input: &Input) -> Answer {
    let (group, stream) = (input.group(door)?, input.stream()?.to_owned());
    let given = input.list("logEvents")?.ok_or_else(|| Refused::missing("logEvents"))?;
    let events = given.iter().map(event).collect::<Result<Vec<(i64, String)>, Refused>>()?;
    check(&events)?;
    let now = Timestamp::now().as_millisecond();
    let (old, new) = (now - 14 * 24 * HOUR_MS, now + 2 * HOUR_MS);
    let mut rejected = Map::new();
    if let Some(last) = events.iter().rposition(|(at, _)| *at < old) {
        rejected.insert("tooOldLogEventEndIndex".to_owned(), json!(last + 1));
    }
    if let Some(first) = events.iter().position(|(at, _)| *at > new) {
        rejected.insert("tooNewLogEventStartIndex".to_owned(), json!(first));
    }
    let taken: Vec<(i64, String)> = events.into_iter().filter(|(at, _)| (old..=new).contains(at)).collect();
    door.config.functions.with_logs(move |logs| logs.put(NAMESPACE, &group, &stream, &taken)).await?;
    // Tokens have no meaning any more, but clients keep what they get.
    let mut answer = json!({ "nextSequenceToken": token(LogPosition { time_ms: now, place: 0 }) });
    if !rejected.is_empty() {
        answer["rejectedLogEventsInfo"] = Value::Object(rejected);
    }
    Ok(answer)
}

fn event(event: &Value) -> Result<(i64, String), Refused> {
    let at = event["timestamp"].as_i64().filter(|at| *at >= 0);
    let message = event["message"].as_str().filter(|message| !message.is_empty());
    match (at, message) {
        (Some(at), Some(message)) => Ok((at, message.to_owned())),
        (None, _) => Err(Refused::missing("logEvents.member.timestamp")),
        (_, None) => Err(Refused::missing("logEvents.member.message")),
    }
}

fn check(events: &[(i64, String)]) -> Result<(), Refused> {
    let bytes: usize = events.iter().map(|(_, message)| message.len() + EVENT_BYTES).sum();
    if events.is_empty() || events.len() > EVENTS_MAX {
        return Err(Refused::invalid(format!(
            "Log events in a single PutLogEvents request must be 1 to {EVENTS_MAX}."
        )));
    }
    if bytes > PUT_BYTES_MAX {
        return Err(Refused::invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {PUT_BYTES_MAX}"
        )));
    }
    if !events.is_sorted_by_key(|(at, _)| *at) {
        return Err(Refused::invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let span = events.last().map_or(0, |(at, _)| *at) - events.first().map_or(0, |(at, _)| *at);
    if span > 24 * HOUR_MS {
        return Err(Refused::invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(())
}
