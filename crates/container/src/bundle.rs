//! What a new container consists of, in two parts: a [`Bundle`] that can be prepared before it is known what will
//! run, and an [`Order`] that says what runs.
use crate::capability::Set;
use crate::mount::{Mount, Tree};
use crate::process::{Rlimit, Seccomp, User};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a root file system comes from.
#[derive(Debug, Clone)]
pub enum RootFs {
    /// Layers, lowest first, with a private writable layer in `private` (made; removed by the caller afterwards), or
    /// read-only without one.
    Layers {
        /// Unpacked layers.
        lower: Vec<PathBuf>,
        /// A directory of its own, on a file system that overlayfs can write to.
        private: Option<PathBuf>,
    },
    /// A directory, written to in place.
    Dir(PathBuf),
    /// The host's programs and libraries, read-only, in an otherwise empty root.
    Host,
}

/// The part of a container that does not depend on what runs in it.
#[derive(Debug)]
pub struct Bundle {
    /// Its root file system.
    pub root: RootFs,
    /// An existing directory; the root file system covers it in the container's own mount namespace.
    pub mountpoint: PathBuf,
    /// All devices of the host and nothing masked, instead of the usual handful.
    pub privileged: bool,
    /// `/proc` with nothing masked.
    pub unmasked_proc: bool,
    /// `/sys`, read-only, with these control group directories (name, host path) below `/sys/fs/cgroup`.
    pub sys: Option<Vec<(String, PathBuf)>>,
    /// The memory file system at `/dev/shm` that the pod shares; `None` = one of its own.
    pub shm: Option<Tree>,
}

/// What runs, and what it sees.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Order {
    /// Small files to write into the root file system (absolute path, text).
    pub files: Vec<(PathBuf, String)>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Whether writes to the root file system are refused.
    pub read_only_root: bool,
    /// Joins the network namespace that comes with the order.
    pub join_network: bool,
    /// Joins the user namespace that comes with the order.
    pub join_user: bool,
    /// Runs no process: the first process only holds the namespaces, for those that join them, and collects orphans.
    pub hold: bool,
    /// What runs.
    pub process: Process,
}

/// The number of the first descriptor that a process is handed beside its three streams.
pub const HANDED_FIRST: i32 = 3;

/// How many it may be handed.
pub const HANDED_MAX: usize = 2;

/// A process in a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Process {
    /// The full command; a name without slash is looked up in the environment's `PATH`.
    pub argv: Vec<String>,
    /// The whole environment (`HOME` is added when missing).
    pub env: Vec<(String, String)>,
    /// Working directory, made when missing.
    pub cwd: String,
    /// Who it runs as.
    pub user: User,
    /// What it may do.
    pub capabilities: Set,
    /// No gain of privileges through set-user-id programs.
    pub no_new_privileges: bool,
    /// System call filter.
    pub seccomp: Seccomp,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// The kernel's preference when memory runs out.
    pub oom_score_adj: Option<i32>,
    /// `SCHED_BATCH`: when it wakes it waits for its turn, and does not push off the processor who woke it.
    pub batch: bool,
    /// A terminal as standard input and output; its near end comes back to the caller.
    pub tty: bool,
    /// How many descriptors it is handed beside the three streams, from [`HANDED_FIRST`] on; they come with the order.
    pub handed: usize,
}
