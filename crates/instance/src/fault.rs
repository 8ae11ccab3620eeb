//! The error documents that the platform itself makes when a function does not answer: their types and words are
//! Lambda's. Pure.

use bytes::Bytes;
use sandbox::Exit;
use serde_json::json;
use std::time::Duration;

/// Why there is no answer of the function's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It took longer than it may.
    Timeout(Duration),
    /// Its process ended.
    Exit(Exit),
    /// It took longer to start than a start may take.
    InitTimeout(Duration),
    /// Its program could not be run.
    Entrypoint(String),
    /// It cannot be started where it is to start.
    WorkingDirectory(String),
    /// Its answer is over this many bytes.
    ResponseTooLarge(usize),
    /// Its answer broke off.
    Truncated,
    /// An extension ended or could not be started.
    Extension {
        /// Such as `Extension.Crash`.
        kind: &'static str,
        /// What happened to its process.
        sentence: String,
    },
}

impl Fault {
    /// Such as `Runtime.ExitError`.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Fault::Timeout(_) | Fault::InitTimeout(_) => "Sandbox.Timedout",
            Fault::Exit(_) => "Runtime.ExitError",
            Fault::Entrypoint(_) => "Runtime.InvalidEntrypoint",
            Fault::WorkingDirectory(_) => "Runtime.InvalidWorkingDir",
            Fault::ResponseTooLarge(_) => "Function.ResponseSizeTooLarge",
            Fault::Truncated => "Runtime.TruncatedResponse",
            Fault::Extension { kind, .. } => kind,
        }
    }

    /// What REPORT calls it. Lambda tells an out-of-memory kill apart only there.
    pub(crate) fn report_type(&self) -> &'static str {
        match self {
            Fault::Exit(exit) if exit.oom => "Runtime.OutOfMemory",
            other => other.error_type(),
        }
    }

    /// The sentence without the request id.
    pub fn sentence(&self) -> String {
        match self {
            Fault::Timeout(after) | Fault::InitTimeout(after) => {
                format!("Task timed out after {:.2} seconds", after.as_secs_f64())
            }
            Fault::Exit(exit) if exit.signal.is_some() || exit.code != 0 => {
                format!("Runtime exited with error: {}", exit_words(exit))
            }
            Fault::Exit(_) => "Runtime exited without providing a reason".to_owned(),
            Fault::Entrypoint(reason) | Fault::WorkingDirectory(reason) => reason.clone(),
            Fault::ResponseTooLarge(limit) => {
                format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).")
            }
            Fault::Extension { sentence, .. } => sentence.clone(),
            Fault::Truncated => "Runtime closed the connection in the middle of its response".to_owned(),
        }
    }

    /// `{"errorType": …, "errorMessage": …}`, with the request id except where Lambda leaves it out.
    pub(crate) fn document(&self, request_id: &str) -> Bytes {
        let sentence = self.sentence();
        let message = match self {
            Fault::ResponseTooLarge(_) => sentence,
            _ => format!("RequestId: {request_id} Error: {sentence}"),
        };
        json!({"errorType": self.error_type(), "errorMessage": message}).to_string().into()
    }
}

/// How a process ended, in Lambda's words.
pub(crate) fn exit_words(exit: &Exit) -> String {
    match exit {
        Exit { signal: Some(signal), .. } => format!("signal: {}", signal_name(*signal)),
        Exit { code: 0, .. } => "exit code 0".to_owned(),
        Exit { code, .. } => format!("exit status {code}"),
    }
}

/// As Go's `syscall.Signal` prints them, which is where Lambda's words come from.
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        31 => "bad system call",
        other => return format!("signal {other}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fault: Fault) -> String {
        String::from_utf8(fault.document("8f5").to_vec()).expect("JSON is text")
    }

    #[test]
    fn words_are_those_of_lambda() {
        assert_eq!(
            message(Fault::Timeout(Duration::from_secs(3))),
            r#"{"errorMessage":"RequestId: 8f5 Error: Task timed out after 3.00 seconds","errorType":"Sandbox.Timedout"}"#
        );
        let exit = |code, signal| Fault::Exit(Exit { code, signal, oom: false }).sentence();
        assert_eq!(exit(137, Some(9)), "Runtime exited with error: signal: killed");
        assert_eq!(exit(3, None), "Runtime exited with error: exit status 3");
        assert_eq!(exit(0, None), "Runtime exited without providing a reason");
        assert_eq!(
            message(Fault::ResponseTooLarge(crate::PAYLOAD_BYTES_MAX)),
            r#"{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}"#
        );
    }
}
