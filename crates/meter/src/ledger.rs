//! The totals that a bill is made of: per function and version, and per pod owner. They only grow, and survive a restart.
//! There are so many rows and no more: `rows` sums up what is gone or was not used for longest.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the row of those is called that have none of their own any more, in each namespace.
pub const OTHERS: &str = "(others)";

/// What the row of the functions is called that were deleted long ago, in each namespace; and of the versions of a function.
pub const DELETED: &str = "(deleted)";

/// All that was used, as it is stored and shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Per function and version.
    pub functions: Vec<FunctionUsage>,
    /// Per owner of pods.
    pub pods: Vec<PodUsage>,
}

/// What one version of a function used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FunctionUsage {
    /// Of its object.
    pub namespace: String,
    /// As AWS clients know it.
    pub function: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Invocations that ran.
    pub invocations: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Invocations that were refused for want of concurrency.
    pub throttles: u64,
    /// Billed milliseconds, initialisation included.
    pub billed_ms: u64,
    /// Billed milliseconds × MB of memory: 1,024,000 of these are one GB-second.
    pub mb_ms: u64,
    /// The memory that it was given last, in MB.
    pub memory_mb: u32,
    /// When its first invocation ended, in milliseconds since 1970.
    pub since_ms: i64,
    /// When its last one did.
    pub last_ms: i64,
    /// When the function was deleted; 0 while it exists.
    #[serde(skip_serializing_if = "is_zero")]
    pub deleted_ms: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl FunctionUsage {
    /// Adds what another one used.
    pub(crate) fn take_in(&mut self, other: &FunctionUsage) {
        self.invocations += other.invocations;
        self.errors += other.errors;
        self.throttles += other.throttles;
        self.billed_ms += other.billed_ms;
        self.mb_ms += other.mb_ms;
        self.memory_mb = self.memory_mb.max(other.memory_mb);
        self.since_ms = if self.since_ms == 0 { other.since_ms } else { self.since_ms.min(other.since_ms) };
        self.last_ms = self.last_ms.max(other.last_ms);
    }

    /// GB-seconds, as they are billed.
    pub fn gb_seconds(&self) -> f64 {
        precise(self.mb_ms) / (1024.0 * 1000.0)
    }
}

/// What the pods of one owner used: what they asked for, over the time that they held it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodUsage {
    /// Of the pods.
    pub namespace: String,
    /// Such as `Deployment/api-service`, or `Pod/name` for one without an owner.
    pub owner: String,
    /// Pods that run now.
    pub running: u32,
    /// Milliseconds of all of them together.
    pub pod_ms: u64,
    /// Thousandths of a CPU × milliseconds.
    pub cpu_milli_ms: u64,
    /// Mebibytes × milliseconds.
    pub mb_ms: u64,
    /// CPU and memory that the running ones hold now.
    pub cpu_milli: u64,
    /// In MiB.
    pub memory_mb: u64,
    /// When the first of them started, in milliseconds since 1970.
    pub since_ms: i64,
    /// Pods that run, by uid: what each holds, and up to when that is counted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) open: BTreeMap<String, Open>,
}

/// A pod that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) cpu_milli: u64,
    pub(crate) memory_mb: u64,
    pub(crate) counted_ms: i64,
}

impl PodUsage {
    /// Adds what the pods of another owner used, none of which runs any more.
    pub(crate) fn take_in(&mut self, other: &PodUsage) {
        self.pod_ms += other.pod_ms;
        self.cpu_milli_ms += other.cpu_milli_ms;
        self.mb_ms += other.mb_ms;
        self.since_ms = if self.since_ms == 0 { other.since_ms } else { self.since_ms.min(other.since_ms) };
    }

    pub(crate) fn start(&mut self, uid: &str, cpu_milli: u64, memory_mb: u64, now_ms: i64) {
        if self.since_ms == 0 {
            self.since_ms = now_ms;
        }
        let open = self.open.entry(uid.to_owned()).or_default();
        if open.counted_ms == 0 {
            open.counted_ms = now_ms;
        }
        (open.cpu_milli, open.memory_mb) = (cpu_milli, memory_mb);
    }

    pub(crate) fn stop(&mut self, uid: &str, now_ms: i64) {
        self.count(now_ms);
        self.open.remove(uid);
        self.now_running();
    }

    /// Drops what does not run any more.
    pub(crate) fn keep(&mut self, uids: &std::collections::BTreeSet<String>) {
        self.open.retain(|uid, _| uids.contains(uid));
        self.now_running();
    }

    /// Counts what runs up to now.
    pub(crate) fn count(&mut self, now_ms: i64) {
        for open in self.open.values_mut() {
            let ms = u64::try_from(now_ms - open.counted_ms).unwrap_or(0);
            open.counted_ms = open.counted_ms.max(now_ms);
            self.cpu_milli_ms += open.cpu_milli.saturating_mul(ms);
            self.mb_ms += open.memory_mb.saturating_mul(ms);
            self.pod_ms += ms;
        }
        self.now_running();
    }

    fn now_running(&mut self) {
        if self.open.is_empty() {
            // A map that was filled once keeps half a kilobyte, and there are owners of a single pod by the thousand.
            self.open = BTreeMap::new();
        }
        self.running = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        self.cpu_milli = self.open.values().map(|open| open.cpu_milli).sum();
        self.memory_mb = self.open.values().map(|open| open.memory_mb).sum();
    }
}

/// Counts are far below 2^53, where doubles are exact.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}
