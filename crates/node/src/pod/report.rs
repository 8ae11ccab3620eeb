//! Writing a pod's status: only what changed, one write at a time, and while a pod is being put together not every
//! intermediate step.

use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;
use client::{Key, Objects};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// While things are being started or stopped a changed status waits this long for the next change: a pod that is up
/// within it costs one write instead of three.
const SETTLE: Duration = Duration::from_millis(100);
/// After a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// What the API holds and what it should.
#[derive(Debug)]
pub(crate) struct Report {
    /// The status as it was last written or read.
    pub(crate) known: api::PodStatus,
    shown: Value,
    /// When a difference was first seen that is not yet written.
    since: Option<Instant>,
    not_before: Option<Instant>,
    busy: bool,
}

/// What to do about the status now.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Nothing,
    /// Look again then.
    Wait(Instant),
    /// Write this merge patch.
    Write(Value),
}

impl Report {
    pub(crate) fn new(pod: &api::Pod) -> Report {
        let known = pod.status.clone().unwrap_or_default();
        let shown = serde_json::to_value(&known).unwrap_or_default();
        Report { known, shown, since: None, not_before: None, busy: false }
    }

    /// Takes over what others wrote: conditions that are not this node's.
    pub(crate) fn observe(&mut self, pod: &api::Pod) {
        const OWN: [&str; 5] =
            ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
        let foreign = |condition: &&api::PodCondition| !OWN.contains(&condition.type_.as_str());
        let theirs = pod.status.iter().flat_map(|status| status.conditions.iter().flatten()).filter(foreign);
        let theirs: Vec<_> = theirs.cloned().collect();
        let conditions = self.known.conditions.get_or_insert_default();
        conditions.retain(|condition| OWN.contains(&condition.type_.as_str()));
        conditions.extend(theirs);
    }

    /// Decides about `wanted`; `unsettled` while more changes are about to come.
    pub(crate) fn next(&mut self, wanted: &api::PodStatus, unsettled: bool, now: Instant) -> Next {
        let wanted_json = serde_json::to_value(wanted).unwrap_or_default();
        let patch = difference(&self.shown, &wanted_json);
        if patch.is_empty() {
            self.since = None;
            return Next::Nothing;
        }
        if self.busy {
            return Next::Nothing;
        }
        let since = *self.since.get_or_insert(now);
        let settled = if unsettled { since + SETTLE } else { since };
        let at = self.not_before.map_or(settled, |time| time.max(settled));
        if at > now {
            return Next::Wait(at);
        }
        self.busy = true;
        self.since = None;
        self.known = wanted.clone();
        self.shown = wanted_json;
        Next::Write(Value::Object(patch))
    }

    /// Makes the next comparison start from what the API really holds.
    pub(crate) fn written(&mut self, result: Result<(), String>, pod: &api::Pod, now: Instant) {
        self.busy = false;
        self.not_before = None;
        if let Err(error) = result {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(pod = name, error, "failed to write a pod's status; trying again");
            self.not_before = Some(now + RETRY);
            self.shown = serde_json::to_value(pod.status.clone().unwrap_or_default()).unwrap_or_default();
        }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }
}

/// The merge patch from one status to the next: whole top-level fields.
fn difference(old: &Value, new: &Value) -> Map<String, Value> {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let mut patch = Map::new();
    for (name, value) in new {
        if old.get(name) != Some(value) {
            patch.insert(name.clone(), value.clone());
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    patch
}

/// Writes a patch. The uid keeps it from a pod of the same name that came after. A pod that is gone needs no status.
pub(crate) async fn write(pods: Objects, pod: Arc<api::Pod>, status: Value) -> Result<(), String> {
    let metadata = &pod.metadata;
    let key = Key::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    );
    let patch = json!({ "metadata": { "uid": metadata.uid }, "status": status });
    match pods.patch_sub(&key, "status", client::Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phase: &str) -> api::PodStatus {
        api::PodStatus { phase: Some(phase.to_owned()), ..<_>::default() }
    }

    #[test]
    fn one_write_at_a_time_and_only_differences() {
        let mut report = Report::new(&api::Pod::default());
        let now = Instant::now();
        assert_eq!(report.next(&<_>::default(), false, now), Next::Nothing);
        assert_eq!(report.next(&status("Pending"), true, now), Next::Wait(now + SETTLE));
        let write = report.next(&status("Running"), false, now);
        assert_eq!(write, Next::Write(json!({ "phase": "Running" })));
        assert_eq!(report.next(&status("Failed"), false, now), Next::Nothing, "one is under way");
        report.written(Ok(()), &api::Pod::default(), now);
        assert_eq!(report.next(&status("Failed"), false, now), Next::Write(json!({ "phase": "Failed" })));
        report.written(Err("no".to_owned()), &api::Pod::default(), now);
        assert_eq!(report.next(&status("Failed"), false, now), Next::Wait(now + RETRY), "written again");
        assert_eq!(report.next(&<_>::default(), false, now), Next::Nothing, "what the API holds is right");
    }

    #[test]
    fn a_field_that_went_away_is_cleared() {
        let patch = difference(&json!({ "a": 1, "b": 2 }), &json!({ "a": 1 }));
        assert_eq!(Value::Object(patch), json!({ "b": null }));
    }
}
