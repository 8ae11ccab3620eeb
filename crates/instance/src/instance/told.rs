//! What an instance tells those who listen to its telemetry, and who they are.

use super::{Instance, Work};
use crate::extensions::{Pending, Refused};
use crate::report::{self, Report, Status};
use crate::telemetry::{self, Api, Event, InvocationDone, Unfit};
use http::StatusCode;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Why a subscription was refused.
pub(crate) enum Unsubscribed {
    /// Who asks is not known, or it is too late.
    Forbidden(Refused),
    /// The document is wrong.
    Invalid(StatusCode, String),
}

impl Instance {
    /// An extension subscribes.
    pub(crate) fn subscribe(&self, api: Api, id: &str, document: &[u8]) -> Result<(), Unsubscribed> {
        let name = self.extensions.name_of(id).map_err(Unsubscribed::Forbidden)?;
        let (closed, what) = match api {
            Api::Telemetry => ("Telemetry.SubscriptionClosed", "Telemetry"),
            Api::Logs => ("Logs.SubscriptionClosed", "Logs"),
        };
        let types = self.telemetry.subscribe(api, &name, document, &self.sandbox);
        let types = types.map_err(|refused| match refused {
            telemetry::Refused::Closed => {
                let message = format!("{what} API subscription is closed already");
                Unsubscribed::Forbidden(Refused { kind: closed, message })
            }
            telemetry::Refused::Unfit(Unfit(reason)) => {
                Unsubscribed::Invalid(StatusCode::BAD_REQUEST, reason)
            }
            telemetry::Refused::OtherApi => {
                let reason = "The other of the Telemetry API and the Logs API is subscribed to already";
                Unsubscribed::Invalid(StatusCode::BAD_REQUEST, reason.to_owned())
            }
        })?;
        self.telemetry.tell(|| Event::subscription(api, &name, &types));
        self.journal.note(&report::subscription(&self.logging, api, &name, &types));
        Ok(())
    }

    pub(crate) fn tell_init_start(&self) {
        let (how, memory_mb) = (self.how(), self.memory_mb);
        self.telemetry
            .tell(|| Event::init_start(how, self.phase, &self.function, &self.version, &self.id, memory_mb));
    }

    pub(super) fn tell_runtime_started(&self) {
        self.telemetry.tell(|| Event::init_runtime_done(self.how(), self.phase, "success", None));
    }

    pub(super) fn tell_initialized(&self, took: Duration) {
        self.tell_extensions();
        self.telemetry.tell(|| Event::init_report(self.how(), self.phase, "success", None, took));
        self.telemetry.close();
    }

    pub(super) fn tell_init_failed(&self, status: Status<'_>) {
        let phase = self.phase;
        let (word, kind) = match status {
            Status::Timeout => ("timeout", None),
            Status::Error(kind) | Status::Reported(kind) => ("error", Some(kind)),
        };
        self.telemetry.tell(|| Event::init_runtime_done(self.how(), phase, word, kind));
        self.tell_extensions();
        self.telemetry.tell(|| Event::init_report(self.how(), phase, word, kind, self.age()));
        self.telemetry.close();
    }

    fn tell_extensions(&self) {
        if self.telemetry.is_heard() {
            for record in self.extensions.each(report::extension_record) {
                self.telemetry.tell(|| Event::extension(record));
            }
        }
    }

    pub(super) fn tell_start(&self, work: &Work) {
        let trace_id = work.trace_id.as_deref();
        self.telemetry.tell(|| Event::start(&work.request_id, &self.version, trace_id));
    }

    /// The runtime asks for its next event: it is done with the one before.
    pub(super) fn runtime_done(&self) {
        let mut pending = self.extensions.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pending) = &mut *pending else { return };
        pending.runtime_done = Some(Instant::now());
        self.tell_runtime_done(pending);
    }

    fn tell_runtime_done(&self, pending: &Pending) {
        let report = Report {
            request_id: &pending.request_id,
            duration: pending.started.elapsed(),
            init: None,
            memory_mb: self.memory_mb,
            memory_peak_bytes: 0,
            status: pending.failure.as_ref().map(|failure| failure.status()),
        };
        let trace_id = self.extensions.trace_id();
        self.telemetry.tell(|| done(&report, trace_id.as_deref(), pending).runtime_done());
    }

    /// An invocation that was answered is over.
    pub(super) fn tell_report(&self, report: &Report<'_>, pending: &Pending) {
        if !self.telemetry.is_heard() {
            return;
        }
        let trace_id = self.extensions.trace_id();
        let done = done(report, trace_id.as_deref(), pending);
        if pending.runtime_done.is_none() {
            self.telemetry.tell(|| done.runtime_done());
        }
        for event in done.report() {
            self.telemetry.tell(|| event);
        }
    }

    /// An invocation ends with the instance.
    pub(super) fn tell_failed(&self, report: &Report<'_>, started: Instant) {
        if !self.telemetry.is_heard() {
            return;
        }
        let trace_id = self.extensions.trace_id();
        let trace_id = trace_id.as_deref();
        let (answered, runtime_done, produced_bytes) = (None, None, None);
        let done = InvocationDone { report, trace_id, started, answered, runtime_done, produced_bytes };
        self.telemetry.tell(|| done.runtime_done());
        for event in done.report() {
            self.telemetry.tell(|| event);
        }
    }

    /// The platform answers in the function's place.
    pub(super) fn tell_fault(&self, lines: &[String]) {
        self.telemetry.tell(|| Event::fault(&lines.join(" ")));
    }

    fn how(&self) -> &'static str {
        if self.is_kept() { "provisioned-concurrency" } else { "on-demand" }
    }
}

fn done<'a>(report: &'a Report<'a>, trace_id: Option<&'a str>, pending: &Pending) -> InvocationDone<'a> {
    InvocationDone {
        report,
        trace_id,
        started: pending.started,
        answered: Some(pending.answered),
        runtime_done: pending.runtime_done,
        produced_bytes: Some(pending.produced_bytes),
    }
}
