//! Control groups, version 1, version 2 and both at once (hybrid: v1 controllers beside a v2 tree that can freeze and
//! kill). Finds where each controller lives and hides the difference behind [`Group`]. Never decides on limits.
mod gauge;
mod group;
mod hierarchy;
#[cfg(test)]
mod tests;
mod watch;

pub use gauge::Gauge;
pub use group::Group;
pub use hierarchy::{Controller, Hierarchy};
pub use watch::Memory;

use serde::{Deserialize, Serialize};

/// What a group of processes may use. `None` = no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory in bytes (swap is never added to it).
    pub memory_bytes: Option<u64>,
    /// Relative weight as Kubernetes computes it from requests: 1024 per CPU, at least 2.
    pub cpu_shares: Option<u64>,
    /// Hard limit in thousandths of a CPU.
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    pub pids_max: Option<u64>,
}

/// What a group of processes uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time consumed since the group was made, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory charged, in bytes, page cache included.
    pub memory_bytes: u64,
    /// Memory that cannot be reclaimed easily: charged minus inactive file cache (what the kubelet reports).
    pub memory_working_set_bytes: u64,
    /// Anonymous memory in bytes.
    pub memory_rss_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// Period over which a CPU limit is enforced: 100 ms, as Kubernetes does.
const CPU_PERIOD_MICROS: u64 = 100_000;

/// The kernel refuses quotas below 1 ms.
const CPU_QUOTA_MICROS_MIN: u64 = 1_000;

/// The quota in microseconds per [`CPU_PERIOD_MICROS`].
fn cpu_quota_micros(millis: u64) -> u64 {
    (millis.saturating_mul(CPU_PERIOD_MICROS) / 1000).max(CPU_QUOTA_MICROS_MIN)
}

/// v1 shares (2..=262144) to v2 weight (1..=10000), with the curve of KEP-2254.
fn cpu_weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}
