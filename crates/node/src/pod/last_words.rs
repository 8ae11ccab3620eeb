//! How a run ended, in the API's words: reason, message, times. The message is what the container left in its
//! termination message file, or the tail of its log where that was asked for.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use client::k8s_openapi::api::core::v1 as api;
use jiff::Timestamp;
use sandbox::ContainerState;

use super::state::Exit;
use crate::logs::line::Line;

/// Upstream's bounds: of the file, and of a log that stands in for it.
const MESSAGE_BYTES_MAX: u64 = 4096;
const FALLBACK_BYTES_MAX: usize = 2048;
const FALLBACK_LINES_MAX: usize = 80;
/// How much of a log's end is read to find those lines with their prefixes.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// A time of the sandbox's records.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The end of a run as its record tells it, without a message yet; `None` while it runs.
pub(crate) fn exit(state: &ContainerState, attempt: u32) -> Option<Exit> {
    let ContainerState::Exited { code, oom, lost, started_at, finished_at, .. } = state else { return None };
    let reason = match (oom, lost, code) {
        (true, ..) => "OOMKilled",
        (_, true, _) => "ContainerStatusUnknown",
        (.., 0) => "Completed",
        _ => "Error",
    };
    let message = if *lost { "The container could not be located when the pod was terminated" } else { "" };
    Some(Exit {
        code: *code,
        reason: reason.into(),
        message: message.to_owned(),
        started: Some(timestamp(*started_at)),
        finished: timestamp(*finished_at),
        attempt,
        start_failed: false,
        again: false,
    })
}

/// The container's last words.
pub(crate) fn message(container: &api::Container, code: i32, message_path: &Path, log_path: &Path) -> String {
    let text = read_some(message_path, 0, MESSAGE_BYTES_MAX);
    let fallback = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if !text.is_empty() || !fallback || code == 0 {
        return text;
    }
    let size = std::fs::metadata(log_path).map_or(0, |metadata| metadata.len());
    tail(&read_some(log_path, size.saturating_sub(LOG_TAIL_BYTES), LOG_TAIL_BYTES))
}

fn read_some(path: &Path, from: u64, bytes_max: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.seek(SeekFrom::Start(from));
        let _ = file.take(bytes_max).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a log, without what the log adds to them.
fn tail(log: &str) -> String {
    let mut out = String::new();
    let lines: Vec<_> = log.lines().filter_map(|line| Line::parse(line.as_bytes())).collect();
    for line in lines.iter().skip(lines.len().saturating_sub(FALLBACK_LINES_MAX)) {
        out.push_str(&String::from_utf8_lossy(line.text));
        if !line.partial {
            out.push('\n');
        }
    }
    let from = out.ceil_char_boundary(out.len().saturating_sub(FALLBACK_BYTES_MAX));
    out.split_off(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_wins_and_a_failing_container_may_fall_back_to_its_log() {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, log) = (dir.path().join("message"), dir.path().join("0.log"));
        std::fs::write(&file, "").expect("written");
        std::fs::write(&log, "2026-01-01T00:00:00.000000000Z stderr F boom\n").expect("written");
        let policy = Some("FallbackToLogsOnError".to_owned());
        let container = api::Container { termination_message_policy: policy, ..<_>::default() };
        assert_eq!(message(&container, 1, &file, &log), "boom\n");
        assert_eq!(message(&container, 0, &file, &log), "");
        assert_eq!(message(&api::Container::default(), 1, &file, &log), "");
        std::fs::write(&file, "because").expect("written");
        assert_eq!(message(&container, 1, &file, &log), "because");
    }
}
