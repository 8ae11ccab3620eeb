//! What is written down about an event beside its payload: who is called, under which id; and, from try to try, how
//! often the function has run. Pure.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest trace header that is kept.
pub(super) const TRACE_BYTES_MAX: usize = 4 << 10;

/// The rest of an event beside its trace header: names and ids of bounded length.
pub(super) const ATTRIBUTES_BYTES_MAX: usize = TRACE_BYTES_MAX * 6 + (4 << 10);

/// An asynchronous invocation. Its payload is the body of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    /// The same for every try, as on AWS: functions tell repetitions by it.
    pub(super) request_id: String,
    /// The function, as AWS knows it.
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) qualifier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<String>,
}

/// What has been tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// How often the function has run and failed.
    pub(super) runs: u32,
}

impl Event {
    pub(super) fn write(&self) -> Bytes {
        serde_json::to_vec(self).expect("strings are JSON").into()
    }

    pub(super) fn read(attributes: &[u8]) -> Option<Event> {
        serde_json::from_slice(attributes).ok()
    }
}

impl Progress {
    pub(super) fn write(&self) -> Bytes {
        serde_json::to_vec(self).expect("numbers are JSON").into()
    }

    /// An event that was never deferred has no note.
    pub(super) fn read(note: &[u8]) -> Progress {
        serde_json::from_slice(note).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let event = Event {
            request_id: "8f5".to_owned(),
            name: "Hello".to_owned(),
            qualifier: Some("live".to_owned()),
            trace_id: None,
        };
        assert_eq!(Event::read(&event.write()), Some(event));
        assert_eq!(Event::read(b"{}"), None);
        assert_eq!(Progress::read(&Progress { runs: 2 }.write()).runs, 2);
        assert_eq!(Progress::read(b"").runs, 0);
    }
}
