//! Counters of the gateway, for whoever prints metrics.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// What went through the gateway since it started.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) requests: AtomicU64,
    pub(crate) function_requests: AtomicU64,
    pub(crate) client_errors: AtomicU64,
    pub(crate) server_errors: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) upgrades: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Metrics {
    /// One more.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Appends the counters in the Prometheus text format.
    pub fn write(&self, text: &mut String) {
        let rows = [
            ("requests_total", "Requests received.", &self.requests),
            ("function_requests_total", "Requests of function URLs.", &self.function_requests),
            ("client_errors_total", "Answers from 400 to 499.", &self.client_errors),
            ("server_errors_total", "Answers from 500 on.", &self.server_errors),
            ("retries_total", "Requests sent to a second endpoint.", &self.retries),
            ("upgrades_total", "Connections upgraded, as for WebSocket.", &self.upgrades),
            ("panics_total", "Requests that met a bug.", &self.panics),
        ];
        for (name, help, counter) in rows {
            let value = counter.load(Ordering::Relaxed);
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "# HELP dory_gateway_{name} {help}\n# TYPE dory_gateway_{name} counter\ndory_gateway_{name} {value}\n"
            );
        }
    }
}
