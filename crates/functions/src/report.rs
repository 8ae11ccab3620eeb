//! The lines that the platform itself writes into a function's log, byte for byte as Lambda writes them: log processors
//! parse them. Pure.

use std::time::Duration;

/// `START RequestId: … Version: $LATEST`
pub(crate) fn start(request_id: &str) -> String {
    format!("START RequestId: {request_id} Version: {LATEST}")
}

/// The one version that exists.
pub(crate) const LATEST: &str = "$LATEST";

/// `END RequestId: …`
pub(crate) fn end(request_id: &str) -> String {
    format!("END RequestId: {request_id}")
}

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
}

impl std::fmt::Display for Report<'_> {
    /// `REPORT RequestId: …\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t…`, each field followed by a
    /// tab. Since August 2025 the time of a cold start is billed too.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let billed = (ms(self.duration) + self.init.map_or(0.0, ms)).ceil().max(1.0);
        let used = self.memory_peak_bytes.div_ceil(1024 * 1024).min(u64::from(self.memory_mb));
        write!(f, "REPORT RequestId: {}\tDuration: {:.2} ms\t", self.request_id, ms(self.duration))?;
        write!(f, "Billed Duration: {billed:.0} ms\tMemory Size: {} MB\t", self.memory_mb)?;
        write!(f, "Max Memory Used: {used} MB\t")?;
        if let Some(init) = self.init {
            write!(f, "Init Duration: {:.2} ms\t", ms(init))?;
        }
        match self.status {
            Some(Status::Timeout) => write!(f, "Status: timeout"),
            Some(Status::Error(kind)) => write!(f, "Status: error\tError Type: {kind}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(init: Option<Duration>, status: Option<Status<'_>>) -> String {
        Report {
            request_id: "8f5",
            duration: Duration::from_micros(1_230),
            init,
            memory_mb: 128,
            memory_peak_bytes: 10 * 1024 * 1024 - 5,
            status,
        }
        .to_string()
    }

    #[test]
    fn reports_as_lambda_does() {
        assert_eq!(
            report(Some(Duration::from_micros(3_450)), None),
            "REPORT RequestId: 8f5\tDuration: 1.23 ms\tBilled Duration: 5 ms\tMemory Size: 128 MB\tMax Memory Used: 10 MB\t\
             Init Duration: 3.45 ms\t"
        );
        assert_eq!(
            report(None, Some(Status::Timeout)),
            "REPORT RequestId: 8f5\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 10 MB\t\
             Status: timeout"
        );
        assert!(
            report(None, Some(Status::Error("Runtime.ExitError")))
                .ends_with("Status: error\tError Type: Runtime.ExitError")
        );
        assert_eq!(start("8f5"), "START RequestId: 8f5 Version: $LATEST");
        assert_eq!(end("8f5"), "END RequestId: 8f5");
    }
}
