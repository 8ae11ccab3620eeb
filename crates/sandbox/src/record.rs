//! What became of containers and instances: plain records that the supervisor keeps on disk and sends to dory.
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// One container of a pod and how it is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its name in the pod.
    pub name: String,
    /// Which start this is, from 0.
    pub attempt: u32,
    /// `<pod id>/<name>/<attempt>`, unique on this host.
    pub id: String,
    /// How it is doing.
    pub state: ContainerState,
}

/// How a container is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// It runs.
    Running {
        /// Process id on the host.
        pid: u32,
        /// When it was started.
        started_at: SystemTime,
    },
    /// It ended.
    Exited {
        /// Exit code; 128 + signal when a signal ended it.
        code: i32,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Whether the kernel killed a process of it for lack of memory.
        oom: bool,
        /// Its end was not seen: the supervisor died, or the machine restarted. Then `code` is 137.
        lost: bool,
        /// When it was started.
        started_at: SystemTime,
        /// When it ended (or was found dead).
        finished_at: SystemTime,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of it for lack of memory.
    pub oom: bool,
}
