//! Starts that failed: why, and what becomes of the invocation that waited for one.

use super::Instance;
use crate::extensions::Reason;
use crate::fault::Fault;
use crate::logging::Logging;
use crate::report::{self, Report, Status};
use bytes::Bytes;
use std::time::Duration;

/// Why an instance never became ready.
#[derive(Debug, Clone)]
pub enum InitFailure {
    /// The runtime said so, with an error document of its own.
    Reported {
        /// The document.
        payload: Bytes,
        /// Its type, as the runtime names it.
        error_type: String,
    },
    /// It ended or took too long.
    Fault(Fault),
    /// The machine could not start it.
    Machine(String),
}

impl InitFailure {
    fn status(&self) -> Status<'_> {
        match self {
            InitFailure::Fault(Fault::InitTimeout(_)) => Status::Timeout,
            InitFailure::Fault(fault) => Status::Error(fault.report_type()),
            InitFailure::Reported { error_type, .. } => Status::Error(error_type),
            InitFailure::Machine(_) => Status::Error("Sandbox.Failure"),
        }
    }
}

impl Instance {
    /// Stops one that did not become ready, and writes the last lines about its start; the end of what was logged during
    /// it.
    pub fn end_start(self: &std::sync::Arc<Self>, failure: &InitFailure) -> Bytes {
        self.extensions.ends_for(match failure {
            InitFailure::Fault(Fault::InitTimeout(_)) => Reason::Timeout,
            _ => Reason::Failure,
        });
        let status = failure.status();
        self.tell_init_failed(status);
        let mut lines = self.extension_lines();
        lines.extend(report::init_failed(&self.logging, self.age(), self.phase, status));
        let log_tail = self.journal.end_start(&lines);
        self.stop();
        log_tail
    }
}

/// An invocation that waited for an instance which never came: there is none to write its lines.
pub struct Unserved<'a> {
    /// The id that its lines carry.
    pub request_id: &'a str,
    /// The version that should have run.
    pub version: &'a str,
    /// Memory in MB, as the function is billed for it.
    pub memory_mb: u32,
    /// How the function logs.
    pub logging: &'a Logging,
    /// How long it waited.
    pub waited: Duration,
}

/// What becomes of it.
pub struct FailedStart {
    /// The error document.
    pub payload: Bytes,
    /// START, what went wrong, END and REPORT.
    pub lines: Vec<String>,
    /// What it took.
    pub run: meter::Run,
}

impl Unserved<'_> {
    /// What the runtime or the platform has to say about the start is the function's answer. A failure of the machine is
    /// none, and comes back as it is.
    pub fn answer(&self, failure: InitFailure) -> Result<FailedStart, String> {
        let Unserved { request_id, version, memory_mb, logging, waited } = *self;
        let mut lines = report::start(logging, request_id, version);
        let (payload, error_type) = match failure {
            InitFailure::Machine(reason) => return Err(reason),
            InitFailure::Reported { payload, error_type } => (payload, error_type),
            InitFailure::Fault(fault) => {
                lines.extend(report::fault(logging, request_id, &fault));
                (fault.document(request_id), fault.report_type().to_owned())
            }
        };
        let timed_out = error_type == "Sandbox.Timedout";
        let status = if timed_out { Status::Timeout } else { Status::Error(&error_type) };
        let (init, memory_peak_bytes, status) = (None, 0, Some(status));
        let report = Report { request_id, duration: waited, init, memory_mb, memory_peak_bytes, status };
        lines.extend(report::end(logging, &report));
        Ok(FailedStart { payload, lines, run: report.run() })
    }
}
