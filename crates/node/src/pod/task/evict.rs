//! The end of a pod that uses more disk than it may: found by a measurement that runs beside the task, carried out as
//! the kubelet does (reason Evicted, the pod fails and its controller makes another).

use super::{Outcome, Task, uid};
use crate::pod::state::Verdict;
use crate::pod::storage::{Limits, Places};

/// What an evicted pod gets to end; upstream's `immediateEvictionGracePeriodSeconds`.
const GRACE_SECONDS: i64 = 1;

impl Task {
    /// Begins to measure a pod that has limits, for as long as its sandbox is there.
    pub(super) fn measure_storage(&mut self) {
        let limits = self.state.pod.spec.as_ref().and_then(Limits::of);
        let (Some(limits), Some(sandbox)) = (limits, self.sandbox.clone()) else { return };
        let dir = self.ground.pod_dir(uid(&self.state.pod));
        let places = move || Places { dir: dir.clone(), layers: sandbox.layers() };
        let work = limits.guard(places);
        let handle = self.beside(async move { Outcome::StorageExceeded(work.await) });
        if let Some(before) = self.storage.replace(handle) {
            before.abort();
        }
    }

    pub(super) fn stop_measuring(&mut self) {
        if let Some(work) = self.storage.take() {
            work.abort();
        }
    }

    pub(super) fn evict(&mut self, message: String) {
        if self.state.verdict.is_some() || self.state.finished() || self.state.deleted() {
            return;
        }
        self.ground.event(&self.state.pod, true, "Evicted", message.clone());
        let reason = "Evicted".to_owned();
        self.state.verdict = Some(Verdict { reason, message, grace_seconds: Some(GRACE_SECONDS) });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop_measuring();
    }
}
