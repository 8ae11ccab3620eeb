//! One thing that extensions hear of, and the record that tells it: shapes as in "Telemetry API Event schema reference" and
//! "Using the Lambda Logs API" (Lambda developer guide), which differ. Pure.

use super::subscription::{Api, Schema};
use crate::logging::Format;
use crate::report::{Report, ms_of, time};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What an extension can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    Platform,
    Function,
    Extension,
}

impl Category {
    pub(super) fn read(text: &str) -> Option<Category> {
        match text {
            "platform" => Some(Category::Platform),
            "function" => Some(Category::Function),
            "extension" => Some(Category::Extension),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Category::Platform => "platform",
            Category::Function => "function",
            Category::Extension => "extension",
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Something that the platform did: its name after `platform.`, and the record of the Telemetry API.
    Platform(&'static str, Value),
    /// The function or an extension printed a line.
    Line(Category, String),
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) time: Timestamp,
    pub(crate) kind: Kind,
}

/// How the runtime did with an invocation.
pub(crate) struct InvocationDone<'a> {
    pub(crate) report: &'a Report<'a>,
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) started: Instant,
    /// When there was an answer.
    pub(crate) answered: Option<Instant>,
    /// When the runtime asked for the next event.
    pub(crate) runtime_done: Option<Instant>,
    pub(crate) produced_bytes: Option<usize>,
}

impl Event {
    fn platform(name: &'static str, record: Value) -> Event {
        Event { time: Timestamp::now(), kind: Kind::Platform(name, record) }
    }

    /// An instance begins to start.
    pub(crate) fn init_start(
        how: &str,
        phase: &str,
        function: &str,
        version: &str,
        instance: &str,
        memory_mb: u32,
    ) -> Event {
        let record = json!({
            "initializationType": how, "phase": phase, "functionName": function, "functionVersion": version,
            "instanceId": instance, "instanceMaxMemory": u64::from(memory_mb) * 1024 * 1024,
        });
        Event::platform("initStart", record)
    }

    /// The runtime has started, or not.
    pub(crate) fn init_runtime_done(how: &str, phase: &str, status: &str, error_type: Option<&str>) -> Event {
        let mut record = json!({"initializationType": how, "phase": phase, "status": status});
        if let Some(error_type) = error_type {
            record["errorType"] = json!(error_type);
        }
        Event::platform("initRuntimeDone", record)
    }

    /// The start is over.
    pub(crate) fn init_report(
        how: &str,
        phase: &str,
        status: &str,
        error_type: Option<&str>,
        took: Duration,
    ) -> Event {
        let Event { time, kind } = Event::init_runtime_done(how, phase, status, error_type);
        let Kind::Platform(_, mut record) = kind else { return Event { time, kind } };
        record["metrics"] = json!({"durationMs": ms_of(took)});
        Event { time, kind: Kind::Platform("initReport", record) }
    }

    /// Where an extension stands.
    pub(crate) fn extension(record: Value) -> Event {
        Event::platform("extension", record)
    }

    /// An extension listens.
    pub(crate) fn subscription(api: Api, name: &str, types: &[Category]) -> Event {
        let types: Vec<&str> = types.iter().map(|category| category.as_str()).collect();
        let record = json!({"name": name, "state": "Subscribed", "types": types});
        Event::platform(subscription_name(api), record)
    }

    /// An invocation begins.
    pub(crate) fn start(request_id: &str, version: &str, trace_id: Option<&str>) -> Event {
        let mut record = json!({"requestId": request_id, "version": version});
        trace(&mut record, trace_id);
        Event::platform("start", record)
    }

    /// The platform answers in the function's place.
    pub(crate) fn fault(text: &str) -> Event {
        Event::platform("fault", json!(text))
    }

    /// Somebody did not keep up.
    pub(super) fn dropped(records: u64, bytes: u64) -> Event {
        let reason = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.";
        let record = json!({"reason": reason, "droppedRecords": records, "droppedBytes": bytes});
        Event::platform("logsDropped", record)
    }

    pub(super) fn category(&self) -> Category {
        match self.kind {
            Kind::Platform(..) => Category::Platform,
            Kind::Line(category, _) => category,
        }
    }

    /// As this schema has it; `None` for what it does not have. `format` is the function's log format.
    pub(super) fn record(&self, schema: Schema, format: Format) -> Option<String> {
        let (name, record) = match &self.kind {
            Kind::Platform(name, record) => (format!("platform.{name}"), platform(schema, name, record)?),
            Kind::Line(category, text) => (category.as_str().to_owned(), line(schema, format, text)),
        };
        let time = time(self.time);
        // The order of the members is Lambda's, which a map would not keep.
        Some(format!(r#"{{"time":"{time}","type":"{name}","record":{record}}}"#))
    }
}

impl InvocationDone<'_> {
    /// The runtime is done with it.
    pub(crate) fn runtime_done(&self) -> Event {
        let mut record = self.outcome();
        let end = self.runtime_done.unwrap_or_else(Instant::now);
        record["metrics"] = json!({"durationMs": ms_of(end - self.started)});
        if let Some(bytes) = self.produced_bytes {
            record["metrics"]["producedBytes"] = json!(bytes);
        }
        if let Some(answered) = self.answered {
            let spans = [
                span("responseLatency", self.started, answered),
                span("responseDuration", answered, answered),
                span("runtimeOverhead", answered, end),
            ];
            record["spans"] = json!(spans);
        }
        Event::platform("runtimeDone", record)
    }

    /// It is over, also for extensions. The Logs API has a record of its own for the end.
    pub(crate) fn report(&self) -> [Event; 2] {
        let mut record = self.outcome();
        record["metrics"] = self.report.metrics();
        if let Some(done) = self.runtime_done {
            record["spans"] = json!([span("extensionOverhead", done, Instant::now())]);
        }
        let end = json!({"requestId": self.report.request_id});
        [Event::platform("end", end), Event::platform("report", record)]
    }

    fn outcome(&self) -> Value {
        let (status, error_type) = self.report.outcome();
        let mut record = json!({"requestId": self.report.request_id, "status": status});
        if let Some(error_type) = error_type {
            record["errorType"] = json!(error_type);
        }
        trace(&mut record, self.trace_id);
        record
    }
}

fn subscription_name(api: Api) -> &'static str {
    match api {
        Api::Telemetry => "telemetrySubscription",
        Api::Logs => "logsSubscription",
    }
}

fn trace(record: &mut Value, trace_id: Option<&str>) {
    if let Some(trace_id) = trace_id {
        record["tracing"] = json!({"type": "X-Amzn-Trace-Id", "value": trace_id});
    }
}

fn span(name: &str, from: Instant, to: Instant) -> Value {
    let began =
        Timestamp::now().as_millisecond() - i64::try_from(from.elapsed().as_millis()).unwrap_or_default();
    let began = Timestamp::from_millisecond(began).unwrap_or_default();
    json!({"name": name, "start": time(began), "durationMs": ms_of(to - from)})
}

/// What a schema makes of a record of the platform.
fn platform(schema: Schema, name: &str, record: &Value) -> Option<Value> {
    let old = matches!(schema, Schema::Logs2020 | Schema::Logs2021);
    let only = |members: &[&str]| {
        let kept = members.iter().map(|name| ((*name).to_owned(), record[*name].clone()));
        Value::Object(kept.filter(|(_, value)| !value.is_null()).collect())
    };
    match name {
        "end" | "fault" => old.then(|| record.clone()),
        "initStart" | "initRuntimeDone" | "initReport" => (!old).then(|| record.clone()),
        "start" if old => Some(only(&["requestId", "version"])),
        "report" if old => Some(only(&["requestId", "metrics"])),
        "runtimeDone" if schema == Schema::Logs2020 => None,
        "runtimeDone" if old => Some(only(&["requestId", "status"])),
        _ => Some(record.clone()),
    }
}

/// A line as text; as what it is when it is JSON, the function logs JSON, and the schema knows that.
fn line(schema: Schema, format: Format, text: &str) -> Value {
    if schema == Schema::TelemetryObjects
        && format == Format::Json
        && text.trim_start().starts_with('{')
        && let Ok(object) = serde_json::from_str(text)
    {
        return object;
    }
    json!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(event: &Event, schema: Schema) -> Option<Value> {
        let record = event.record(schema, Format::Json)?;
        let record: Value = serde_json::from_str(&record).expect("JSON");
        Some(json!([record["type"], record["record"]]))
    }

    #[test]
    fn each_api_has_its_own_shapes() {
        let start = Event::start("8f5", "7", Some("Root=1-2"));
        let tracing = json!({"type": "X-Amzn-Trace-Id", "value": "Root=1-2"});
        let whole = json!(["platform.start", {"requestId": "8f5", "version": "7", "tracing": tracing}]);
        assert_eq!(told(&start, Schema::Telemetry2022), Some(whole));
        let old = json!(["platform.start", {"requestId": "8f5", "version": "7"}]);
        assert_eq!(told(&start, Schema::Logs2020), Some(old));
        let init = Event::init_start("on-demand", "init", "hello", "7", "8f5", 128);
        assert!(told(&init, Schema::Logs2021).is_none() && told(&init, Schema::Telemetry2022).is_some());
        let fault = Event::fault("Task timed out");
        assert_eq!(told(&fault, Schema::Logs2021), Some(json!(["platform.fault", "Task timed out"])));
        assert!(told(&fault, Schema::TelemetryObjects).is_none());
    }

    #[test]
    fn lines_of_json_are_objects_where_the_schema_knows_that() {
        let line = |text: &str, schema| {
            let kind = Kind::Line(Category::Function, text.to_owned());
            told(&Event { time: Timestamp::now(), kind }, schema).expect("a record")[1].clone()
        };
        let text = r#"{"level":"INFO","message":"hi"}"#;
        assert_eq!(line(text, Schema::TelemetryObjects), json!({"level": "INFO", "message": "hi"}));
        assert_eq!(line(text, Schema::Telemetry2022), json!(text));
        assert_eq!(line("plain", Schema::TelemetryObjects), json!("plain"));
        assert_eq!(line("{broken", Schema::TelemetryObjects), json!("{broken"));
    }
}
