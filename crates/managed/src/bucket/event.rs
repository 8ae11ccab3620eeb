//! What happens in buckets, for those who are to be told: written in the transaction that makes it happen, and there until it
//! was delivered. Who delivers it, and how, is not known here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use store::{Expect, Op, Range};

use super::record::{self, EVENTS, NULL_VERSION, Version};
use super::{Bucket, BucketSettings, Buckets};

/// Events that are handed out at a time.
const EVENTS_MAX: usize = 100;

/// Who does something; told with the event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The id of the caller.
    pub principal: String,
    /// The address that the request came from.
    pub address: String,
    /// The id of the request.
    pub request_id: String,
    /// Whether a rule of the bucket did it.
    pub expired: bool,
}

impl Cause {
    /// What removing an object is called.
    pub(super) fn removed(&self, how: &str) -> &'static str {
        match (self.expired, how) {
            (false, "Delete") => "ObjectRemoved:Delete",
            (false, _) => "ObjectRemoved:DeleteMarkerCreated",
            (true, "Delete") => "LifecycleExpiration:Delete",
            (true, _) => "LifecycleExpiration:DeleteMarkerCreated",
        }
    }
}

pub(super) struct Happened {
    pub(super) event: &'static str,
    pub(super) cause: Cause,
}

/// Something that happened, and somebody who is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketEvent {
    /// Such as `ObjectCreated:Put`.
    pub name: String,
    /// The ARN of the queue, topic or function that is to be told.
    pub target: String,
    /// The id of the notification.
    pub notification: String,
    /// The name of the bucket.
    pub bucket: String,
    /// The key of the object.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: String,
    /// Its version, in a bucket with versions.
    pub version_id: Option<String>,
    /// Grows from event to event of a key.
    pub sequencer: String,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who did it.
    pub cause: Cause,
}

impl Buckets {
    /// Adds what is to be told to a transaction; whether there is anything.
    pub(super) fn plan_events(
        &self,
        bucket: &Bucket,
        settings: &BucketSettings,
        key: &str,
        version: &Version,
        happened: &Happened,
        ops: &mut Vec<Op>,
    ) -> bool {
        let before = ops.len();
        for notification in settings.notifications.iter().filter(|one| one.is_about(happened.event, key)) {
            let number = self.number();
            let event = BucketEvent {
                name: happened.event.to_owned(),
                target: notification.target.clone(),
                notification: notification.id.clone(),
                bucket: bucket.name().to_owned(),
                key: key.to_owned(),
                size: version.size,
                etag: version.etag.clone(),
                version_id: Some(version.id.clone()).filter(|id| id != NULL_VERSION),
                sequencer: format!("{number:018X}"),
                time_ms: self.now_ms(),
                cause: happened.cause.clone(),
            };
            let at = format!("{EVENTS}{number:016x}").into();
            ops.push(Op::Put { key: at, value: record::write(&event), expect: Expect::Any });
        }
        ops.len() > before
    }

    /// The oldest events that were not delivered yet, after one of them; waits until there is one.
    pub async fn next_events(
        &self,
        after: Option<Arc<str>>,
    ) -> Result<Vec<(Arc<str>, BucketEvent)>, store::Error> {
        loop {
            let mut happened = std::pin::pin!(self.happened.notified());
            // Registered before the look, so that none is missed between the two.
            happened.as_mut().enable();
            let range = Range { limit: Some(EVENTS_MAX), after: after.clone(), ..Range::prefix(EVENTS) };
            let page = self.store.list(range).await?;
            let read = |entry: &store::Entry| Some((entry.key.clone(), record::read(&entry.value)?));
            let events: Vec<_> = page.entries.iter().filter_map(read).collect();
            if !events.is_empty() || after.is_some() {
                return Ok(events);
            }
            happened.await;
        }
    }

    /// These events were delivered, or never will be.
    pub async fn delivered(&self, events: &[Arc<str>]) -> Result<(), store::Error> {
        let end = |key: &Arc<str>| Op::Delete { key: key.clone(), expect: Expect::Any };
        for some in events.chunks(store::OPS_MAX) {
            self.store.commit(some.iter().map(end).collect()).await?;
        }
        Ok(())
    }
}
