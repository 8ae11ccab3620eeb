//! How long a Job waits after a failed pod before it makes the next.

use std::time::Duration;

use object::time::{self, Timestamp};
use serde_json::Value;

use super::read::{index_failures, index_ignored_failures};
use crate::pod;

/// The pause after the first failure; it doubles with each that follows (upstream's figures).
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// The failures since the last success. It lives in memory alone: after a restart the next pod comes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) failures: u32,
    pub(super) last: Option<Timestamp>,
}

impl Record {
    /// The record with pods that ended since.
    pub(super) fn with(&self, succeeded: &[&Value], failed: &[&Value]) -> Record {
        let ends = |pods: &[&Value]| pods.iter().map(|pod| finished_at(pod)).collect::<Vec<_>>();
        let mut failed = ends(failed);
        let mut record = self.clone();
        if let Some(success) = ends(succeeded).into_iter().max() {
            record = Record::default();
            failed.retain(|time| *time > success);
        }
        record.failures = record.failures.saturating_add(u32::try_from(failed.len()).unwrap_or(u32::MAX));
        record.last = failed.into_iter().max().or(record.last);
        record
    }

    /// How long there is still to wait.
    pub(super) fn left(&self, now: Timestamp) -> Option<Duration> {
        left(self.failures, self.last?, now)
    }
}

/// How long an index waits, whose last pod this was.
pub(super) fn left_for_index(last: &Value, now: Timestamp) -> Option<Duration> {
    let failures = index_failures(last).saturating_add(index_ignored_failures(last)).saturating_add(1);
    left(failures, finished_at(last), now)
}

fn left(failures: u32, last: Timestamp, now: Timestamp) -> Option<Duration> {
    let doublings = failures.checked_sub(1)?;
    let pause = FIRST.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST);
    let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    pause.checked_sub(passed).filter(|left| !left.is_zero())
}

/// When a pod ended: as its containers say, else when it stopped being ready, else when it was deleted.
pub(super) fn finished_at(pod: &Value) -> Timestamp {
    containers_finished_at(pod)
        .or_else(|| unready_since(pod))
        .or_else(|| deleted_at(pod))
        .or_else(|| pod::created(pod))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When the last container ended; none when one has not, or there is none.
fn containers_finished_at(pod: &Value) -> Option<Timestamp> {
    let list = |field: &str| pod["status"][field].as_array().into_iter().flatten();
    let sidecar = |status: &&Value| {
        let specs = pod["spec"]["initContainers"].as_array().into_iter().flatten();
        specs.into_iter().any(|spec| spec["name"] == status["name"] && spec["restartPolicy"] == "Always")
    };
    let statuses = list("containerStatuses").chain(list("initContainerStatuses").filter(sidecar));
    let ends = statuses.map(|status| time::parse(status["state"]["terminated"]["finishedAt"].as_str()?));
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn unready_since(pod: &Value) -> Option<Timestamp> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    let since = ready["lastTransitionTime"].as_str().filter(|_| ready["status"] == "False")?;
    time::parse(since)
}

fn deleted_at(pod: &Value) -> Option<Timestamp> {
    let by = time::parse(pod["metadata"]["deletionTimestamp"].as_str()?)?;
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0);
    by.checked_sub(Duration::from_secs(grace)).ok()
}
