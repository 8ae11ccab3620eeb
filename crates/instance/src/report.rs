//! The lines that the platform itself writes into a function's log, byte for byte as Lambda writes them: log processors
//! parse them. As text, or as JSON records of the system log level that is asked for ("System log level event mapping",
//! Lambda developer guide; shapes as in the Telemetry API's event schema). Pure.

use crate::extensions::Extension;
use crate::fault::Fault;
use crate::logging::{Format, Level, Logging};
use crate::telemetry::{Api, Category};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Room for a REPORT line.
const LINE_BYTES: usize = 200;

/// What one invocation took.
pub(crate) struct Report<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) duration: Duration,
    /// Set when this invocation had to wait for the instance to start.
    pub(crate) init: Option<Duration>,
    pub(crate) memory_mb: u32,
    pub(crate) memory_peak_bytes: u64,
    /// Set when the invocation failed: `timeout`, or `error` with the type.
    pub(crate) status: Option<Status<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Status<'a> {
    Timeout,
    Error(&'a str),
    /// The function answered with an error of its own, which the text of REPORT does not mention.
    Reported(&'a str),
}

/// An invocation begins: `START RequestId: … Version: $LATEST`
pub(crate) fn start(logging: &Logging, request_id: &str, version: &str) -> Vec<String> {
    match logging.format {
        Format::Text => vec![["START RequestId: ", request_id, " Version: ", version].concat()],
        Format::Json => {
            let record = json!({"requestId": request_id, "version": version});
            json_line(logging, Level::Info, "start", &record)
        }
    }
}

/// An invocation has ended: `END RequestId: …` and `REPORT …`
pub(crate) fn end(logging: &Logging, report: &Report<'_>) -> Vec<String> {
    match logging.format {
        Format::Text => {
            let mut line = String::with_capacity(LINE_BYTES);
            // Writing to a String cannot fail.
            let _ = write!(line, "{report}");
            vec![["END RequestId: ", report.request_id].concat(), line]
        }
        Format::Json => report.json(logging),
    }
}

/// The platform answers in the function's place.
pub(crate) fn fault(logging: &Logging, request_id: &str, fault: &Fault) -> Vec<String> {
    let lines = match fault {
        Fault::Timeout(_) => {
            let now = time(Timestamp::now());
            vec![format!("{now} {request_id} {}", fault.sentence())]
        }
        Fault::ResponseTooLarge(_) => vec![fault.sentence()],
        other => {
            let line = format!("RequestId: {request_id} Error: {}", other.sentence());
            vec![line, other.error_type().to_owned()]
        }
    };
    match logging.format {
        Format::Text => lines,
        Format::Json => json_line(logging, Level::Warn, "fault", &json!(lines.join("\n"))),
    }
}

/// A start that failed: `INIT_REPORT …`
pub(crate) fn init_failed(logging: &Logging, took: Duration, phase: &str, status: Status<'_>) -> Vec<String> {
    let (word, kind) = match status {
        Status::Timeout => ("timeout", None),
        Status::Error(kind) | Status::Reported(kind) => ("error", Some(kind)),
    };
    match logging.format {
        Format::Text => {
            let kind = kind.map_or_else(String::new, |kind| format!("\tError Type: {kind}"));
            let ms = ms(took);
            vec![format!("INIT_REPORT Init Duration: {ms:.2} ms\tPhase: {phase}\tStatus: {word}{kind}")]
        }
        Format::Json => init_records(logging, Level::Warn, took, phase, word, kind),
    }
}

/// A start that went well, which only JSON at DEBUG tells.
pub(crate) fn init_done(
    logging: &Logging,
    function: &str,
    version: &str,
    phase: &str,
    took: Duration,
) -> Vec<String> {
    if logging.format == Format::Text {
        return Vec::new();
    }
    let record = json!({
        "initializationType": "on-demand", "phase": phase, "functionName": function, "functionVersion": version,
    });
    let mut lines = json_line(logging, Level::Debug, "initStart", &record);
    lines.extend(init_records(logging, Level::Debug, took, phase, "success", None));
    lines
}

/// Where an extension stands at the end of a start: `EXTENSION\tName: …\tState: …\tEvents: […]`
pub(crate) fn extension(logging: &Logging, extension: &Extension) -> Vec<String> {
    let (name, state) = (&extension.name, extension.standing.as_str());
    let events: Vec<&str> = extension.events.iter().map(|event| event.as_str()).collect();
    match logging.format {
        Format::Text => {
            let error = extension.error_type.as_ref();
            let error = error.map_or_else(String::new, |kind| format!("\tError Type: {kind}"));
            vec![format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{}]{error}", events.join(","))]
        }
        Format::Json => json_line(logging, Level::Info, "extension", &extension_record(extension)),
    }
}

/// An extension listens: `TELEMETRY\tName: …\tState: Subscribed\tTypes: […]`, or `LOGS …`
pub(crate) fn subscription(logging: &Logging, api: Api, name: &str, types: &[Category]) -> Vec<String> {
    let (word, kind) = match api {
        Api::Telemetry => ("TELEMETRY", "telemetrySubscription"),
        Api::Logs => ("LOGS", "logsSubscription"),
    };
    let types: Vec<&str> = types.iter().map(|category| category.as_str()).collect();
    match logging.format {
        Format::Text => {
            let types = types.join(", ");
            vec![format!("{word}\tName: {name}\tState: Subscribed\tTypes: [{types}]")]
        }
        Format::Json => {
            let record = json!({"name": name, "state": "Subscribed", "types": types});
            json_line(logging, Level::Info, kind, &record)
        }
    }
}

/// The record of `platform.extension`.
pub(crate) fn extension_record(extension: &Extension) -> Value {
    let events: Vec<&str> = extension.events.iter().map(|event| event.as_str()).collect();
    let mut record = json!({"name": extension.name, "state": extension.standing.as_str(), "events": events});
    if let Some(kind) = &extension.error_type {
        record["errorType"] = json!(kind);
    }
    record
}

fn init_records(
    logging: &Logging,
    level: Level,
    took: Duration,
    phase: &str,
    status: &str,
    kind: Option<&str>,
) -> Vec<String> {
    let mut done = json!({"initializationType": "on-demand", "phase": phase, "status": status});
    if let Some(kind) = kind {
        done["errorType"] = json!(kind);
    }
    let mut report = done.clone();
    report["metrics"] = json!({"durationMs": ms_of(took)});
    let mut lines = json_line(logging, level, "initRuntimeDone", &done);
    lines.extend(json_line(logging, level, "initReport", &report));
    lines
}

fn json_line(logging: &Logging, level: Level, kind: &str, record: &Value) -> Vec<String> {
    if level < logging.system_log_level {
        return Vec::new();
    }
    // The order of the members is Lambda's, which a map would not keep.
    let now = time(Timestamp::now());
    vec![format!(r#"{{"time":"{now}","type":"platform.{kind}","record":{record}}}"#)]
}

/// `2026-11-21T12:00:00.000Z`
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Milliseconds to two places.
pub(crate) fn ms_of(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

impl Report<'_> {
    /// Milliseconds, rounded up. Since August 2025 the time of a cold start is billed too.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number, one or more"
    )]
    pub(crate) fn billed_ms(&self) -> u64 {
        (ms(self.duration) + self.init.map_or(0.0, ms)).ceil().max(1.0) as u64
    }

    /// What the meter counts.
    pub(crate) fn run(&self) -> meter::Run {
        meter::Run {
            duration: self.duration,
            billed_ms: self.billed_ms(),
            memory_mb: self.memory_mb,
            failed: self.status.is_some(),
            extensions: None,
        }
    }

    fn used_mb(&self) -> u64 {
        self.memory_peak_bytes.div_ceil(1024 * 1024).min(u64::from(self.memory_mb))
    }

    /// How it ended, and the type of the error.
    pub(crate) fn outcome(&self) -> (&'static str, Option<&str>) {
        match self.status {
            None => ("success", None),
            Some(Status::Timeout) => ("timeout", None),
            Some(Status::Error(kind) | Status::Reported(kind)) => ("error", Some(kind)),
        }
    }

    /// The figures of `platform.report`.
    pub(crate) fn metrics(&self) -> Value {
        let mut metrics = json!({
            "durationMs": ms_of(self.duration),
            "billedDurationMs": self.billed_ms(),
            "memorySizeMB": self.memory_mb,
            "maxMemoryUsedMB": self.used_mb(),
        });
        if let Some(init) = self.init {
            metrics["initDurationMs"] = json!(ms_of(init));
        }
        metrics
    }

    fn json(&self, logging: &Logging) -> Vec<String> {
        let (status, kind) = self.outcome();
        let failed = self.status.is_some();
        let mut done = json!({"requestId": self.request_id, "status": status});
        done["metrics"] = json!({"durationMs": ms_of(self.duration)});
        let mut report = json!({"requestId": self.request_id, "status": status});
        report["metrics"] = self.metrics();
        if let Some(kind) = kind {
            done["errorType"] = json!(kind);
            report["errorType"] = json!(kind);
        }
        let level = |else_level| if failed { Level::Warn } else { else_level };
        let mut lines = json_line(logging, level(Level::Debug), "runtimeDone", &done);
        lines.extend(json_line(logging, level(Level::Info), "report", &report));
        lines
    }
}

impl std::fmt::Display for Report<'_> {
    /// `REPORT RequestId: …\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t…`, each field followed by a
    /// tab.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "REPORT RequestId: {}\tDuration: {:.2} ms\t", self.request_id, ms(self.duration))?;
        write!(f, "Billed Duration: {} ms\tMemory Size: {} MB\t", self.billed_ms(), self.memory_mb)?;
        write!(f, "Max Memory Used: {} MB\t", self.used_mb())?;
        if let Some(init) = self.init {
            write!(f, "Init Duration: {:.2} ms\t", ms(init))?;
        }
        match self.status {
            Some(Status::Timeout) => write!(f, "Status: timeout"),
            Some(Status::Error(kind)) => write!(f, "Status: error\tError Type: {kind}"),
            Some(Status::Reported(_)) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
